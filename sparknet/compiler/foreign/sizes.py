"""The type and shape of every value of a model, for a batch of any size, and what of it is constant.

A batch has no number before it is there, and ONNX's inference loses a symbolic one in the arithmetic that exporters
write around shapes. So the shapes are inferred for two batches of large prime sizes: a size that is equal in both is
constant, one that is `k` times the batch in both depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from sparknet.compiler.foreign.cutting import BATCHES, HOW_TO_EXPORT, Part
from sparknet.compiler.foreign.file import ModelError, shown
from sparknet.compiler.foreign.inference import ERRORS, constant_of, infer_node
from sparknet.compiler.foreign.safety import complaint
from sparknet.compiler.graph import BATCH, OPSET, Dim

Array = NDArray[Any]
_NAMES = """
Abs Add And Cast Ceil Concat ConstantOfShape Div Equal Expand Floor Gather Greater Identity Less Max Min Mod Mul Neg Not
Or Pow Range ReduceMax ReduceMin ReduceProd Reshape Shape Size Slice Sqrt Squeeze Sub Transpose Unsqueeze Where
"""
_ARITHMETIC = frozenset(_NAMES.split())
"""Operators that exporters compute shapes with; on constants they are computed here."""
_MOST_NUMBERS = 65_536
_OPSETS = [helper.make_opsetid("", OPSET)]


@dataclass(frozen=True)
class Sizes:
    """What is known of the values of a model before it runs.

    `types` are ONNX's numbers of element types; `dims` hold `BATCH` or, for `k` rows for each of the batch, `kN`;
    `constants` are the results of nodes that depend on nothing.
    """

    types: Mapping[str, int]
    dims: Mapping[str, tuple[Dim, ...]]
    constants: Mapping[str, Array]


def find_sizes(part: Part, row: tuple[int, ...], held: Mapping[str, Array]) -> Sizes:
    """The sizes of all values where rows of shape `row` arrive; `held` are tensors that never change.

    Raises ModelError where shapes do not fit each other.
    """
    first, second = (_Run(part, (batch, *row), held) for batch in BATCHES)
    dims = {
        name: tuple(_common(*pair) for pair in zip(sizes, second.dims[name], strict=True))
        for name, sizes in first.dims.items()
        if len(sizes) == len(second.dims.get(name, (None,) * 99))
    }
    both = [name for name in first.known if name in second.known and name not in held]
    same = [name for name in both if np.array_equal(first.known[name], second.known[name], equal_nan=True)]
    return Sizes(first.types, dims, {name: first.known[name] for name in same})


def _common(first: int | None, second: int | None) -> Dim:
    if first is None or second is None:
        return "?"
    if first == second:
        return first
    times, rest = divmod(first, BATCHES[0])
    return "?" if rest or times * BATCHES[1] != second else BATCH if times == 1 else f"{times}{BATCH}"


class _Run:
    """The sizes for one batch."""

    def __init__(self, part: Part, shape: tuple[int, ...], held: Mapping[str, Array]) -> None:
        self.types = {part.input: part.kind}
        self.dims: dict[str, tuple[int | None, ...]] = {part.input: shape}
        for name, array in part.tensors.items():
            self.types[name] = helper.np_dtype_to_tensor_dtype(array.dtype)
            self.dims[name] = array.shape
        self.known = dict(held)
        for node in part.nodes:
            self._infer(node)
            self._fold(node)

    def _infer(self, node: onnx.NodeProto) -> None:
        """By ONNX's own rule for the operator, and what is known of its inputs."""
        try:
            types, dims = infer_node(node, OPSET, self.types, self.dims, self.known)
        except ERRORS as error:
            what = f"`{node.op_type}` of `{shown(node.output[0])}`"
            raise ModelError(f"shapes inside do not fit at {what}: {complaint(error)}", HOW_TO_EXPORT) from error
        self.types |= types
        self.dims |= dims

    def _fold(self, node: onnx.NodeProto) -> None:
        """Compute a node whose inputs are known."""
        if node.op_type == "Constant":
            self.known[node.output[0]] = constant_of(node)
            return
        if node.op_type not in _ARITHMETIC or len(node.output) != 1:
            return
        shape = self.dims.get(node.output[0])
        if shape is None or None in shape or prod(d or 0 for d in shape) > _MOST_NUMBERS:
            return
        if node.op_type in ("Shape", "Size"):
            arriving = self.dims.get(node.input[0])
            if arriving is None or None in arriving:
                return
            feeds = {node.input[0]: np.broadcast_to(np.float32(0), [d or 0 for d in arriving])}
        elif all(i in self.known for i in node.input if i):
            feeds = {i: self.known[i] for i in node.input if i}
        else:
            return
        self.known[node.output[0]] = _computed(node, feeds)


def _computed(node: onnx.NodeProto, feeds: Mapping[str, Array]) -> Array:
    kinds = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in feeds.items()}
    inputs = [helper.make_tensor_value_info(name, kinds[name], None) for name in feeds]
    output = onnx.ValueInfoProto(name=node.output[0])
    graph = helper.make_graph([node], "constant", inputs, [output])
    model = helper.make_model(graph, opset_imports=_OPSETS)
    try:
        (result,) = ReferenceEvaluator(model).run(None, dict(feeds))
        return np.asarray(result)
    except (*ERRORS, IndexError, ArithmeticError) as error:
        raise ModelError(f"the arithmetic of shapes inside fails: {complaint(error)}") from error
