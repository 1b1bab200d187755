"""Operators in the one form that the gradient rules and the lowering know; what they compute stays the same.

Whatever an operator leaves to a default, or lets be computed where it is known, is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from sparknet.compiler.foreign.cutting import HOW_TO_EXPORT
from sparknet.compiler.foreign.file import ModelError, shown
from sparknet.compiler.foreign.sizes import Sizes
from sparknet.compiler.graph import Dim, Node

Array = NDArray[Any]
FOR_INFERENCE = "export it for inference: `model.eval()` before"


@dataclass
class Form:
    """Nodes on the way to their form; `constants` grow by what they need."""

    sizes: Sizes
    constants: dict[str, Array]
    _count: int = field(default=0)

    def rewritten(self, node: onnx.NodeProto) -> Iterator[Node]:
        """The nodes that compute what `node` does. Raises ModelError where no form of it is understood."""
        attributes = {a.name: _plain(helper.get_attribute_value(a)) for a in node.attribute}
        outputs = list(node.output)
        while outputs and not outputs[-1]:
            outputs.pop()
        inputs = list(node.input)
        while inputs and not inputs[-1]:
            inputs.pop()
        plain = Node(node.op_type, tuple(inputs), tuple(outputs), attributes, "")
        rule = _FORMS.get(node.op_type)
        yield from (plain,) if rule is None else rule(self, plain)

    def constant(self, array: Array) -> str:
        """A tensor of a name that the model does not have."""
        self._count += 1
        name = f"{self._count}:constant"
        while name in self.sizes.dims or name in self.constants:
            name = f":{name}"
        self.constants[name] = array
        return name

    def value(self) -> str:
        """A name for a value between two nodes of a form."""
        self._count += 1
        name = f"{self._count}:value"
        while name in self.sizes.dims:
            name = f":{name}"
        return name

    def dims(self, value: str) -> tuple[Dim, ...]:
        """The shape of a value of the model. Raises ModelError where it is not known."""
        if value not in self.sizes.dims:
            raise ModelError(f"the shape of `{shown(value)}` inside is not known before it runs")
        return self.sizes.dims[value]

    def sides(self, value: str) -> list[int]:
        """The sizes behind batch and channels. Raises ModelError where one is not known."""
        sides = [d for d in self.dims(value)[2:] if isinstance(d, int)]
        if len(sides) != len(self.dims(value)) - 2:
            raise ModelError(f"a side of `{shown(value)}` inside is not known before it runs")
        return sides


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def _identity(form: Form, node: Node) -> Iterator[Node]:
    yield Node("Identity", node.inputs[:1], node.outputs[:1], {}, "")


def _dropout(form: Form, node: Node) -> Iterator[Node]:
    """As inference has it, which leaves the numbers as they are."""
    if len(node.outputs) > 1:
        raise ModelError("it reads the mask of a `Dropout`", FOR_INFERENCE)
    yield from _identity(form, node)


def _cast(form: Form, node: Node) -> Iterator[Node]:
    """One from float to float changes nothing, as all are float32."""
    kinds = {form.sizes.types.get(node.inputs[0]), node.attributes["to"]}
    yield from _identity(form, node) if kinds == {onnx.TensorProto.FLOAT} else (node,)


def _batch_normalization(form: Form, node: Node) -> Iterator[Node]:
    if node.attributes.get("training_mode", 0):
        raise ModelError("its `BatchNormalization` is in training mode", FOR_INFERENCE)
    yield replace(node, outputs=node.outputs[:1], attributes={"epsilon": node.attributes.get("epsilon", 1e-5)})


def _reshape(form: Form, node: Node) -> Iterator[Node]:
    """To a constant shape: 0 keeps the batch where it stays in its place, else -1 stands for it."""
    before, after = form.dims(node.inputs[0]), form.dims(node.outputs[0])
    open_ = [k for k, d in enumerate(after) if isinstance(d, str)]
    if len(open_) > 1 or "?" in after:
        raise ModelError(f"the shape of `{shown(node.outputs[0])}` inside is no multiple of the batch", HOW_TO_EXPORT)
    stays = open_ == [0] and before[:1] == after[:1]
    shape = [d if isinstance(d, int) else 0 if stays else -1 for d in after]
    if 0 in after:
        raise ModelError(f"`{shown(node.outputs[0])}` inside holds no numbers")
    yield Node("Reshape", (node.inputs[0], form.constant(np.array(shape, np.int64))), node.outputs, {}, "")


def _squeeze(form: Form, node: Node) -> Iterator[Node]:
    """With its axes written out, so that a batch of one row keeps its axis."""
    if len(node.inputs) < 2:
        axes = [k for k, d in enumerate(form.dims(node.inputs[0])) if d == 1]
        node = replace(node, inputs=(node.inputs[0], form.constant(np.array(axes, np.int64))))
    yield node


def _reduce(form: Form, node: Node) -> Iterator[Node]:
    options = dict(node.attributes)
    nothing = options.pop("noop_with_empty_axes", 0)
    axes = form.constants.get(node.inputs[1]) if len(node.inputs) > 1 else np.zeros(0, np.int64)
    if axes is not None and axes.size == 0:
        if nothing:
            yield from _identity(form, node)
            return
        node = replace(node, inputs=node.inputs[:1])
    yield replace(node, attributes=options)


def _window(form: Form, node: Node, kernel: list[int]) -> dict[str, Any]:
    """Kernel, strides, dilations and pads of a convolution or a pooling, all of them numbers."""
    sides, outs = form.sides(node.inputs[0]), form.sides(node.outputs[0])
    ones, given = [1] * len(kernel), node.attributes
    strides, dilations = (list(given.get(key, ones)) for key in ("strides", "dilations"))
    pads = list(given.get("pads", [0] * 2 * len(kernel)))
    reach = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(outs, strides, kernel, dilations, strict=True)]
    way = given.get("auto_pad", "NOTSET")
    if way in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max(r - side, 0) for r, side in zip(reach, sides, strict=True)]
        small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = small + large if way == "SAME_UPPER" else large + small
    elif given.get("ceil_mode", 0):
        rank = len(kernel)
        beyond = [r - side - pads[a] for a, (r, side) in enumerate(zip(reach, sides, strict=True))]
        pads[rank:] = [max(p, b) for p, b in zip(pads[rank:], beyond, strict=True)]
    found = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    return found | ({"dilations": dilations} if max(dilations) > 1 else {})


def _conv(form: Form, node: Node) -> Iterator[Node]:
    kernel = form.sides(node.inputs[1])
    yield replace(node, attributes=_window(form, node, kernel) | {"group": node.attributes.get("group", 1)})


def _conv_transpose(form: Form, node: Node) -> Iterator[Node]:
    given = node.attributes
    if "output_shape" in given or given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise ModelError("its `ConvTranspose` says its padding by the shape of the result", "export it with pads")
    kernel = form.sides(node.inputs[1])
    ones = [1] * len(kernel)
    found: dict[str, Any] = {"kernel_shape": kernel, "strides": list(given.get("strides", ones))}
    found |= {"pads": list(given.get("pads", [0] * 2 * len(kernel))), "group": given.get("group", 1)}
    found |= {
        k: list(given[k])
        for k in ("dilations", "output_padding")
        if any(v > 1 - (k[0] == "o") for v in given.get(k, ()))
    }
    yield replace(node, attributes=found)


def _max_pool(form: Form, node: Node) -> Iterator[Node]:
    if len(node.outputs) > 1:
        raise ModelError("it reads the indices of a `MaxPool`")
    yield replace(node, attributes=_window(form, node, list(node.attributes["kernel_shape"])))


def _average_pool(form: Form, node: Node) -> Iterator[Node]:
    """Where the zeros of the padding count, they are laid around the input before."""
    found = _window(form, node, list(node.attributes["kernel_shape"]))
    pads, rank = found["pads"], len(found["kernel_shape"])
    if node.attributes.get("count_include_pad", 0) and any(pads):
        if node.attributes.get("ceil_mode", 0):
            raise ModelError("its `AveragePool` counts its padding and rounds up", "export it with `ceil_mode=False`")
        wider = form.value()
        around = form.constant(np.array([0, 0, *pads[:rank], 0, 0, *pads[rank:]], np.int64))
        yield Node("Pad", (node.inputs[0], around), (wider,), {}, "")
        node, found["pads"] = replace(node, inputs=(wider,)), [0] * 2 * rank
    yield replace(node, attributes=found)


_FORMS: dict[str, Callable[[Form, Node], Iterator[Node]]] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Dropout": _dropout,
    "MaxPool": _max_pool,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    **dict.fromkeys(
        [
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceMax",
            "ReduceMean",
            "ReduceMin",
            "ReduceProd",
            "ReduceSum",
            "ReduceSumSquare",
        ],
        _reduce,
    ),
}
