"""Types on the edges of a net. The batch dimension is never part of a type."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

MAX_SIZE = 2**31 - 1
"""Numbers in one row of a value."""

DType = Literal["float32", "int64", "bool"]


@dataclass(frozen=True)
class TensorType:
    """Element type and shape of one row of a value, e.g. `float32[1, 8, 8]` (channels, height, width)."""

    dtype: DType
    shape: tuple[int, ...]
    vocabulary: int | None = None
    """For tokens, how many there are: the numbers of the value are int64, from 0 to below this."""
    lengths: str | None = None
    """For a sequence of variable length, the graph input that says how many steps of each row count: int64[N]."""

    @property
    def size(self) -> int:
        """Numbers in one row."""
        return prod(self.shape)

    def __str__(self) -> str:
        inside = [*map(str, self.shape)]
        inside += [f"vocabulary: {self.vocabulary}"] * (self.vocabulary is not None)
        inside += ["variable: true"] * (self.lengths is not None)
        kind = self.dtype.rstrip("0123456789") if self.vocabulary is None else "token"
        return f"{kind}[{', '.join(inside)}]"

    def steps_of(self, features: int) -> TensorType:
        """A sequence of numbers with as many steps as this one, `features` in each."""
        return TensorType("float32", (self.shape[0], features), lengths=self.lengths)
