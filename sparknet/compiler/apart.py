"""The step graph with its optimizer state in parts, and with the tensors of a small net as inputs of their own.

`step.onnx` takes and gives vectors, which is easy to use and costs a copy in and a copy out. Whoever runs many steps
keeps the parts apart in between: views of one vector are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from sparknet.compiler.lazy import Lazy

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from sparknet.compiler.layout import Slot
else:
    onnx = Lazy("onnx")

PARAMETERS, STATE, NEW_STATE = "parameters", "optimizer_state", "new_optimizer_state"
_SMALL = 2**16
"""More parameters than these are cut by a copy, which brings them into the cache in order (measured)."""


@dataclass(frozen=True)
class Part:
    """A stretch of the optimizer's state: the input that takes it, the output that gives it anew, its length."""

    taken: str
    given: str
    size: int


@dataclass(frozen=True)
class View:
    """An input that takes a tensor, which lies in the vector of parameters from `start` on."""

    taken: str
    start: int
    shape: tuple[int, ...]

    def of(self, parameters: NDArray[Any]) -> NDArray[Any]:
        """The tensor in a vector of all parameters, [count]; no copy."""
        return parameters[self.start : self.start + prod(self.shape)].reshape(self.shape)


def apart(
    step: onnx.ModelProto, state: Sequence[Slot], parameters: Sequence[Slot]
) -> tuple[onnx.ModelProto, tuple[Part, ...], tuple[View, ...]]:
    """A step graph that takes and gives its optimizer state in parts, and takes each tensor of a small net too.

    Args:
        step: The graph, as `CompiledNet.step`; it is not changed.
        state: The parts of the optimizer's state, in their order.
        parameters: The tensors, in their order.

    Returns:
        The graph, the parts, and where the tensors lie in the vector of all parameters, which it takes as before; no
        tensors of a larger net, or of a single one. Its inputs and outputs end with the parts, where there are several,
        and then the tensors.
    """
    cut = onnx.ModelProto()
    cut.CopyFrom(step)
    return cut, _state_apart(cut.graph, state), _tensors_apart(cut.graph, parameters)


def _state_apart(graph: onnx.GraphProto, slots: Sequence[Slot]) -> tuple[Part, ...]:
    """Take the `Split` of the optimizer state and the `Concat` of the new one out of a graph."""
    if len(slots) < 2:
        return (Part(STATE, NEW_STATE, sum(slot.size for slot in slots)),)
    makers = {name: node for node in graph.node for name in node.output}
    split = next(node for node in graph.node if STATE in node.input)
    joined = [makers[NEW_STATE]]
    while joined[-1].op_type == "Identity":
        joined.append(makers[joined[-1].input[0]])
    if (split.op_type, joined[-1].op_type) != ("Split", "Concat"):
        raise AssertionError("the step graph does not split and join the optimizer's state")
    pairs = zip(slots, split.output, joined[-1].input, strict=True)
    parts = tuple(Part(taken, given, slot.size) for slot, taken, given in pairs)
    for node in (split, *joined):
        graph.node.remove(node)
    _replace(graph.input, STATE, {part.taken: part.size for part in parts})
    _replace(graph.output, NEW_STATE, {part.given: part.size for part in parts})
    return parts


def _tensors_apart(graph: onnx.GraphProto, slots: Sequence[Slot]) -> tuple[View, ...]:
    """Make inputs of the tensors that a graph cuts from the vector of all parameters, where they are few numbers."""
    if len(slots) < 2 or sum(slot.size for slot in slots) > _SMALL:
        return ()
    split = next(node for node in graph.node if node.op_type == "Split" and node.input[0] == PARAMETERS)
    shaped = {node.input[0]: node for node in graph.node if node.input and node.input[0] in split.output}
    if len(split.output) != len(slots) or {node.op_type for node in shaped.values()} != {"Reshape"}:
        raise AssertionError("the step graph does not begin with the tensors of its parameters")
    views = []
    for slot, piece in zip(slots, split.output, strict=True):
        if piece in shaped:
            views.append(View(shaped[piece].output[0], slot.offset, slot.shape))
            graph.node.remove(shaped[piece])
    graph.node.remove(split)
    dtype = graph.output[0].type.tensor_type.elem_type
    graph.input.extend(onnx.helper.make_tensor_value_info(view.taken, dtype, view.shape) for view in views)
    return tuple(views)


def _replace(entries: Sequence[onnx.ValueInfoProto], name: str, sizes: dict[str, int]) -> None:
    """Vectors of the given lengths, of the same element type, behind the others in the place of `name`."""
    whole = next(entry for entry in entries if entry.name == name)
    dtype = whole.type.tensor_type.elem_type
    entries.remove(whole)  # type: ignore[attr-defined]
    entries.extend(onnx.helper.make_tensor_value_info(key, dtype, [size]) for key, size in sizes.items())  # type: ignore[attr-defined]
