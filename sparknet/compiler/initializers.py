"""How parameters start. Every tensor draws from its own stream, so adding a layer changes no other layer's numbers."""

from __future__ import annotations

import hashlib
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Initializer = Literal["he", "glorot", "zeros", "ones", "normal", "uniform"]


def draw(
    initializer: Initializer, name: str, shape: tuple[int, ...], fan_in: int, fan_out: int, seed: int
) -> NDArray[np.float32]:
    """A float32 tensor of `shape` for the parameter `name`.

    `he`: normal, variance 2 / fan_in (He et al., 2015, eq. 10), for layers followed by a rectifier.
    `glorot`: uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, 2010, eq. 16), for all others.
    `uniform`: in +-1 / sqrt(fan_in), as PyTorch starts recurrent layers from their number of units.
    `normal`: mean 0, variance 1, as PyTorch starts embeddings.
    """
    if initializer == "zeros":
        return np.zeros(shape, np.float32)
    if initializer == "ones":
        return np.ones(shape, np.float32)
    key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16], "little")
    random = np.random.Generator(np.random.Philox(key=key))
    if initializer in ("he", "normal"):
        deviation = sqrt(2 / fan_in) if initializer == "he" else 1.0
        return (random.standard_normal(shape, np.float32) * np.float32(deviation)).astype(np.float32)
    limit = sqrt(6 / (fan_in + fan_out)) if initializer == "glorot" else sqrt(1 / fan_in)
    return (random.random(shape, np.float32) * np.float32(2 * limit) - np.float32(limit)).astype(np.float32)
