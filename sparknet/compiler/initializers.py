"""How parameters start. Every tensor draws from its own stream, so adding a layer changes no other layer's numbers."""

from __future__ import annotations

import hashlib
from math import prod, sqrt
from typing import TYPE_CHECKING, Literal

from sparknet.compiler.lazy import Lazy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Lazy("numpy")

Initializer = Literal[
    "he", "glorot", "normal", "uniform", "zeros", "ones", "quarter", "orthogonal", "units", "standard"
]
_SPREAD = 0.05


def draw(
    initializer: Initializer, name: str, shape: tuple[int, ...], fan_in: int, fan_out: int, seed: int
) -> NDArray[np.float32]:
    """A float32 tensor of `shape` for the parameter `name`.

    `he`: normal, variance 2 / fan_in (He et al., 2015, eq. 10), for layers followed by a rectifier.
    `glorot`: uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, 2010, eq. 16), for all others.
    `normal`: of deviation 0.05; `uniform`: in +-0.05, both as in Keras.
    `orthogonal`: rows or columns, whichever are fewer, of length 1 and at right angles (Saxe et al., 2014), the tensor
    taken as a matrix of its first axis by all others.
    `units`: uniform in +-1 / sqrt(fan_in), as PyTorch starts recurrent layers from their number of units.
    `standard`: normal, variance 1, as PyTorch starts embeddings.
    `quarter`: 0.25 everywhere, where the slope of `prelu` starts (He et al., 2015).
    """
    constant = {"zeros": 0.0, "ones": 1.0, "quarter": 0.25}
    if initializer in constant:
        return np.full(shape, constant[initializer], np.float32)
    key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16], "little")
    random = np.random.Generator(np.random.Philox(key=key))
    normal = {"he": sqrt(2 / fan_in), "normal": _SPREAD, "standard": 1.0}
    if initializer in normal:
        return (random.standard_normal(shape, np.float32) * np.float32(normal[initializer])).astype(np.float32)
    if initializer == "orthogonal":
        return _orthogonal(random.standard_normal((shape[0], prod(shape[1:])))).reshape(shape).astype(np.float32)
    uniform = {"glorot": sqrt(6 / (fan_in + fan_out)), "uniform": _SPREAD, "units": sqrt(1 / fan_in)}
    limit = uniform[initializer]
    return (random.random(shape, np.float32) * np.float32(2 * limit) - np.float32(limit)).astype(np.float32)


def _orthogonal(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orthogonal factor of a matrix of normal numbers; its signs by those of the triangular one, to be uniform."""
    rows, columns = normal.shape
    q, r = np.linalg.qr(normal if rows >= columns else normal.T)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return np.asarray(q if rows >= columns else q.T)
