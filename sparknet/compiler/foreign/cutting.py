"""What one output of a model needs, as a model of its own in our operator set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from sparknet.compiler.foreign.file import ForeignModel, ModelError, shown
from sparknet.compiler.foreign.inference import ERRORS, check_sizes, tensor_of
from sparknet.compiler.foreign.operators import OPERATORS
from sparknet.compiler.foreign.safety import complaint
from sparknet.compiler.graph import DTYPES, IR_VERSION, OPSET
from sparknet.compiler.types import TensorType
from sparknet.grammar.suggest import closest

Array = NDArray[Any]
BATCHES = (1009, 1013)
"""Two sizes of a batch that stand for all: primes, and larger than most sizes of a net."""
HOW_TO_EXPORT = (
    'export it for batches of any size, of PyTorch by `dynamic_shapes=({0: "batch"},)` or, with `dynamo=False`, by '
    '`dynamic_axes={"NAME OF THE INPUT": {0: "batch"}}`'
)
_MOST_LISTED = 8
_FEW_NUMBERS = 1024
"""Up to here a tensor may be what a shape depends on: scales, bounds."""


@dataclass(frozen=True)
class Part:
    """What one output of a model needs: nodes of opset `OPSET` between one input and one output, and tensors."""

    nodes: tuple[onnx.NodeProto, ...]
    input: str
    kind: int
    """ONNX's number for the element type of the input."""
    output: str
    tensors: Mapping[str, Array]


def cut(model: ForeignModel, output: str | None, x: TensorType) -> Part:
    """The part of the model that computes `output`, any value of it, its only output unless one is named.

    Raises ModelError, also where its input does not take `x`, or it uses operators that are not understood.
    """
    graph = model.proto.graph
    name = output if output is not None else _only_output(graph)
    producers = {o: k for k, node in enumerate(graph.node) for o in node.output if o}
    if name not in producers:
        near = closest(name, producers)
        help = f"did you mean `{shown(near)}`?" if near else f"its outputs are {_listed(o.name for o in graph.output)}"
        raise ModelError(f"the model computes no `{shown(name)}`", help, "output")
    nodes = _needed(graph, producers, name)
    _check_operators(nodes, graph, name)
    read = {i for node in nodes for i in node.input}
    tensors = [t for t in graph.initializer if t.name in read]
    held = {t.name for t in graph.initializer}
    inputs = [i for i in graph.input if i.name in read and i.name not in held]
    if len(inputs) != 1:
        which = f": {_listed(i.name for i in inputs)}" if inputs else ""
        raise ModelError(f"`{shown(name)}` depends on {len(inputs)} inputs of the model{which}; a layer has one")
    _check_input(inputs[0], x)
    arrays = {t.name: tensor_of(t) for t in tensors}
    large = {n: a for n, a in arrays.items() if a.dtype == np.float32 and a.size > _FEW_NUMBERS}
    kind = inputs[0].type.tensor_type.elem_type
    shapes = {inputs[0].name: (kind, (BATCHES[0], *x.shape))}
    shapes |= {n: (DTYPES["float32"], a.shape) for n, a in large.items()}
    taken = [helper.make_tensor_value_info(n, *shape) for n, shape in shapes.items()]
    small = [t for t in tensors if t.name not in large]
    types = {n: k for n, (k, _) in shapes.items()} | {t.name: t.data_type for t in small}
    sizes = {n: s for n, (_, s) in shapes.items()} | {t.name: arrays[t.name].shape for t in small}
    check_sizes(nodes, model.opsets[""], types, sizes, {t.name: arrays[t.name] for t in small})
    graph = _converted(helper.make_graph(nodes, "foreign", taken, [onnx.ValueInfoProto(name=name)], small), model)
    arrays |= {t.name: tensor_of(t) for t in graph.initializer}
    return Part(tuple(graph.node), inputs[0].name, kind, name, arrays)


