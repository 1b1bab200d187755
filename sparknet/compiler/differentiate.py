"""Reverse-mode differentiation of a graph: appends the nodes that compute gradients to the graph itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from sparknet.compiler.gradients import NO_GRADIENT, RULES, Backward, UnknownFormError
from sparknet.compiler.graph import GraphBuilder, Node, Value


class MissingGradientError(Exception):
    """An operator on the way to the loss has no gradient rule, or none for its form, and then `why` says what is."""

    def __init__(self, node: Node, why: str = "") -> None:
        layer = f" in layer `{node.layer}`" if node.layer else ""
        super().__init__(f"no gradient rule for the operator `{node.op}`{layer}{': ' * bool(why)}{why}")
        self.op = node.op
        self.why = why
        self.layer = node.layer


def differentiate(g: GraphBuilder, loss: Value, parameters: Sequence[Value]) -> list[Value]:
    """Gradients of `loss`, a scalar, with respect to each of `parameters`, each of its parameter's shape.

    Reverse accumulation (Griewank & Walther, 2008, ch. 3): nodes are visited backwards from the loss; a value that is
    read in several places gets the sum of what comes back from each. A parameter that does not reach the loss (of a
    branch that no output uses) gets zeros. Raises MissingGradientError.
    """
    g.infer()
    gradients = pull_back(g, {loss: g.constant(1.0)}, parameters)
    return [gradients.get(p) or g.op("Expand", g.constant(0.0), g.op("Shape", p)) for p in parameters]


def pull_back(g: GraphBuilder, seeds: Mapping[Value, Value], sources: Sequence[Value]) -> dict[Value, Value]:
    """From the gradients of some values, `seeds`, to those of all on the way from `sources`, by value.

    The shapes of `g` must be inferred. Raises MissingGradientError.
    """
    gradients = dict(seeds)
    nodes = path(g, seeds, sources)
    wanted = {*sources, *(output for node in nodes for output in node.outputs)}
    for node in reversed(nodes):
        dys = tuple(gradients.get(output) for output in node.outputs)
        if not any(dys) or node.op in NO_GRADIENT:
            continue
        with g.layer(f"{node.layer}/backward" if node.layer else "backward"):
            for x, dx in zip(node.reads, _apply(g, node, dys, wanted), strict=True):
                if dx is not None:
                    gradients[x] = g.op("Add", gradients[x], dx) if x in gradients else dx
    return gradients


def path(g: GraphBuilder, targets: Iterable[Value], sources: Sequence[Value]) -> list[Node]:
    """The nodes through which a source reaches a target, in their order."""
    reached = set(sources)
    forward = []
    for node in g.nodes:
        if reached.intersection(node.reads) and node.op not in NO_GRADIENT:
            reached.update(node.outputs)
            forward.append(node)
    needed = set(targets)
    path = []
    for node in reversed(forward):
        if needed.intersection(node.outputs):
            needed.update(node.reads)
            path.append(node)
    return path[::-1]


def _apply(g: GraphBuilder, node: Node, dys: tuple[Value | None, ...], wanted: Set[Value]) -> Sequence[Value | None]:
    rule = RULES.get(node.op)
    if rule is None:
        raise MissingGradientError(node)
    try:
        gradients = rule(Backward(g, node, dys, wanted))
    except UnknownFormError as error:
        raise MissingGradientError(node, str(error)) from error
    if len(gradients) != len(node.reads):
        raise AssertionError(f"the rule for `{node.op}` gives {len(gradients)} gradients for {len(node.reads)} inputs")
    return gradients
