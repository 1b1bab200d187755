"""ONNX graphs under construction: the one place that knows how to write a node.

A value is its name; `""` stands for an optional input left out, as in ONNX. Shapes come from ONNX's own inference
(`GraphBuilder.infer`), so that no operator's shape rule is written here a second time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from sparknet.compiler.lazy import Lazy

if TYPE_CHECKING:
    import numpy as np
    import onnx
    import onnx.numpy_helper
    import onnx.shape_inference
    from numpy.typing import NDArray
    from onnx import helper
else:
    # Layers name this module's types, and are checked in processes that never write a graph.
    np, onnx, helper = Lazy("numpy"), Lazy("onnx"), Lazy("onnx.helper")

OPSET = 20
"""Operator set of every graph we write: ONNX Runtime 1.17 (2024) and everything since."""
IR_VERSION = 9
BATCH = "N"
"""Name of the symbolic batch dimension."""

Value: TypeAlias = str
Dim: TypeAlias = int | str

DTYPES: dict[str, int] = {"float32": 1, "float64": 11, "int32": 6, "int64": 7, "uint64": 13, "bool": 9}
"""ONNX's numbers for element types (`onnx.TensorProto.FLOAT` and so on), which its standard fixes."""


@dataclass(frozen=True)
class Node:
    """One operator. `layer` names the layer of the net that it computes a part of."""

    op: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    attributes: dict[str, Any]
    layer: str

    @property
    def output(self) -> Value:
        """The first output."""
        return self.outputs[0]

    @property
    def reads(self) -> tuple[Value, ...]:
        """The inputs, then what the bodies among the attributes read from the graph around them."""
        return (*self.inputs, *(v for a in self.attributes.values() if isinstance(a, GraphBuilder) for v in a.free))


