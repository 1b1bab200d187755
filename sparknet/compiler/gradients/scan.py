"""The gradient of `Scan`: a loop that runs its body for each step of a sequence.

Backpropagation through time as two loops. The body is differentiated by the same table of rules as any graph. What its
backward part reads of the forward pass is stacked by the forward loop, as more outputs; the backward loop runs over
these stacks from the end. The gradient of a weight that the body reads from outside is added up in the backward loop, a
product for each step. Only where the gradients of the steps leave the loop anyway, on the way to other parameters, are
their rows laid one below the other, and one product gives the gradient of the whole sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sparknet.compiler.gradients import linear
from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import GraphBuilder, Node, Value


@dataclass
class _Forward:
    """The loop on the way there. Steps lie along axis 0 of all sequences, which all run in one direction."""

    n: Backward
    body: GraphBuilder
    stacks: dict[Value, Value] = field(default_factory=dict)
    """For values of the body, the sequence of all that they were, in the graph around it."""
    added: list[Value] = field(default_factory=list)

    @property
    def states(self) -> int:
        """How many values go from step to step: the first inputs, and the first outputs."""
        return len(self.n.node.inputs) - int(self.n.attribute("num_scan_inputs"))

    @property
    def reverse(self) -> int:
        """1 where the loop begins with the last step."""
        return int(self.n.attribute("scan_input_directions", [0])[0])

    def stack(self, value: Value) -> Value:
        """The sequence of all that `value` was; the first to ask for it makes the loop give it."""
        if value not in self.stacks:
            self.body.result(value, self.body.shape(value))
            self.stacks[value] = self.n.g.fresh(f"{self.n.y}_{value.rpartition('/')[2]}")
            self.added.append(self.stacks[value])
        return self.stacks[value]

    def finish(self) -> None:
        """Put the loop that also gives the stacks in place of the one that did not."""
        node = self.n.node
        outputs = (*node.outputs, *self.added)
        attributes = (
            node.attributes | {"body": self.body} | _directions("output", len(outputs) - self.states, self.reverse)
        )
        self.n.g.replace(node, [replace(node, outputs=outputs, attributes=attributes)])


def _scan(n: Backward) -> list[Value | None]:
    from sparknet.compiler.differentiate import pull_back  # which needs the rules, of which this is one

    back: GraphBuilder = n.attribute("body").copy()
    back.infer()
    inputs, outputs, weights = list(back.inputs), dict(back.outputs), back.free
    forward = _Forward(n, n.attribute("body").copy())
    states = forward.states
    forward.stacks.update(zip(inputs[states:], n.node.inputs[states:], strict=True))
    products = [node for node in back.nodes if set(weights).intersection(node.reads)]
    known = {*inputs, *(output for node in back.nodes for output in node.outputs)}

    # The backward body: what comes in, the rules applied, what goes out.
    wanted = [k for k in range(len(outputs)) if k < states or n.dys[k] is not None]
    names = list(outputs)
    seeds = {names[k]: back.fresh(f"net/d_{names[k].rpartition('/')[2]}") for k in wanted}
    count = len(back.nodes)
    gradients = pull_back(back, seeds, [*inputs, *weights])
    results = [_gradient_of_state(back, gradients, name, seeds[names[k]]) for k, name in enumerate(inputs[:states])]
    asked = [v for v, outer in zip(inputs[states:], n.node.inputs[states:], strict=True) if outer in n.wanted]
    sequences = [gradients[v] for v in asked if v in gradients]
    products = [p for p in products if p.output in gradients]
    summed = [p for p in products if gradients[p.output] not in sequences and _summable(back, p, weights)]
    totals = [total for p in summed for total in _totals(back, p, gradients[p.output], weights)]
    sequences += [gradients[p.output] for p in products if p not in summed]
    sequences = list(dict.fromkeys(sequences))
    del back.nodes[:count]
    back.nodes = back.live([*results, *(t.new for t in totals), *sequences])
    arriving_seeds = [(seed, outputs[name]) for name, seed in seeds.items()]
    back.inputs = dict(arriving_seeds[:states])
    back.inputs |= {t.old: (back.dtype, t.shape) for t in totals}
    back.inputs |= dict(arriving_seeds[states:])
    back.outputs = {}
    kept = [v for v in back.free if v in known]
    back.inputs |= {v: (back.dtype, back.shape(v)) for v in kept}
    for name, value in zip(inputs, results, strict=False):
        back.result(value, back.shape(name))
    for total in totals:
        back.result(total.new, total.shape)
    for value in sequences:
        back.result(value, _shape_of(back, value, gradients))

    # The backward loop, then the weights.
    starts = [n.dy_or_zeros(k) for k in range(states)]
    starts += [n.op("Expand", n.constant(0.0), n.g.ints(*t.shape)) for t in totals]
    arriving = [dy for dy in n.dys[states:] if dy is not None] + [forward.stack(v) for v in kept]
    way = 1 - forward.reverse
    directions = _directions("input", len(arriving), way) | _directions("output", len(sequences), way)
    count = len(starts) + len(sequences)
    found = n.g.op_n("Scan", count, *starts, *arriving, body=back, num_scan_inputs=len(arriving), **directions)
    by_value = dict(zip(sequences, found[len(starts) :], strict=True))
    of_weights: dict[Value, Value] = {}
    for total, value in zip(totals, found[states:], strict=False):
        _add(n, of_weights, total.weight, n.op("Transpose", value, perm=[1, 0]) if total.turned else value)
    for product in (p for p in products if p not in summed):
        _add_product(forward, product, by_value[gradients[product.output]], of_weights)
    forward.finish()
    of_sequences = [by_value[gradients[v]] if v in asked and v in gradients else None for v in inputs[states:]]
    return [*found[:states], *of_sequences, *(of_weights.get(w) for w in weights)]


@dataclass(frozen=True)
class _Total:
    """The gradient of a weight so far: what the backward body reads and what it gives; `turned` where it is `W^T`'s."""

    weight: Value
    old: Value
    new: Value
    shape: tuple[int, ...]
    turned: bool = False


