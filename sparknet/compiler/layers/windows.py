"""Sizes along the sides of images `[channels, height, width]` and signals `[channels, length]`, and what slides there.

A size is written once for all sides (`3`) or once for each (`3x3`), so how many sides there are is known only once a
value arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sparknet.compiler.layers.base import ShapeError, Side
from sparknet.compiler.types import TensorType

Padding = Literal["same", "valid"]


def _single(value: Any) -> Any:
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value


Sizes = Annotated[tuple[Side, ...], Field(min_length=1, max_length=2), BeforeValidator(_single)]
Amounts = Annotated[
    tuple[Annotated[int, Field(ge=0, le=65_536)], ...], Field(min_length=1, max_length=2), BeforeValidator(_single)
]


def sides_of(layer: str, x: TensorType) -> tuple[int, ...]:
    """Height and width of an image or the length of a signal; ShapeError where `x` is neither."""
    if x.dtype != "float32" or len(x.shape) not in (2, 3):
        raise ShapeError(
            f"`{layer}` needs an image `[channels, height, width]` or a signal `[channels, length]`, but `{x}` arrives",
            "`reshape(channels, height, width)` before it makes an image of it" if x.dtype == "float32" else None,
        )
    return x.shape[1:]


def spread(what: str, sizes: tuple[int, ...], sides: tuple[int, ...]) -> tuple[int, ...]:
    """A size for each side; ShapeError where two are written for a signal, which has one side."""
    if len(sizes) == 1:
        return sizes * len(sides)
    if len(sizes) != len(sides):
        raise ShapeError(
            f"a {what} of {written(sizes)} has two sizes, but what arrives has one side",
            f"write one size, such as `{sizes[-1]}`",
        )
    return sizes


def written(sizes: tuple[int, ...]) -> str:
    """Sizes as a `.net` file has them: `3x3`."""
    return "x".join(map(str, sizes))


@dataclass(frozen=True)
class Sliding:
    """A window that slides along sides: its sizes, its steps, and how far apart the numbers are that it meets."""

    sides: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: Padding

    @property
    def extent(self) -> tuple[int, ...]:
        """How far the window reaches along each side."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def fits(self) -> bool:
        """Whether there is a place for it at all."""
        return self.pad == "same" or all(e <= s for e, s in zip(self.extent, self.sides, strict=True))

    @property
    def places(self) -> tuple[int, ...]:
        """Places along each side: with `same` one for each step, else as many as fit."""
        if self.pad == "same":
            return tuple(-(-side // step) for side, step in zip(self.sides, self.stride, strict=True))
        return tuple((s - e) // step + 1 for s, e, step in zip(self.sides, self.extent, self.stride, strict=True))

    @property
    def pads(self) -> list[int]:
        """Rows before each side, then after each, as ONNX has them; an odd one goes after (SAME_UPPER)."""
        if self.pad == "valid":
            return [0] * 2 * len(self.sides)
        reach = zip(self.places, self.stride, self.extent, self.sides, strict=True)
        totals = [max((place - 1) * step + extent - side, 0) for place, step, extent, side in reach]
        return [total // 2 for total in totals] + [total - total // 2 for total in totals]
