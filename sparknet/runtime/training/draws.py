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


def normal(count: int, *salt: int) -> NDArray[np.float32]:
    """Nearly normal numbers of mean 0 and deviation 1, float32[count]: each the sum of four bytes of a draw.

    A byte has the mean 255 / 2 and the variance (256 ** 2 - 1) / 12. A sum of whole numbers is the same everywhere,
    which the logarithm and the cosine in a true normal number are not, and quicker.
    """
    drawn = draw(-(-count // 2), *salt).astype("<u8", copy=False)
    for shift, mask in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF)):
        beside = drawn >> np.uint64(shift)
        beside &= np.uint64(mask)
        drawn &= np.uint64(mask)
        drawn += beside  # of bytes to 16 bits, then of those to 32
    sums: NDArray[np.float32] = drawn.view("<u4")[:count].astype(np.float32)
    sums -= np.float32(2 * 255)
    sums *= np.float32(np.sqrt(3 / (256**2 - 1)))
    return sums