def _summable(back: GraphBuilder, product: Node, weights: Sequence[Value]) -> bool:
    """Whether it is `A W + c` or `A W^T + c` with a weight `W` and, if it is a weight at all, a row `c`."""
    plain = product.op == "Gemm" and not {"alpha", "beta", "transA"} & product.attributes.keys()
    if not plain or product.inputs[0] in weights or product.inputs[1] not in weights:
        return False
    return all(v not in weights or back.rank(v) == 1 for v in product.inputs[2:])


def _totals(back: GraphBuilder, product: Node, dy: Value, weights: Sequence[Value]) -> list[_Total]:
    """The totals of the weights of one product."""
    a, w, *row = product.inputs
    shape = int(back.shape(a)[-1]), int(back.shape(product.output)[-1])
    with back.layer(f"{product.layer}/backward"):
        old = back.fresh("net/total")
        new = back.op("Gemm", a, dy, old, transA=1)
        totals = [_Total(w, old, new, shape, turned=bool(product.attributes.get("transB", 0)))]
        if row and row[0] in weights:
            old = back.fresh("net/total")
            new = back.op("Add", old, back.op("ReduceSum", dy, back.ints(0), keepdims=0))
            totals.append(_Total(row[0], old, new, shape[1:]))
    return totals


def _add(n: Backward, of_weights: dict[Value, Value], weight: Value, gradient: Value) -> None:
    of_weights[weight] = n.op("Add", of_weights[weight], gradient) if weight in of_weights else gradient


def _directions(side: str, count: int, way: int) -> dict[str, list[int]]:
    """The attribute that sends all sequences one way; left out where there are none, as ONNX has no empty lists."""
    return {f"scan_{side}_directions": [way] * count} if count else {}


def _gradient_of_state(back: GraphBuilder, gradients: dict[Value, Value], state: Value, seed: Value) -> Value:
    if state in gradients:
        return gradients[state]
    return back.op("Expand", back.constant(0.0), back.op("Shape", seed))


def _shape_of(back: GraphBuilder, gradient: Value, gradients: dict[Value, Value]) -> tuple[int | str, ...]:
    """The shape of the value that has this gradient."""
    return back.shape(next(value for value, found in gradients.items() if found == gradient))


def _add_product(forward: _Forward, product: Node, dys: Value, of_weights: dict[Value, Value]) -> None:
    """Gradients of the weights in one `Gemm` of the body, over the rows of all steps at once."""
    free = forward.n.attribute("body").free
    if product.op != "Gemm" or product.inputs[0] in free:
        raise AssertionError(f"the body of a loop reads a weight through `{product.op}`: only `Gemm` is understood")
    n, body = forward.n, forward.body
    rows, dy = (
        n.op("Reshape", stack, n.g.ints(-1, int(body.shape(value)[-1])))
        for stack, value in ((forward.stack(product.inputs[0]), product.inputs[0]), (dys, product.output))
    )
    whole = replace(product, inputs=(rows, *product.inputs[1:]))
    for value, gradient in zip(whole.inputs, linear.RULES["Gemm"](Backward(n.g, whole, (dy,))), strict=True):
        if value in free and gradient is not None:
            _add(n, of_weights, value, gradient)


RULES: dict[str, Rule] = {"Scan": _scan}
