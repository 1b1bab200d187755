"""Operators replaced by others that compute the same and that ONNX Runtime computes faster.

Each rule is a line in `QUICKER`, with what was measured in docs/performance.md. They come last, so that a gradient is
derived from the operator as it was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations
from math import prod

from sparknet.compiler.graph import GraphBuilder, Node, Value

_BROADCAST = frozenset({"Add", "Div", "Mul", "Sub"})


def quicken(g: GraphBuilder) -> None:
    """Apply all rules to a graph whose outputs are declared, and to the bodies of its loops."""
    _logarithms_of_products(g)
    _products_of_differences(g)
    _masks_in_one_pass(g)
    for node in list(g.nodes):
        for body in node.attributes.values():
            if isinstance(body, GraphBuilder):
                quicken(body)
        if node.op in QUICKER:
            g.recompute(node, partial(QUICKER[node.op], g, node))
    _spread_by_the_reader(g)


def _softplus(g: GraphBuilder, node: Node) -> Value:
    """`log(1 + e^x) = max(x, 0) - log(1 / (1 + e^-|x|))`, in which no power overflows."""
    (x,) = node.inputs
    return g.op("Sub", g.op("Relu", x), g.op("Log", _sigmoid_of_size(g, x)))


def _sigmoid_of_size(g: GraphBuilder, x: Value) -> Value:
    """`s(|x|)`, the larger of `s(x)` and `1 - s(x)`: ONNX Runtime computes `s(x)` once, for the gradient too."""
    s = g.op("Sigmoid", x)
    return g.op("Max", s, g.op("Sub", g.constant(1.0), s))


def _reduce_sum_square(g: GraphBuilder, node: Node) -> Value:
    x, *axes = node.inputs
    return g.op("ReduceSum", g.op("Mul", x, x), *axes, **node.attributes)


_STEEP = 3e38
"""Brings all numbers but those of less than 24 bits above 1."""


def _masks_in_one_pass(g: GraphBuilder) -> None:
    """1 above 0, else 0, as `min(max(a x, 0), 1)`, an operator that is a pass less than to compare and to convert.

    In float32 only, the one type for which ONNX Runtime has it.
    """
    for node in list(g.nodes) if g.dtype == "float32" else ():
        above = g.producer(node.inputs[0]) if node.op == "Cast" else None
        if above is not None and above.op == "Greater" and node.attributes["to"] == g.onnx_type("float32"):
            x, bound = above.inputs
            if bound in g.initializers and not g.initializers[bound].any():
                g.recompute(node, partial(g.op, "HardSigmoid", x, alpha=_STEEP, beta=0.0))


_MOST_FACTORS = 64
"""Each factor is between 1/2 and 1, so a product of so many is far above the smallest float32."""


def _logarithms_of_products(g: GraphBuilder) -> None:
    """A mean of `log(1 + e^x) - y` needs one logarithm for many numbers: the sum of logarithms is that of a product."""
    reads = Counter(v for node in g.nodes if node.op != "Shape" for v in node.reads)
    for node in list(g.nodes):
        less = g.producer(node.inputs[0]) if node.op == "ReduceMean" and len(node.inputs) == 1 else None
        softplus = g.producer(less.inputs[0]) if less is not None and less.op == "Sub" else None
        if less is None or softplus is None or softplus.op != "Softplus":
            continue
        if reads[less.output] == reads[softplus.output] == 1:
            (x,) = softplus.inputs
            g.infer([x, less.output])
            factors = _factors(g, x)
            if factors > 1 and "?" not in g.shape(x) and g.shapes.get(less.output) == g.shape(x):
                g.recompute(node, partial(_mean_of_softplus, g, node, softplus, less, factors))
                _shape_from(g, x, (less.output, softplus.output))


def _shape_from(g: GraphBuilder, value: Value, others: Sequence[Value]) -> None:
    """Let all that asks for the shape of the others ask for that of `value`, which is the same, to be rid of them."""
    for node in list(g.nodes):
        if node.op == "Shape" and node.inputs[0] in others:
            g.replace(node, [replace(node, inputs=(value,))])


def _products_of_differences(g: GraphBuilder) -> None:
    """`-q x + q y`, as comes back from a difference of products, is `q (y - x)`: a pass for each of two less."""
    reads = Counter(v for node in g.nodes for v in node.reads)
    reads.update(g.outputs.keys())
    adds = [node for node in g.nodes if node.op == "Add"]
    for node in adds:
        products = [p for p in map(g.producer, node.inputs) if p is not None and p.op == "Mul" and reads[p.output] == 1]
        found = next(filter(None, (_negated(g, *pair) for pair in permutations(products, 2))), None)
        if found is not None:
            q, x, y = found
            g.recompute(node, partial(_product_of_difference, g, q, x, y))
    if adds:
        g.nodes = g.live(g.outputs)  # so that nobody counts the readers that are gone


def _product_of_difference(g: GraphBuilder, q: Value, x: Value, y: Value) -> Value:
    return g.op("Mul", q, g.op("Sub", y, x))


def _negated(g: GraphBuilder, minus: Node, plus: Node) -> tuple[Value, Value, Value] | None:
    """The factors `q`, `x` and `y` where the two products are `-q x` and `q y`."""
    for k, factor in enumerate(minus.inputs):
        negation = g.producer(factor)
        if negation is not None and negation.op == "Neg" and negation.inputs[0] in plus.inputs:
            q = negation.inputs[0]
            return q, minus.inputs[1 - k], plus.inputs[1 - plus.inputs.index(q)]
    return None


def _factors(g: GraphBuilder, x: Value) -> int:
    """How many numbers of a row of `x` make up one product: as many as divide the row."""
    sizes = [size for size in g.shape(x)[1:] if isinstance(size, int)]
    row = prod(sizes) if len(sizes) == g.rank(x) - 1 else 1
    return max(k for k in range(1, _MOST_FACTORS + 1) if row % k == 0)


def _mean_of_softplus(g: GraphBuilder, node: Node, softplus: Node, less: Node, factors: int) -> Value:
    """As `_softplus`, with the logarithms of products of `factors` numbers."""
    (x,) = softplus.inputs
    below = g.op("Reshape", _sigmoid_of_size(g, x), g.ints(-1, factors))
    product = g.op("ReduceProd", below, g.ints(1), keepdims=0)
    logarithm = g.op("ReduceMean", g.op("Log", product), **node.attributes)
    above = g.op("ReduceMean", g.op("Sub", g.op("Relu", x), less.inputs[1]), **node.attributes)
    return g.op("Sub", above, g.op("Mul", logarithm, g.constant(1 / factors)))


def _spread_by_the_reader(g: GraphBuilder) -> None:
    """Leave out an `Expand` whose readers all meet a value of that shape anyway: they broadcast by themselves."""
    expands = {node.output: node for node in g.nodes if node.op == "Expand"}
    readers = [node for node in g.nodes if node.op in _BROADCAST and expands.keys() & set(node.inputs)]
    if not readers:
        return
    g.infer([node.output for node in readers])
    reads = Counter(v for node in g.nodes for v in node.reads if v in expands)
    reads.update(g.outputs.keys() & expands.keys())
    spread = Counter(v for node in readers for v in set(node.inputs) & expands.keys() if _broadcasts(g, node, v))
    left_out = {v: expands[v].inputs[0] for v in expands if 0 < reads[v] == spread[v]}
    for node in list(g.nodes):
        if left_out.keys() & set(node.inputs):
            g.replace(node, [replace(node, inputs=tuple(left_out.get(v, v) for v in node.inputs))])


def _broadcasts(g: GraphBuilder, node: Node, value: Value) -> bool:
    """Whether `node`, which broadcasts, reads `value` once, beside another value of its whole shape."""
    if len(set(node.inputs)) < 2:
        return False
    other = node.inputs[1 - node.inputs.index(value)]
    whole = g.shapes.get(value)
    return whole is not None and "?" not in whole and g.shapes.get(other) == whole


QUICKER: dict[str, Callable[[GraphBuilder, Node], Value]] = {
    "ReduceSumSquare": _reduce_sum_square,
    "Softplus": _softplus,
}
