"""Layers that make images and signals larger or smaller without weights."""

from __future__ import annotations

from typing import ClassVar, Literal

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ShapeError
from sparknet.compiler.layers.windows import Amounts, Sizes, sides_of, spread, written
from sparknet.compiler.types import TensorType


class Pad(Layer):
    """`pad(1)`, `pad(1x2)`: zeros before and after each side; with two amounts above and below, then left and right."""

    name: ClassVar[str] = "pad"

    amount: Amounts

    def infer(self, x: TensorType) -> TensorType:
        """Each side longer by twice its amount."""
        sides = sides_of(self.name, x)
        amounts = spread("padding", self.amount, sides)
        return TensorType("float32", (x.shape[0], *(s + 2 * a for s, a in zip(sides, amounts, strict=True))))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Pad`."""
        amounts = (0, 0, *spread("padding", self.amount, t.shape[1:]))
        return low.graph.op("Pad", x, low.graph.ints(*amounts, *amounts))


class Crop(Layer):
    """`crop(1)`, `crop(1x2)`: takes away from both ends of each side what `pad` would add."""

    name: ClassVar[str] = "crop"

    amount: Amounts

    def infer(self, x: TensorType) -> TensorType:
        """Each side shorter by twice its amount."""
        sides = sides_of(self.name, x)
        left = tuple(s - 2 * a for s, a in zip(sides, spread("crop", self.amount, sides), strict=True))
        if min(left) < 1:
            raise ShapeError(f"cropping {written(self.amount)} from both ends leaves nothing of {written(sides)}")
        return TensorType("float32", (x.shape[0], *left))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Slice`."""
        g, sides = low.graph, t.shape[1:]
        amounts = spread("crop", self.amount, sides)
        ends = (s - a for s, a in zip(sides, amounts, strict=True))
        return g.op("Slice", x, g.ints(*amounts), g.ints(*ends), g.ints(*range(2, 2 + len(sides))))


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


LAYERS: tuple[type[Layer], ...] = (Pad, Crop, Upsample)
