"""Random numbers as a function of whole numbers: the same on every machine and with every version of numpy."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def draw(count: int, *salt: int) -> NDArray[np.uint64]:
    """Evenly distributed numbers of 64 bits, uint64[count]; a longer draw of the same salt begins with them."""
    key = int.from_bytes(blake2b(np.array(salt, "<i8").tobytes(), digest_size=16).digest(), "little")
    return np.random.Philox(key=key).random_raw(count)


def permutation(count: int, *salt: int) -> NDArray[np.int64]:
    """A random order of `count` things."""
    return np.argsort(draw(count, *salt), kind="stable").astype(np.int64)


def permutations(times: int, count: int, *salt: int) -> NDArray[np.int64]:
    """So many orders of `count` things, int64[times, count]."""
    return np.argsort(draw(times * count, *salt).reshape(times, count), axis=1, kind="stable").astype(np.int64)


def uniform(drawn: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers from 0 to below 1."""
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(drawn: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Nearly normal numbers of mean 0 and deviation 1: the sum of the four 16-bit parts of each draw, within 3.5.

    Each part has the mean 65535 / 2 and the variance (2 ** 32 - 1) / 12. A sum of whole numbers is exact everywhere,
    which the logarithm and cosine of a true normal number are not.
    """
    sums = drawn.astype("<u8", copy=False).view("<u2").reshape(*drawn.shape, 4).sum(axis=-1, dtype=np.int64)
    centred: NDArray[np.float64] = (sums - 2 * 65535) / np.sqrt((2.0**32 - 1) / 3)
    return centred.astype(np.float32)