@dataclass
class GraphBuilder:
    """Collects nodes in topological order; `model()` writes the ONNX file.

    `dtype` is the element type of everything that is computed: float32, or float64 to check gradients.
    """

    name: str
    dtype: str = "float32"
    nodes: list[Node] = field(default_factory=list)
    inputs: dict[Value, tuple[str, tuple[Dim, ...]]] = field(default_factory=dict)
    outputs: dict[Value, tuple[str, tuple[Dim, ...]]] = field(default_factory=dict)
    initializers: dict[Value, NDArray[Any]] = field(default_factory=dict)
    shapes: dict[Value, tuple[Dim, ...]] = field(default_factory=dict)
    stated: dict[Value, tuple[Dim, ...]] = field(default_factory=dict)
    """Shapes of values of the computing type that ONNX's inference may not find by itself."""
    _layer: str = ""
    _used: set[str] = field(default_factory=set)
    _counts: dict[str, int] = field(default_factory=dict)
    """How many names have been made from each hint, so that the next is found at once."""
    _producers: dict[Value, Node] = field(default_factory=dict)
    _constants: dict[tuple[str, tuple[int, ...], bytes], Value] = field(default_factory=dict)

    # ----- graphs in graphs -----

    def nested(self, name: str) -> GraphBuilder:
        """The body of a `Scan` to be: it may read values of this graph, and none of its own has the name of one."""
        body = GraphBuilder(name, self.dtype, shapes=self.shapes, _layer=self._layer)
        body._used, body._counts = self._used, self._counts
        return body

    def copy(self) -> GraphBuilder:
        """The same graph, to be changed without changing this one."""
        parts = {name: getattr(self, name).copy() for name in ("nodes", "inputs", "outputs", "initializers")}
        return replace(self, **parts, _producers=self._producers.copy(), _constants=self._constants.copy())

    @property
    def free(self) -> tuple[Value, ...]:
        """What the nodes read and this graph does not hold: a body's values from the graph around it."""
        own = {"", *self.inputs, *self.initializers, *(o for node in self.nodes for o in node.outputs)}
        return tuple(dict.fromkeys(v for node in self.nodes for v in node.reads if v not in own))

    # ----- values -----

    def fresh(self, hint: str) -> str:
        """A name that nothing else in this graph has."""
        k = self._counts.get(hint, 0) + 1
        name = hint if k == 1 else f"{hint}_{k}"
        while name in self._used:
            k += 1
            name = f"{hint}_{k}"
        self._counts[hint] = k
        self._used.add(name)
        return name

    def _claim(self, name: str) -> None:
        """Take a name that must be exactly this: one that a file gives, or one that `fresh` has made."""
        if name in self._used and "/" not in name:
            raise ValueError(f"two values of the graph `{self.name}` are called `{name}`")
        self._used.add(name)

    def input(self, name: str, dtype: str, shape: Sequence[Dim]) -> Value:
        """Declare a graph input of exactly this name."""
        self._claim(name)
        self.inputs[name] = (dtype, tuple(shape))
        self.shapes[name] = tuple(shape)
        return name

    def output(self, name: str, value: Value, dtype: str, shape: Sequence[Dim]) -> None:
        """Declare a graph output of exactly this name, computed as `value`."""
        self._claim(name)
        self._append("Identity", (value,), (name,), {})
        self.outputs[name] = (dtype, tuple(shape))

    def result(self, value: Value, shape: Sequence[Dim], dtype: str | None = None) -> Value:
        """Declare `value` itself as an output of a body, or a copy of it where it cannot be one; gives the name."""
        if value not in self._producers or value in self.outputs:
            value = self.op("Identity", value)
        self.outputs[value] = (dtype or self.dtype, tuple(shape))
        return value

    def initializer(self, name: str, array: NDArray[Any]) -> Value:
        """A named tensor stored in the file; given again, it takes the place of the first."""
        if name not in self.initializers:
            self._claim(name)
        return self._stored(name, array)

    def _stored(self, name: str, array: NDArray[Any]) -> Value:
        self.initializers[name] = array
        self.shapes[name] = array.shape
        return name

    def constant(self, value: float | Sequence[float] | NDArray[Any], dtype: str | None = None) -> Value:
        """A constant of the computing type (or `dtype`); equal constants share one tensor."""
        array = np.asarray(value, dtype or self.dtype)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._stored(self.fresh("net/constant"), array)
        return self._constants[key]

    def ints(self, *values: int) -> Value:
        """A constant int64 vector, as axes, shapes and slice bounds are given."""
        return self.constant(np.array(values, np.int64), "int64")

    @staticmethod
    def onnx_type(dtype: str) -> int:
        """ONNX's number for an element type, as `Cast` takes it."""
        return DTYPES[dtype]

    # ----- nodes -----

    @contextmanager
    def layer(self, name: str) -> Iterator[None]:
        """Nodes made inside belong to this layer."""
        outer, self._layer = self._layer, name
        try:
            yield
        finally:
            self._layer = outer

    def op(self, op: str, *inputs: Value, **attributes: Any) -> Value:
        """Append a node with one output and return that."""
        return self.op_n(op, 1, *inputs, **attributes)[0]

    def op_n(self, op: str, count: int, *inputs: Value, **attributes: Any) -> tuple[Value, ...]:
        """Append a node with `count` outputs."""
        hint = f"{self._layer or 'net'}/{op}"  # the slash keeps clear of all names that a file can give
        outputs = tuple(self.fresh(hint) for _ in range(count))
        self._append(op, inputs, outputs, attributes)
        return outputs

    def _append(self, op: str, inputs: Sequence[Value], outputs: tuple[Value, ...], attributes: dict[str, Any]) -> None:
        node = Node(op, tuple(inputs), outputs, attributes, self._layer)
        self.nodes.append(node)
        self._producers.update(dict.fromkeys(outputs, node))

    def with_extra_outputs(self, node: Node, count: int) -> tuple[Value, ...]:
        """Give `node`, already in the graph, its optional outputs up to `count` in all, or return those it has."""
        node = self._producers[node.output]
        if len(node.outputs) < count:
            more = (self.fresh(f"{node.output}_extra") for _ in range(count - len(node.outputs)))
            wider = replace(node, outputs=(*node.outputs, *more))
            self.replace(node, [wider])
            node = wider
        return node.outputs

    def replace(self, node: Node, others: Sequence[Node]) -> None:
        """Put `others`, which compute the same outputs or none that anything reads, in the place of `node`."""
        at = self.nodes.index(node)
        self.nodes[at : at + 1] = others
        for output in node.outputs:
            self._producers.pop(output, None)
        self._producers.update({output: other for other in others for output in other.outputs})

    def recompute(self, node: Node, rule: Callable[[], Value]) -> None:
        """Put what the rule computes in the place and under the name of `node`; it ends with the operator it gives."""
        count = len(self.nodes)
        with self.layer(node.layer):
            result = rule()
        others, last = self.nodes[count:-1], self.nodes[-1]
        if last.output != result:
            raise AssertionError(f"the rule for `{node.op}` ends with another operator than it gives")
        del self.nodes[count:]
        del self._producers[last.output]
        self.replace(node, [*others, replace(last, outputs=node.outputs)])

    def rewrite(self, rule: Callable[[Node], Sequence[Value] | None]) -> None:
        """Put in the place of each node the values that `rule` computes for its outputs; where it gives None, it stays.

        The rule appends the operators that it needs; they belong to the layer of the node.
        """
        nodes, self.nodes = self.nodes, []
        for node in nodes:
            with self.layer(node.layer):
                values = rule(node)
                if values is None:
                    self.nodes.append(node)
                    continue
                for value, output in zip(values, node.outputs, strict=False):  # a rule may leave out the optional ones
                    self._append("Identity", (value,), (output,), {})

    @staticmethod
    def readers(nodes: Iterable[Node]) -> Mapping[Value, Sequence[Node]]:
        """Which of some nodes read a value, in their order."""
        found: dict[Value, list[Node]] = defaultdict(list)
        for node in nodes:
            for value in node.reads:
                found[value].append(node)
        return found

    def producer(self, value: Value) -> Node | None:
        """The node that computes `value`; None for an input or a constant."""
        return self._producers.get(value)

    # ----- shapes -----

    def infer(self, values: Iterable[Value] | None = None) -> None:
        """Fill `shapes` for every value so far, or for `values` and all they depend on, by ONNX's shape inference.

        The inference keeps a size for each number of a flat vector, in case a shape is computed from it: with the
        optimizer's arithmetic on 6 million parameters it would take 7 GB, so who asks behind that names the values.
        """
        model = self._proto({}, self.nodes if values is None else self.live(values))
        model.graph.input.extend(_value_info(name, self.dtype, self.shapes[name]) for name in self.free)
        computed = self.stated.keys() & {output for node in self.nodes for output in node.outputs}
        model.graph.value_info.extend(_value_info(name, self.dtype, self.stated[name]) for name in sorted(computed))
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        for info in model.graph.value_info:
            if info.type.tensor_type.HasField("shape"):
                dims = info.type.tensor_type.shape.dim
                self.shapes[info.name] = tuple(d.dim_param or d.dim_value or "?" for d in dims)

    def shape(self, value: Value) -> tuple[Dim, ...]:
        """Shape of a value that existed at the last `infer()`; the batch is `BATCH`."""
        return self.shapes[value]

    def rank(self, value: Value) -> int:
        """Number of dimensions."""
        return len(self.shape(value))

    # ----- writing -----

    def model(self) -> onnx.ModelProto:
        """The finished model, with only the nodes and tensors that its outputs need."""
        return self._proto(self.outputs, self.live(self.outputs))

    def _proto(self, outputs: dict[Value, tuple[str, tuple[Dim, ...]]], nodes: Sequence[Node]) -> onnx.ModelProto:
        opsets = [helper.make_opsetid("", OPSET)]
        graph = self._graph(outputs, nodes)
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sparknet")

    def _graph(self, outputs: dict[Value, tuple[str, tuple[Dim, ...]]], nodes: Sequence[Node]) -> onnx.GraphProto:
        read = {i for n in nodes for i in n.reads}
        return helper.make_graph(
            [helper.make_node(n.op, n.inputs, n.outputs, name=n.output, **_written(n.attributes)) for n in nodes],
            self.name,
            [_value_info(name, *spec) for name, spec in self.inputs.items()],
            [_value_info(name, *spec) for name, spec in outputs.items()],
            [onnx.numpy_helper.from_array(a, name) for name, a in self.initializers.items() if name in read],
        )

    def live(self, outputs: Iterable[Value]) -> list[Node]:
        """The nodes that `outputs` need."""
        needed, live = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                needed.update(node.reads)
                live.append(node)
        return live[::-1]


def _written(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes as ONNX takes them: a body becomes a graph with its outputs."""
    return {
        k: a._graph(a.outputs, a.live(a.outputs)) if isinstance(a, GraphBuilder) else a for k, a in attributes.items()
    }


def _value_info(name: str, dtype: str, shape: Sequence[Dim]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, DTYPES[dtype], shape)
