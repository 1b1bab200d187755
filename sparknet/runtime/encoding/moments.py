"""Mean and deviation of numbers, from sums without rounding: the same however the rows are cut and merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import reduce
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sparknet.runtime.encoding.columns import Numbers
from sparknet.runtime.encoding.encode import Block, Layout

_MANTISSA = 24
"""Bits of the mantissa of a float32."""
_LEAST = 173
"""Every float32 is a whole number of 2 ** -149; with the mantissa as a whole number, of 2 ** -173."""

Axes = Mapping[int, int]
"""By the places of the ports, the axis along which each place has a mean and a deviation of its own."""


class Moments(BaseModel):
    """Sums over `count` numbers at each place, in units of 2 ** -173, and of their squares, of 2 ** -346."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    count: int
    sums: tuple[int, ...]
    squares: tuple[int, ...]

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Moments:
        """The moments of finite float32 numbers, [count, places]."""
        mantissas, exponents = np.frexp(values.astype(np.float64))
        whole = (mantissas * (1 << _MANTISSA)).astype(np.int64)
        places = values.shape[1]
        sums, squares = np.zeros(places, object), np.zeros(places, object)
        for exponent in np.unique(exponents):
            here = np.where(exponents == exponent, whole, 0)
            shift = int(exponent) - _MANTISSA + _LEAST
            sums += here.sum(axis=0).astype(object) << shift
            square = here * here  # below 2 ** 49, so that halves of it sum up within an int64
            high, low = (part.sum(axis=0).astype(object) for part in (square >> _MANTISSA, square & 0xFFFFFF))
            squares += ((high << _MANTISSA) + low) << 2 * shift
        return cls(count=len(values), sums=tuple(map(int, sums)), squares=tuple(map(int, squares)))

    def merge(self, other: Moments) -> Moments:
        """The moments of both."""
        sums, squares = (
            tuple(a + b for a, b in zip(mine, theirs, strict=True))
            for mine, theirs in ((self.sums, other.sums), (self.squares, other.squares))
        )
        return Moments(count=self.count + other.count, sums=sums, squares=squares)

    def mean(self) -> NDArray[np.float32]:
        """The mean at each place."""
        return np.array([float(Fraction(s, self.count << _LEAST)) for s in self.sums], np.float32)

    def means(self) -> list[float]:
        """The mean at each place."""
        return [float(Fraction(s, self.count << _LEAST)) for s in self.sums]

    def mean_squares(self) -> list[float]:
        """The mean of the squares at each place."""
        return [float(Fraction(square, self.count << 2 * _LEAST)) for square in self.squares]

    def variances(self) -> list[float]:
        """The mean squared distance from the mean at each place."""
        return [float(spread) for spread in self._spreads()]

    @property
    def plausible(self) -> bool:
        """Whether so many float32 numbers can have such sums; those of a file that was tampered with may not."""
        if self.count < 1 or len(self.sums) != len(self.squares):
            return False
        sums = all(abs(s) <= self.count << _LEAST + 128 for s in self.sums)
        return (
            sums and all(0 <= s <= self.count << 2 * (_LEAST + 128) for s in self.squares) and min(self._spreads()) >= 0
        )

    def _spreads(self) -> list[Fraction]:
        pairs = zip(self.sums, self.squares, strict=True)
        return [Fraction(self.count * square - s * s, self.count**2 << 2 * _LEAST) for s, square in pairs]

    def deviation(self) -> NDArray[np.float32]:
        """The standard deviation at each place, 1 where all numbers are equal, so that dividing by it is harmless."""
        found = np.array([sqrt(spread) for spread in self._spreads()], np.float32)
        return np.where(found > 0, found, np.float32(1))


def moments_of(blocks: Iterable[Block], layout: Layout, axes: Axes) -> dict[int, Moments]:
    """The moments of what the blocks hold for each of some ports."""
    found: dict[int, list[Moments]] = {index: [] for index in axes}
    lengths = {f.port.measures.name: i for i, f in enumerate(layout.fields) if f.port.measures is not None}
    for block in blocks:
        arrays = block.arrays(layout)
        for index, axis in axes.items():
            at = lengths.get(layout.fields[index].port.name)
            found[index].append(Moments.of(_places(arrays[index], axis, None if at is None else arrays[at])))
    return {index: reduce(Moments.merge, parts) for index, parts in found.items() if parts}


def _places(numbers: Numbers, axis: int, lengths: Numbers | None) -> NDArray[np.float32]:
    """Rows of numbers as [count, places]; of sequences with `lengths`, the steps that are there."""
    values = np.moveaxis(numbers.astype(np.float32), axis + 1, -1)
    if lengths is not None:
        values = values[np.arange(values.shape[1]) < lengths.astype(np.int64)[:, None]]
    return values.reshape(-1, values.shape[-1])
