"""A graph whose convolutions run on ONNX Runtime's blocked kernels, those that it takes for constant weights.

They read and write 16 or 8 channels side by side (NCHWc), as wide as the processor's registers, and reach the speed of
a matrix product; the plain kernels copy all that a filter meets first. ONNX Runtime puts them in by itself where
weights are constants, which those of a training step are not. So the operators of its domain stand here as it writes
them into the models that it optimizes. The graph is for x86-64 processors only, and fit for no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sparknet.compiler.lazy import Lazy

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import onnx.numpy_helper
    from onnx import helper
else:
    np, onnx, helper = Lazy("numpy"), Lazy("onnx"), Lazy("onnx.helper")

DOMAIN = "com.microsoft.nchwc"
_BLOCK = 16
"""The larger of the two widths: what it divides, 8 divides too, and the operators find out which one it is.

Images of a few channels have a kernel of their own, which gains less than it costs to put its results in order.
"""

Shapes = Mapping[str, tuple[int, ...]]


def blocked(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model with the convolutions that can be blocked, and their input gradients, in blocks; None without any.

    Args:
        model: A graph of ours, in float32; it is not changed.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    if not _rewrite(found.graph, {}):
        return None
    found.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return found


def _rewrite(graph: onnx.GraphProto, outside: Shapes) -> int:
    """Rewrite a graph and the bodies of its loops; gives the number of convolutions in blocks."""
    shapes = {**outside, **_constant_shapes(graph)}
    relus, old, count = _relus(graph), list(graph.node), 0
    del graph.node[:]
    gone: set[str] = set()
    for node in old:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                count += _rewrite(attribute.g, shapes)
        if node.output[0] in gone:
            continue
        convolution = _Convolution.of(node, shapes)
        if convolution is None:
            graph.node.append(node)
            continue
        relu = relus.get(node.output[0])
        if relu is not None:
            gone.add(relu)
        convolution.write(graph, relu)
        count += 1
    return count


def _constant_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs that have a constant one, and of what is reshaped to one.

    All weights do: they are inputs of their own, or come out of a flat vector.
    """
    ints = {t.name: t for t in graph.initializer if t.data_type == onnx.TensorProto.INT64}
    found = {entry.name: tuple(d.dim_value for d in entry.type.tensor_type.shape.dim) for entry in graph.input}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in ints:
            found[node.output[0]] = tuple(onnx.numpy_helper.to_array(ints[node.input[1]]).tolist())
    return {name: shape for name, shape in found.items() if min(shape, default=1) > 0}


def _relus(graph: onnx.GraphProto) -> dict[str, str]:
    """The outputs of all `Relu`s that alone read a value, by that value."""
    reads = Counter(_reads(graph))
    reads.update(entry.name for entry in graph.output)
    return {n.input[0]: n.output[0] for n in graph.node if n.op_type == "Relu" and reads[n.input[0]] == 1}


def _reads(graph: onnx.GraphProto) -> list[str]:
    """All that the nodes of a graph read, those of bodies too."""
    bodies = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return [v for node in graph.node for v in node.input] + [v for body in bodies for v in _reads(body)]


@dataclass(frozen=True)
class _Convolution:
    """A convolution of images in one group, `filters` by `channels` by `kernel`.

    Where it is `turned`, its filter comes as that of the convolution whose input gradient it is, float32[channels,
    filters, *kernel], to be read backwards.
    """

    node: onnx.NodeProto
    filters: int
    channels: int
    kernel: tuple[int, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    turned: bool = False

    @classmethod
    def of(cls, node: onnx.NodeProto, shapes: Shapes) -> _Convolution | None:
        """That of a node, if it can be blocked."""
        if node.op_type not in ("Conv", "ConvTranspose") or node.domain or len(shapes.get(node.input[1], ())) != 4:
            return None
        found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        first, second, *kernel = shapes[node.input[1]]
        if found.get("group", 1) != 1 or "auto_pad" in found:
            return None
        if node.op_type == "Conv":
            made = cls(node, first, second, tuple(kernel), found)
            return made if made._fits() else None
        gaps = found.get("dilations", [1, 1])
        pads = [(kernel[a % 2] - 1) * gaps[a % 2] - p for a, p in enumerate(found.get("pads", [0] * 4))]
        moves = max(found.pop("strides", [1])) > 1 or max(found.pop("output_padding", [0])) > 0
        made = cls(node, second, first, tuple(kernel), {**found, "pads": pads}, turned=True)
        return made if made._fits() and not moves and min(pads) >= 0 else None

    def _fits(self) -> bool:
        return self.filters % _BLOCK == self.channels % _BLOCK == 0

    def write(self, graph: onnx.GraphProto, relu: str | None) -> None:
        """Append the nodes, and what they read; `relu` is the name of what follows, to be computed at once."""
        write = _Writer(graph, self.node.output[0])
        x = write.op("ReorderInput", self.node.input[0], domain=DOMAIN)
        inputs = [x, self._filter(write), *self.node.input[2:]]
        activation = {"activation": "Relu"} if relu else {}
        y = write.op("Conv", *inputs, domain=DOMAIN, **self.attributes, **activation)
        output = relu or self.node.output[0]
        write.op("ReorderOutput", y, domain=DOMAIN, channels=self.filters, output=output)

    def _filter(self, write: _Writer) -> str:
        """As the kernels want it: [blocks of filters, blocks of channels, *kernel, channel, filter].

        `ReorderInput` puts 16 or 8 of the second axis behind all others: first the channels, as if filters were
        images, and then the filters, of one image whose pixels are all the rest.
        """
        places = self.kernel[0] * self.kernel[1]
        value = self.node.input[1]
        if self.turned:
            rows = write.op("Reshape", value, write.ints(self.channels, self.filters, places))
            rows = write.op("Transpose", rows, perm=[1, 2, 0])
            rows = write.op("Gather", rows, write.ints(*reversed(range(places))), axis=1)
            value = write.op("Reshape", rows, write.ints(self.filters, *self.kernel, self.channels))
            value = write.op("ReorderInput", value, domain=DOMAIN, channels_last=1)
        else:
            value = write.op("ReorderInput", value, domain=DOMAIN)
        value = write.op("Reshape", value, write.ints(1, self.filters, self.channels * places, 1))
        value = write.op("ReorderInput", value, domain=DOMAIN)
        return write.op("Reshape", value, write.ints(self.filters, self.channels, *self.kernel))


@dataclass
class _Writer:
    """Appends nodes to a graph; what they give is named after one value, of which there is but one in the model."""

    graph: onnx.GraphProto
    name: str
    count: int = 0

    def _fresh(self) -> str:
        self.count += 1
        return f"{self.name}/blocked_{self.count}"

    def ints(self, *values: int) -> str:
        """A constant int64 vector."""
        name = self._fresh()
        self.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def op(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A node with one output."""
        output = output or self._fresh()
        self.graph.node.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output
