"""How parameters start. Every tensor draws from its own stream, so adding a layer changes no other layer's numbers."""

from __future__ import annotations

import hashlib
from math import sqrt
from typing import TYPE_CHECKING, Literal

from sparknet.compiler.lazy import Lazy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Lazy("numpy")

Initializer = Literal["he", "glorot", "zeros", "ones"]


def draw(
    initializer: Initializer, name: str, shape: tuple[int, ...], fan_in: int, fan_out: int, seed: int
) -> NDArray[np.float32]:
    """A float32 tensor of `shape` for the parameter `name`.

    `he`: normal, variance 2 / fan_in (He et al., 2015, eq. 10), for layers followed by a rectifier.
    `glorot`: uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, 2010, eq. 16), for all others.
    """
    if initializer == "zeros":
        return np.zeros(shape, np.float32)
    if initializer == "ones":
        return np.ones(shape, np.float32)
    key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16], "little")
    random = np.random.Generator(np.random.Philox(key=key))
    if initializer == "he":
        return (random.standard_normal(shape, np.float32) * np.float32(sqrt(2 / fan_in))).astype(np.float32)
    limit = sqrt(6 / (fan_in + fan_out))
    return (random.random(shape, np.float32) * np.float32(2 * limit) - np.float32(limit)).astype(np.float32)
