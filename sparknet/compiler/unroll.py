"""Loops written out, for an engine that has no gradient for them."""

from __future__ import annotations

from collections.abc import Sequence

from sparknet.compiler.graph import GraphBuilder, Node, Value


def unroll(g: GraphBuilder) -> None:
    """Replace every `Scan` by the operators of its body, once for each step. Raises ValueError for an open length."""
    g.infer()
    g.rewrite(lambda node: _steps(g, node) if node.op == "Scan" else None)


def _steps(g: GraphBuilder, node: Node) -> list[Value]:
    """The values of a `Scan`: where its states end, then each of its sequences, joined along a new first axis."""
    body: GraphBuilder = node.attributes["body"]
    count = len(node.inputs) - node.attributes["num_scan_inputs"]
    states, sequences = list(node.inputs[:count]), node.inputs[count:]
    length = g.shape(sequences[0])[0]
    if not isinstance(length, int):
        raise ValueError(f"a loop over `{sequences[0]}`, whose length is open, cannot be written out")
    for name, array in body.initializers.items():
        g.initializer(name, array)
    backwards = node.attributes.get("scan_input_directions", [0])[0] == 1  # all directions of our loops agree
    steps = [_elements(g, sequence, length) for sequence in sequences]
    given: list[list[Value]] = [[] for _ in body.outputs]
    for step in reversed(range(length)) if backwards else range(length):
        results = _run(g, body, [*states, *(each[step] for each in steps)])
        states = results[:count]
        for sequence, result in zip(given, results, strict=True):
            sequence.append(result)
    ordered = [each[::-1] if backwards else each for each in given[count:]]
    return [*states, *(_stacked(g, each) for each in ordered)]


def _elements(g: GraphBuilder, sequence: Value, length: int) -> list[Value]:
    parts = g.op_n("Split", length, sequence, axis=0, num_outputs=length) if length > 1 else (sequence,)
    return [g.op("Squeeze", part, g.ints(0)) for part in parts]


def _stacked(g: GraphBuilder, values: Sequence[Value]) -> Value:
    return g.op("Concat", *(g.op("Unsqueeze", value, g.ints(0)) for value in values), axis=0)


def _run(g: GraphBuilder, body: GraphBuilder, inputs: Sequence[Value]) -> list[Value]:
    """The body's operators on `inputs`, under new names."""
    names = dict(zip(body.inputs, inputs, strict=True))
    for node in body.live(body.outputs):
        read = [names.get(value, value) for value in node.inputs]
        names.update(zip(node.outputs, g.op_n(node.op, len(node.outputs), *read, **node.attributes), strict=True))
    return [names[value] for value in body.outputs]
