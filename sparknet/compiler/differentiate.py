"""Reverse-mode differentiation of a graph: appends the nodes that compute gradients to the graph itself."""

from __future__ import annotations

from collections.abc import Sequence

from sparknet.compiler.gradients import NO_GRADIENT, RULES, Backward
from sparknet.compiler.graph import GraphBuilder, Node, Value


class MissingGradientError(Exception):
    """An operator on the way to the loss has no gradient rule."""

    def __init__(self, node: Node) -> None:
        layer = f" in layer `{node.layer}`" if node.layer else ""
        super().__init__(f"no gradient rule for the operator `{node.op}`{layer}")
        self.op = node.op
        self.layer = node.layer


def differentiate(g: GraphBuilder, loss: Value, parameters: Sequence[Value]) -> list[Value]:
    """Gradients of `loss`, a scalar, with respect to each of `parameters`, each of its parameter's shape.

    Reverse accumulation (Griewank & Walther, 2008, ch. 3): nodes are visited backwards from the loss; a value that is
    read in several places gets the sum of what comes back from each. A parameter that does not reach the loss, because
    nothing reads its layer, gets zeros. Raises MissingGradientError.
    """
    g.infer()
    forward = _path(g, loss, parameters)
    gradients: dict[Value, Value] = {loss: g.constant(1.0)}
    for node in reversed(forward):
        dy = gradients.get(node.output)
        if dy is None or node.op in NO_GRADIENT:
            continue
        with g.layer(f"{node.layer}/backward" if node.layer else "backward"):
            for x, dx in zip(node.inputs, _apply(g, node, dy), strict=True):
                if dx is not None:
                    gradients[x] = g.op("Add", gradients[x], dx) if x in gradients else dx
    return [gradients[p] if p in gradients else _zeros(g, p) for p in parameters]


def _zeros(g: GraphBuilder, parameter: Value) -> Value:
    return g.op("Expand", g.constant(0.0), g.op("Shape", parameter))


def _path(g: GraphBuilder, loss: Value, parameters: Sequence[Value]) -> list[Node]:
    """The nodes through which a parameter reaches the loss, in their order."""
    reached = set(parameters)
    forward = []
    for node in g.nodes:
        if reached.intersection(node.inputs) and node.op not in NO_GRADIENT:
            reached.update(node.outputs)
            forward.append(node)
    needed = {loss}
    path = []
    for node in reversed(forward):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            path.append(node)
    return path[::-1]


def _apply(g: GraphBuilder, node: Node, dy: Value) -> Sequence[Value | None]:
    rule = RULES.get(node.op)
    if rule is None:
        raise MissingGradientError(node)
    gradients = rule(Backward(g, node, dy))
    if len(gradients) != len(node.inputs):
        raise AssertionError(f"the rule for `{node.op}` gives {len(gradients)} gradients for {len(node.inputs)} inputs")
    return gradients
