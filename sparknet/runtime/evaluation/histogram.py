"""Histograms in one pass whose bins fit the data, exact however the data is cut and merged.

Bin b of an axis holds the numbers from `b * 2**e` on and below `(b + 1) * 2**e`, with the least `e` at which all
numbers fall into few enough bins. To double the width of all bins is to halve their numbers, rounding down, so counts
stay exact; and as `e` depends on nothing but the least and the greatest number, any order of merging ends with the
same.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from math import frexp
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

_MANTISSA = 24
"""Bits of the mantissa of a float32: narrower bins would tell nothing more."""
_LEAST = -200
"""The exponent of an axis on which there are only zeros; below that of any other."""

BINS = 512
"""Of a histogram, at most."""
CELLS = 40
"""Of an axis of a plane, at most."""

Count = Annotated[int, Field(ge=1, le=2**53)]
Bin = Annotated[int, Field(ge=-(2**40), le=2**40)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e39, le=1e39)]


class Counted(BaseModel):
    """Base of all that is counted: frozen, strict, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Axis(Counted):
    """The span of some float32 numbers, and the bins that it falls into."""

    least: Number
    greatest: Number
    bins: Annotated[int, Field(ge=1, le=BINS)]

    @classmethod
    def of(cls, values: NDArray[np.float32], bins: int) -> Axis:
        """The axis of finite numbers, of which there is at least one."""
        return cls(least=float(values.min()), greatest=float(values.max()), bins=bins)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least > self.greatest:
            raise ValueError("the least number is greater than the greatest")
        return self

    @cached_property
    def exponent(self) -> int:
        """Bins are `2 ** exponent` wide."""
        most = max(-self.least, self.greatest)
        if most == 0:
            return _LEAST
        exponent = frexp(most)[1] - _MANTISSA
        while self.bin(self.greatest, exponent) - self.bin(self.least, exponent) >= self.bins:
            exponent += 1
        return exponent

    @property
    def width(self) -> float:
        """That of a bin."""
        return 2.0**self.exponent

    @staticmethod
    def bin(value: float, exponent: int) -> int:
        """The bin of a number."""
        return int(np.floor(np.ldexp(np.float64(value), -exponent)))

    def place(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """The bins of numbers."""
        return np.floor(np.ldexp(values.astype(np.float64), -self.exponent)).astype(np.int64)

    def check(self, places: list[int]) -> None:
        """Raise ValueError for bins that the axis does not have."""
        first, last = (self.bin(value, self.exponent) for value in (self.least, self.greatest))
        if min(places) < first or max(places) > last:
            raise ValueError("a bin lies beside the axis")

    def merge(self, other: Axis) -> Axis:
        """The axis of both."""
        return Axis(least=min(self.least, other.least), greatest=max(self.greatest, other.greatest), bins=self.bins)


class Histogram(Counted):
    """How many numbers lie in each bin; bins without any are left out."""

    axis: Axis
    counts: Annotated[tuple[tuple[Bin, Count], ...], Field(min_length=1, max_length=BINS)]

    @model_validator(mode="after")
    def _on_axis(self) -> Self:
        self.axis.check([place for place, _ in self.counts])
        return self

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Histogram:
        """Of finite numbers, [count]."""
        axis = Axis.of(values, BINS)
        bins, counts = np.unique(axis.place(values), return_counts=True)
        return cls(axis=axis, counts=tuple(zip(bins.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: Histogram) -> Histogram:
        """That of both."""
        axis = self.axis.merge(other.axis)
        found: Counter[int] = Counter()
        for each in (self, other):
            shift = axis.exponent - each.axis.exponent
            for place, count in each.counts:
                found[place >> shift] += count
        return Histogram(axis=axis, counts=tuple(sorted(found.items())))


class Plane(Counted):
    """How many pairs of numbers lie in each cell of a plane: the bins of x and of y, and a count."""

    x: Axis
    y: Axis
    cells: Annotated[tuple[tuple[Bin, Bin, Count], ...], Field(min_length=1, max_length=CELLS**2)]

    @model_validator(mode="after")
    def _on_axes(self) -> Self:
        self.x.check([across for across, _, _ in self.cells])
        self.y.check([up for _, up, _ in self.cells])
        return self

    @classmethod
    def of(cls, x: NDArray[np.float32], y: NDArray[np.float32]) -> Plane:
        """Of pairs of finite numbers, [count] each."""
        across, up = Axis.of(x, CELLS), Axis.of(y, CELLS)
        places, counts = np.unique(np.stack([across.place(x), up.place(y)]), axis=1, return_counts=True)
        return cls(x=across, y=up, cells=tuple(zip(*places.tolist(), counts.tolist(), strict=True)))

    def merge(self, other: Plane) -> Plane:
        """That of both."""
        x, y = self.x.merge(other.x), self.y.merge(other.y)
        found: Counter[tuple[int, int]] = Counter()
        for each in (self, other):
            right, up = x.exponent - each.x.exponent, y.exponent - each.y.exponent
            for across, high, count in each.cells:
                found[across >> right, high >> up] += count
        return Plane(x=x, y=y, cells=tuple((*place, count) for place, count in sorted(found.items())))
