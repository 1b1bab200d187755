"""A foreign model as a layer has it: its weights apart from its constants, its operators ready to be lowered."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.shape_inference import InferenceError

from sparknet.compiler.differentiate import differentiate
from sparknet.compiler.foreign.canonical import Form
from sparknet.compiler.foreign.cutting import HOW_TO_EXPORT, Part, cut, kind_of
from sparknet.compiler.foreign.file import ForeignModel, ModelError, shown
from sparknet.compiler.foreign.inference import ERRORS
from sparknet.compiler.foreign.operators import KINDS
from sparknet.compiler.foreign.safety import complaint
from sparknet.compiler.foreign.sizes import find_sizes
from sparknet.compiler.graph import BATCH, DTYPES, Dim, GraphBuilder, Node, Value
from sparknet.compiler.types import MAX_SIZE, TensorType

Array = NDArray[Any]
_PINNED = {
    "BatchNormalization": (3, 4),
    "Clip": (1, 2),
    "Resize": (1, 2),
    "Pad": (2,),
    "OneHot": (2,),
}
"""Float inputs that training never changes: running statistics, bounds and factors."""
_LONGEST = 100


@dataclass(frozen=True, eq=False)
class ForeignGraph:
    """What computes one output of a model from rows of one shape.

    `weights` are the float tensors of one axis and more, by the names that the parameters get; `statistics`, the
    running means and variances of its batch normalisations, never change. `result` is the type of the output.
    """

    nodes: tuple[Node, ...]
    input: str
    output: str
    weights: Mapping[str, Array] = field(repr=False)
    statistics: Mapping[str, Array] = field(repr=False)
    constants: Mapping[str, Array] = field(repr=False)
    """By the names that the model itself gives, as are the two before in `names`."""
    names: Mapping[str, str]
    dims: Mapping[str, tuple[Dim, ...]]
    """Of the float values."""
    result: TensorType
    tokens: int | None
    """The element type of tokens that the model takes, None where it takes numbers."""

    def lower(self, g: GraphBuilder, x: Value, parameters: Mapping[str, Value]) -> Value:
        """Append its operators; `parameters` holds weights and statistics."""
        values = {"": "", self.input: x if self.tokens in (None, DTYPES["int64"]) else g.op("Cast", x, to=self.tokens)}
        values |= {foreign: parameters[own] for own, foreign in self.names.items()}
        exact = {node.inputs[2] for node in self.nodes if node.op == "Resize" and len(node.inputs) > 2}
        for name, array in self.constants.items():
            kind = None if array.dtype == np.float32 and name not in exact else str(array.dtype)
            values[name] = g.constant(array, kind)
        for node in self.nodes:
            inputs = [values[i] for i in node.inputs]
            attributes = node.attributes
            if attributes.get("to") == DTYPES["float32"]:
                attributes = attributes | {"to": g.onnx_type(g.dtype)}
            outputs = g.op_n(node.op, len(node.outputs), *inputs, **attributes)
            values |= dict(zip(node.outputs, outputs, strict=True))
            g.stated |= {values[name]: self.dims[name] for name in node.outputs if "?" not in self.dims.get(name, "?")}
        return values[self.output]

    def check_gradients(self, x: TensorType, *, inward: bool, frozen: bool) -> None:
        """Raise MissingGradientError where training has no way back through it, ModelError where it is none.

        `inward` where something before it is trained; its own weights are, unless it is `frozen`.
        """
        with _consistent():
            self._differentiate(x, inward, frozen)

    def _differentiate(self, x: TensorType, inward: bool, frozen: bool) -> None:
        g = GraphBuilder("foreign")
        arriving = g.input("net/x", x.dtype, (BATCH, *x.shape))
        tensors = {**self.weights, **self.statistics}
        held = {name: g.input(f"net/{name}", "float32", array.shape) for name, array in tensors.items()}
        total = g.op("ReduceSum", self.lower(g, arriving, held), keepdims=0)
        wanted = [arriving] * inward + [held[name] for name in self.weights if not frozen]
        if wanted:
            differentiate(g, total, wanted)
        else:
            g.infer()

    def multiply_adds(self) -> int:
        """Products of numbers with weights, for one row: each weight counts for every place that it is used at."""
        total = 0
        for node in self.nodes:
            weight = self.dims[node.inputs[1]] if len(node.inputs) > 1 and node.inputs[1] in self.dims else ()
            sizes = [d for d in weight if isinstance(d, int)]
            result = [d for d in self.dims.get(node.output, ())[1:] if isinstance(d, int)]
            if node.op in ("Conv", "ConvTranspose"):
                total += prod(sizes) * prod(result[1:])
            elif node.op in ("Gemm", "MatMul") and len(sizes) == len(weight) >= 2:
                turned = node.attributes.get("transB", 0)
                total += prod(result) * sizes[-1 if turned else -2]
        return total


@lru_cache(maxsize=16)
def graph_of(model: ForeignModel, output: str | None, x: TensorType) -> ForeignGraph:
    """What computes `output` of a model, or its only output, where rows of `x` arrive. Raises ModelError."""
    part = cut(model, output, x)
    tensors = part.tensors
    pinned = _pinned(part)
    weights: dict[str, Array] = {}
    constants: dict[str, Array] = {}
    for name, array in tensors.items():
        learns = array.dtype == np.float32 and array.ndim > 0 and name not in pinned and np.isfinite(array).all()
        (weights if learns else constants)[name] = array
    sizes = find_sizes(part, x.shape, constants)
    _check_types(sizes.types)
    _check_sizes(sizes.dims)
    statistics = {i for n in part.nodes if n.op_type == "BatchNormalization" for i in n.input[3:5]}
    constants |= sizes.constants
    form = Form(sizes, constants)
    computed = [node for node in part.nodes if node.output[0] not in sizes.constants]
    with _consistent():
        nodes = tuple(new for node in computed for new in form.rewritten(node))
    names = _parameter_names([n for n in tensors if n in weights or n in statistics])
    return ForeignGraph(
        nodes=nodes,
        input=part.input,
        output=part.output,
        weights={own: tensors[n] for own, n in names.items() if n in weights},
        statistics={own: tensors[n] for own, n in names.items() if n not in weights},
        constants={n: a for n, a in constants.items() if n not in statistics},
        names=names,
        dims={n: d for n, d in sizes.dims.items() if sizes.types.get(n) == DTYPES["float32"]},
        result=_result(part.output, form.dims(part.output)),
        tokens=part.kind if x.vocabulary is not None else None,
    )


@contextmanager
def _consistent() -> Iterator[None]:
    """Within this, an operator that is not what ONNX says of it is the model's fault.

    ONNX's checks let pass a window of another rank than what it goes over, a group of 0 and the like, each of which
    fails in a way of its own where it is used.
    """
    try:
        yield
    except (*ERRORS, LookupError, ArithmeticError) as error:
        why = f": {complaint(error)}" if isinstance(error, InferenceError) else ""
        help = "`onnx.checker.check_model(model, full_check=True)` may say more"
        raise ModelError(f"its operators do not fit each other{why}", help) from error


def _pinned(part: Part) -> set[str]:
    found: set[str] = set()
    for node in part.nodes:
        found.update(i for k, i in enumerate(node.input) if k in _PINNED.get(node.op_type, ()))
    return found


def _check_types(types: Mapping[str, int]) -> None:
    allowed = {DTYPES[kind] for kind in KINDS}
    odd = next((name for name, kind in types.items() if kind not in allowed and kind), None)
    if odd is not None:
        message = f"`{shown(odd)}` inside is of {kind_of(types[odd])}; nets compute with float32"
        raise ModelError(message, "export it in float32: `model.float()` before")


def _check_sizes(dims: Mapping[str, tuple[Dim, ...]]) -> None:
    for name, shape in dims.items():
        if prod(d for d in shape if isinstance(d, int)) > MAX_SIZE:
            raise ModelError(f"`{shown(name)}` inside would hold more than {MAX_SIZE:,} numbers")


def _result(name: str, dims: tuple[Dim, ...]) -> TensorType:
    row = tuple(d for d in dims[1:] if isinstance(d, int))
    if dims[:1] != (BATCH,) or len(row) != len(dims) - 1 or not row or 0 in row:
        message = (
            f"`{shown(name)}` is of the shape `[{', '.join(map(str, dims))}]`, N the batch, not of a row for each row"
        )
        raise ModelError(message, HOW_TO_EXPORT if dims[:1] != (BATCH,) else None, "output")
    return TensorType("float32", row)


def _parameter_names(tensors: list[str]) -> dict[str, str]:
    """A name for each tensor that a file can hold, close to its own: letters, digits, `_` and `.`."""
    names: dict[str, str] = {}
    for foreign in tensors:
        stem = re.sub(r"[^A-Za-z0-9_.]+", "_", foreign)[:_LONGEST].strip("._") or "tensor"
        own, k = stem, 1
        while own in names:
            k += 1
            own = f"{stem}_{k}"
        names[own] = foreign
    return names
