"""Types on the edges of a net. The batch dimension is never part of a type."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

DType = Literal["float32", "int64", "bool"]


@dataclass(frozen=True)
class TensorType:
    """Element type and shape of one row of a value, e.g. `float32[1, 8, 8]` (channels, height, width)."""

    dtype: DType
    shape: tuple[int, ...]
    vocabulary: int | None = None
    """For tokens, how many there are: the numbers of the value are int64, from 0 to below this."""

    @property
    def size(self) -> int:
        """Numbers in one row."""
        return prod(self.shape)

    def __str__(self) -> str:
        if self.vocabulary is not None:
            return f"token[{', '.join(map(str, self.shape))}, vocabulary: {self.vocabulary}]"
        return f"{self.dtype.rstrip('0123456789')}[{', '.join(map(str, self.shape))}]"
