"""Lowering: from the typed net to the three graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from sparknet.compiler import losses
from sparknet.compiler.differentiate import differentiate
from sparknet.compiler.graph import BATCH, GraphBuilder, Value
from sparknet.compiler.layers import Join, Lowering
from sparknet.compiler.layout import Slot, parameter_slots, state_slots
from sparknet.compiler.net import ElaboratedNet, NetOutput, TypedNet, ValueId
from sparknet.compiler.preprocess import preprocess
from sparknet.compiler.scope import Scope


@dataclass(frozen=True)
class Scores:
    """The loss of a batch and its metrics, all scalars."""

    loss: Value
    metrics: dict[str, Value]


def lower_inference(typed: TypedNet, parameters: NDArray[np.float32]) -> onnx.ModelProto:
    """The inference graph; see `CompiledNet.inference`."""
    g = GraphBuilder(typed.net.name)
    tensors = {
        s.name: g.initializer(s.name, parameters[s.offset : s.offset + s.size].reshape(s.shape))
        for s in parameter_slots(typed)
    }
    values = _forward(g, typed, tensors, seed=None)
    for output in typed.net.outputs:
        value = values[output.value]
        if output.kind == "float":
            g.output(output.name, value, "float32", (BATCH, output.size))
            continue
        logits = losses.logits_of(g, value)
        probability = value if logits != value else g.op("Softmax", value, axis=1)
        g.output(output.name, g.op("ArgMax", logits, axis=1, keepdims=0), "int64", (BATCH,))
        g.output(f"{output.name}_probability", probability, "float32", (BATCH, output.size))
    return g.model()


def lower_evaluation(typed: TypedNet) -> onnx.ModelProto:
    """The evaluation graph; see `CompiledNet`."""
    g = GraphBuilder(f"{typed.net.name}_evaluation")
    scores = _scored(g, typed, seed=False)[0]
    _write_scores(g, scores)
    return g.model()


def lower_step(typed: TypedNet, dtype: str = "float32") -> onnx.ModelProto:
    """The graph of one training step; see `CompiledNet`. In float64 it serves to check gradients."""
    g = GraphBuilder(f"{typed.net.name}_step", dtype)
    optimizer, slots = typed.net.train.optimizer, state_slots(typed)
    scores, tensors, flat = _scored(g, typed, seed=True)
    state_input = g.input("optimizer_state", dtype, (sum(s.size for s in slots),))
    lr = g.input("learning_rate", dtype, ())
    gradients = differentiate(g, scores.loss, list(tensors.values()))
    with g.layer("optimizer"):
        gradient = _join(g, [g.op("Reshape", d, g.ints(-1)) for d in gradients])
        state = dict(zip([s.name for s in slots], _cut(g, state_input, slots), strict=True))
        new, new_state = optimizer.update(g, flat, gradient, state, lr)
        joined = _join(g, [new_state[s.name] for s in slots])
    _write_scores(g, scores)
    g.output("new_parameters", new, dtype, g.inputs[flat][1])
    g.output("new_optimizer_state", joined, dtype, g.inputs[state_input][1])
    return g.model()


def _scored(g: GraphBuilder, typed: TypedNet, seed: bool) -> tuple[Scores, dict[str, Value], Value]:
    """Forward pass, loss and metrics on parameters that come in as one flat vector."""
    slots = parameter_slots(typed)
    flat = g.input("parameters", g.dtype, (sum(s.size for s in slots),))
    tensors = {
        s.name: g.op("Reshape", piece, g.ints(*s.shape)) for s, piece in zip(slots, _cut(g, flat, slots), strict=True)
    }
    seed_input = g.input("seed", "int64", ()) if seed else None
    values = _forward(g, typed, tensors, seed_input)
    with g.layer("loss"):
        pairs = zip(typed.net.outputs, metric_names(typed.net), strict=True)
        scores = [_score(g, output, metric, values[output.value]) for output, metric in pairs]
    total = scores[0].loss
    for score in scores[1:]:
        total = g.op("Add", total, score.loss)
    return Scores(total, {k: v for score in scores for k, v in score.metrics.items()}), tensors, flat


def _forward(
    g: GraphBuilder, typed: TypedNet, tensors: Mapping[str, Value], seed: Value | None
) -> dict[ValueId, Value]:
    net = typed.net
    values: dict[ValueId, Value] = {}
    expressions = {p.port: p.expression for p in net.preprocessing}
    for i in net.inputs:
        dtype = g.dtype if i.type.dtype == "float32" else i.type.dtype
        values[i.name] = g.input(i.name, dtype, (BATCH, *i.type.shape))
        if i.name in expressions:
            with g.layer(i.name):
                values[i.name] = preprocess(g, expressions[i.name], values[i.name], Scope(net.source, net.lets))
    for salt, use in enumerate(net.layers):
        own = {p.name: tensors[f"{use.name}.{p.name}"] for p in typed.parameters[use.name]}
        with g.layer(use.name):
            low = Lowering(g, own, seed, salt + 1)
            xs, ts = [values[v] for v in use.inputs], [typed.types[v] for v in use.inputs]
            if isinstance(use.layer, Join):
                values[use.name] = use.layer.lower(low, xs, ts)
            else:
                values[use.name] = use.layer.lower(low, xs[0], ts[0])
    return values


def _score(g: GraphBuilder, output: NetOutput, metric: str, value: Value) -> Scores:
    """Loss and metric of one output, by its kind; the target is an input of the output's name."""
    if output.kind == "class":
        target = g.input(output.name, "int64", (BATCH,))
        logits = losses.logits_of(g, value)
        loss = losses.cross_entropy(g, logits, target, output.size)
        return Scores(loss, {metric: losses.accuracy(g, logits, target)})
    target = g.input(output.name, g.dtype, (BATCH, output.size))
    loss = losses.mean_squared_error(g, value, target)
    return Scores(loss, {metric: losses.mean_absolute_error(g, value, target)})


def metric_names(net: ElaboratedNet) -> tuple[str, ...]:
    """The graph outputs that carry the metrics: `accuracy`, or `digit_accuracy` where a net has several outputs."""
    kinds = [(o.name, "accuracy" if o.kind == "class" else "mae") for o in net.outputs]
    return tuple(kind if len(kinds) == 1 else f"{name}_{kind}" for name, kind in kinds)


def _write_scores(g: GraphBuilder, scores: Scores) -> None:
    g.output("loss", scores.loss, g.dtype, ())
    for name, value in scores.metrics.items():
        g.output(name, value, g.dtype, ())


def _cut(g: GraphBuilder, flat: Value, slots: tuple[Slot, ...]) -> tuple[Value, ...]:
    """A flat vector in the pieces that the slots describe."""
    if len(slots) < 2:
        return (flat,) * len(slots)
    return g.op_n("Split", len(slots), flat, g.ints(*(s.size for s in slots)), axis=0)


def _join(g: GraphBuilder, pieces: list[Value]) -> Value:
    """One flat vector of the pieces; empty where there are none."""
    return g.op("Concat", *pieces, axis=0) if pieces else g.constant([])
