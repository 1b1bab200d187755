"""How the kernels of convolutions and the windows of poolings slide, as the attributes of their operators say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparknet.compiler.graph import GraphBuilder, Node, Value


@dataclass(frozen=True)
class Geometry:
    """One number a side; `pads` before each side and then after."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[int]
    group: int

    @classmethod
    def of(cls, node: Node) -> Geometry:
        """That of a node, with ONNX's defaults."""
        kernel = list(node.attributes["kernel_shape"])
        ones = [1] * len(kernel)
        strides, dilations = (list(node.attributes.get(name, ones)) for name in ("strides", "dilations"))
        pads = list(node.attributes.get("pads", [0] * 2 * len(kernel)))
        return cls(kernel, strides, dilations, pads, node.attributes.get("group", 1))

    @property
    def attributes(self) -> dict[str, Any]:
        """As operators take them."""
        found = {"kernel_shape": self.kernel, "strides": self.strides, "pads": self.pads}
        if max(self.dilations) > 1:
            found["dilations"] = self.dilations
        return {**found, "group": self.group} if self.group > 1 else found

    def tiles(self, sides: Sequence[int]) -> bool:
        """Whether windows cover these sides without padding, overlaps or a rest."""
        plain = self.kernel == self.strides and max(self.dilations) == 1 and not any(self.pads)
        return plain and all(side % size == 0 for side, size in zip(sides, self.kernel, strict=True))


def batch_last(g: GraphBuilder, x: Value, pads: Sequence[int]) -> Value:
    """[N, channels, *sides] as [channels, *sides, N], padded: what a kernel position meets lies in long pieces."""
    count = len(pads) // 2
    turned = g.op("Transpose", x, perm=[*range(1, count + 2), 0])
    return g.op("Pad", turned, g.ints(0, *pads[:count], 0, 0, *pads[count:], 0)) if any(pads) else turned


def cut(
    g: GraphBuilder, x: Value, starts: Sequence[int], counts: Sequence[int], steps: Sequence[int], first: int
) -> Value:
    """`counts` numbers of each side, from `starts` on, `steps` apart; `first` is the first axis of the sides."""
    ends = [start + (count - 1) * step + 1 for start, count, step in zip(starts, counts, steps, strict=True)]
    axes = range(first, first + len(starts))
    return g.op("Slice", x, g.ints(*starts), g.ints(*ends), g.ints(*axes), g.ints(*steps))