def _converted(graph: onnx.GraphProto, model: ForeignModel) -> onnx.GraphProto:
    """A graph of the opsets of `model`, checked, in ours. Large tensors are inputs of it: they need no copies."""
    opsets = [helper.make_opsetid("", model.opsets[""])]
    part = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    try:
        part = onnx.shape_inference.infer_shapes(part)
        found = part.graph.output[0].type.tensor_type
        if found.elem_type not in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.FLOAT):
            name = shown(part.graph.output[0].name)
            raise ModelError(f"`{name}` holds no float32 numbers", "export it in float32", "output")
        # The checker asks for a shape; of old operators, that may not be known before they are converted.
        found.elem_type = onnx.TensorProto.FLOAT
        found.shape.SetInParent()
        onnx.checker.check_model(part)
        return part.graph if model.opsets[""] == OPSET else onnx.version_converter.convert_version(part, OPSET).graph
    except ERRORS as error:
        raise ModelError(f"it is not a valid model: {complaint(error)}") from error


def _check_input(entry: onnx.ValueInfoProto, x: TensorType) -> None:
    tensor, name = entry.type.tensor_type, shown(entry.name)
    kinds = (DTYPES["int64"], DTYPES["int32"]) if x.vocabulary is not None else (DTYPES["float32"],)
    if tensor.elem_type not in kinds:
        raise ModelError(f"its input `{name}` takes {kind_of(tensor.elem_type)}, but `{x}` arrives")
    if not tensor.HasField("shape"):
        return
    batch, *row = tensor.shape.dim or [onnx.TensorShapeProto.Dimension()]
    if batch.HasField("dim_value"):
        raise ModelError(f"its input `{name}` takes batches of {batch.dim_value} and no others", HOW_TO_EXPORT)
    fits = len(row) == len(x.shape) and all(
        not d.HasField("dim_value") or d.dim_value == size for d, size in zip(row, x.shape, strict=True)
    )
    if not fits:
        shape = ", ".join(str(d.dim_value) if d.HasField("dim_value") else "any" for d in row)
        raise ModelError(f"its input `{name}` takes `[{shape}]`, but `{x}` arrives")


def kind_of(number: int) -> str:
    """An element type as numpy calls it."""
    try:
        return str(onnx.TensorProto.DataType.Name(number)).lower()
    except ValueError:
        return f"type {number}"


def _only_output(graph: onnx.GraphProto) -> str:
    outputs = [o.name for o in graph.output]
    if len(outputs) != 1:
        message = f"the model has {len(outputs)} outputs: {_listed(outputs)}"
        raise ModelError(message, f'name one: `output: "{shown(outputs[-1])}"`' if outputs else None)
    return str(outputs[0])


def _needed(graph: onnx.GraphProto, producers: dict[str, int], name: str) -> list[onnx.NodeProto]:
    """The nodes that `name` needs, in their order."""
    live: set[int] = set()
    pending = [producers[name]]
    while pending:
        k = pending.pop()
        if k not in live:
            live.add(k)
            pending += [producers[i] for i in graph.node[k].input if i in producers]
    return [graph.node[k] for k in sorted(live)]


def _check_operators(nodes: list[onnx.NodeProto], graph: onnx.GraphProto, name: str) -> None:
    odd = {id(n): n for n in nodes if n.domain not in ("", "ai.onnx") or n.op_type not in OPERATORS | {"Constant"}}
    if not odd:
        return
    first = next(iter(odd.values()))
    domain = f" of `{shown(first.domain)}`" if first.domain not in ("", "ai.onnx") else ""
    sound = [o for node in nodes if id(node) not in odd for o in node.output if o]
    before = [i for node in odd.values() for i in node.input if i in sound]
    help = f"pick a value before it: {_listed(dict.fromkeys(before))} by `output:`" if before else None
    raise ModelError(
        f"`{shown(name)}` needs the operator `{shown(first.op_type)}`{domain}, which no net can use", help, "output"
    )


def _listed(names: Iterable[str]) -> str:
    every = [f"`{shown(name)}`" for name in names]
    more = f" and {len(every) - _MOST_LISTED} more" if len(every) > _MOST_LISTED else ""
    return ", ".join(every[:_MOST_LISTED]) + more if every else "none"
