"""Layers that make images and signals larger or smaller without weights."""

from __future__ import annotations

from typing import ClassVar, Literal

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ShapeError
from sparknet.compiler.layers.windows import Amounts, Sizes, sides_of, spread, written
from sparknet.compiler.types import TensorType


class Pad(Layer):
    """`pad(1)`, `pad(1x2)`: zeros before and after each side; with two amounts above and below, then left and right.

    `pad(1, end: 2)` adds other amounts after each side, below and to the right.
    """

    name: ClassVar[str] = "pad"

    amount: Amounts
    end: Amounts | None = None

    def infer(self, x: TensorType) -> TensorType:
        """Each side longer by its amounts."""
        sides = sides_of(self.name, x)
        ends = zip(sides, *_both("padding", self.amount, self.end, sides), strict=True)
        return TensorType("float32", (x.shape[0], *(map(sum, ends))))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Pad`."""
        before, after = _both("padding", self.amount, self.end, t.shape[1:])
        return low.graph.op("Pad", x, low.graph.ints(0, 0, *before, 0, 0, *after))


class Crop(Layer):
    """`crop(1)`, `crop(1x2)`, `crop(1, end: 2)`: takes away from the ends of each side what `pad` would add."""

    name: ClassVar[str] = "crop"

    amount: Amounts
    end: Amounts | None = None

    def infer(self, x: TensorType) -> TensorType:
        """Each side shorter by its amounts."""
        sides = sides_of(self.name, x)
        left = tuple(s - a - b for s, a, b in zip(sides, *_both("crop", self.amount, self.end, sides), strict=True))
        if min(left) < 1:
            what = f"{written(self.amount)} from both ends"
            if self.end is not None:
                what = f"{written(self.amount)} from the near ends and {written(self.end)} from the far ends"
            raise ShapeError(f"cropping {what} leaves nothing of {written(sides)}")
        return TensorType("float32", (x.shape[0], *left))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Slice`."""
        g, sides = low.graph, t.shape[1:]
        before, after = _both("crop", self.amount, self.end, sides)
        ends = (s - a for s, a in zip(sides, after, strict=True))
        return g.op("Slice", x, g.ints(*before), g.ints(*ends), g.ints(*range(2, 2 + len(sides))))


class Upsample(Layer):
    """`upsample(2)`: each number repeated along each side, or with `bilinear` the line between neighbours.

    `bilinear` takes a number for the middle of its pixel, as PyTorch does without `align_corners`.
    """

    name: ClassVar[str] = "upsample"

    scale: Sizes
    method: Literal["nearest", "bilinear"] = "nearest"

    def infer(self, x: TensorType) -> TensorType:
        """Each side longer by its factor."""
        sides = sides_of(self.name, x)
        factors = spread("scale", self.scale, sides)
        return TensorType("float32", (x.shape[0], *(s * f for s, f in zip(sides, factors, strict=True))))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Resize`, its factors float32 whatever the graph computes in."""
        g = low.graph
        scales = g.constant([1.0, 1.0, *spread("scale", self.scale, t.shape[1:])], "float32")
        if self.method == "bilinear":
            return g.op("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
        return g.op(
            "Resize", x, "", scales,
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip


def _both(
    what: str, amount: tuple[int, ...], end: tuple[int, ...] | None, sides: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The amounts at the near end of each side, and at the far end."""
    return spread(what, amount, sides), spread(what, amount if end is None else end, sides)


LAYERS: tuple[type[Layer], ...] = (Pad, Crop, Upsample)
