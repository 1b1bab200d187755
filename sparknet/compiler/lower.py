"""Lowering: from the typed net to the three graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
import onnx
from numpy.typing import NDArray

from sparknet.compiler.differentiate import differentiate
from sparknet.compiler.fold import fold_normalisation
from sparknet.compiler.graph import BATCH, GraphBuilder, Value
from sparknet.compiler.layers import Join, Lowering, Weighted
from sparknet.compiler.layers.variable import blank
from sparknet.compiler.layout import Slot, SlotKind, parameter_slots, state_slots, trained_size
from sparknet.compiler.metrics import Statistic
from sparknet.compiler.net import TypedNet, ValueId
from sparknet.compiler.optimizers import Update
from sparknet.compiler.outputs import Scores, measured, score, write_predictions
from sparknet.compiler.pool_places import as_maxima, pool_by_places
from sparknet.compiler.preprocess import preprocess
from sparknet.compiler.quicken import quicken
from sparknet.compiler.scaling import scale_behind
from sparknet.compiler.scope import Scope
from sparknet.compiler.sections import ROW_WEIGHT

OBJECTIVE, NEW = "net/objective", "/new"
"""The output of an objective that is to be differentiated, and what stands behind a buffer's name in that of its new
value; the slash keeps clear of all names that a file can give."""


@dataclass(frozen=True)
class _Forward:
    """What the layers compute: the value of each, and of each input; new buffers, by the names of their slots.

    `penalties` is what the sizes of weights add to the training loss.
    """

    values: dict[ValueId, Value] = field(default_factory=dict)
    buffers: dict[str, Value] = field(default_factory=dict)
    penalties: list[Value] = field(default_factory=list)


@dataclass(frozen=True)
class _Held:
    """The flat parameter vector, cut into tensors as `slots` say."""

    slots: tuple[Slot, ...]
    flat: Value
    tensors: dict[str, Value]

    def of_kind(self, kind: SlotKind) -> list[Slot]:
        """The slots of one kind, in their order."""
        return [s for s in self.slots if s.kind == kind]


@dataclass(frozen=True)
class _Learnt:
    """What a training batch says: its scores, the flat gradient of its loss, and new buffers by slot."""

    scores: Scores
    gradient: Value
    buffers: dict[str, Value]


def lower_inference(typed: TypedNet, parameters: NDArray[np.float32]) -> onnx.ModelProto:
    """The inference graph; see `CompiledNet.inference`."""
    g = GraphBuilder(typed.net.name)
    tensors = {
        s.name: g.initializer(s.name, parameters[s.offset : s.offset + s.size].reshape(s.shape))
        for s in parameter_slots(typed)
    }
    values = _forward(g, typed, tensors, _inputs(g, typed), seed=None).values
    for output in typed.net.outputs:
        write_predictions(g, output, values, typed.types)
    fold_normalisation(g)
    return g.model()


def lower_evaluation(typed: TypedNet) -> onnx.ModelProto:
    """The evaluation graph; see `CompiledNet`."""
    g = GraphBuilder(f"{typed.net.name}_evaluation")
    ports, held = _inputs(g, typed) | _targets(g, typed), _parameters(g, typed)
    _write_scores(g, _scored(g, typed, held.tensors, ports, seed=None)[0])
    quicken(g)
    return g.model()


@dataclass(frozen=True)
class Objective:
    """A graph without gradients; `value` is the scalar to be differentiated, with respect to each of `trained`."""

    graph: GraphBuilder
    value: Value
    trained: tuple[Value, ...]


def lower_objective(typed: TypedNet, decay: float = 0.0) -> Objective:
    """Forward pass and loss of a training batch, or of one of its parts where steps `accumulate` several.

    For an engine with gradients and optimizers of its own; see `engines.training_model`. The value is the loss and
    `decay / 2` times the square of each trained number, over the number of parts.
    """
    g = GraphBuilder(f"{typed.net.name}_objective")
    slots, train = parameter_slots(typed), typed.net.train
    tensors = {s.name: g.initializer(s.name, np.zeros(s.shape, g.dtype)) for s in slots}
    trained = tuple(s.name for s in slots if s.kind == "trained")
    ports, seed = _ports(g, typed), g.input("seed", "int64", ())
    scores, buffers = _scored(g, typed, tensors, ports, seed)
    with g.layer("loss"):
        value = scores.loss
        for name in trained if decay else ():
            square = g.op("ReduceSumSquare", name, keepdims=0)
            value = g.op("Add", value, g.op("Mul", square, g.constant(decay / 2)))
        value = g.op("Div", value, g.constant(float(train.accumulate)))
    g.output(OBJECTIVE, value, g.dtype, ())
    _write_scores(g, scores)
    for slot in slots:
        if slot.name in buffers:
            g.output(slot.name + NEW, buffers[slot.name], g.dtype, slot.shape)
    read = {value for node in g.live(g.outputs) for value in node.reads}
    g.inputs = {name: spec for name, spec in g.inputs.items() if name in read}
    return Objective(g, value, trained)


def lower_step(typed: TypedNet, dtype: str = "float32") -> onnx.ModelProto:
    """The graph of one training step; see `CompiledNet`. In float64 it serves to check gradients."""
    g = GraphBuilder(f"{typed.net.name}_step", dtype)
    ports, held = _ports(g, typed), _parameters(g, typed)
    seed = g.input("seed", "int64", ())
    state = g.input("optimizer_state", dtype, (sum(s.size for s in state_slots(typed)),))
    lr = g.input("learning_rate", dtype, ())
    learnt = _batch(g, typed, held, ports, seed)
    with g.layer("optimizer"):
        parts = _state_parts(g, typed, state)
        prefix = _trained_prefix(g, held.flat, held.slots)
        updated, new_state = _update(g, typed, Update(prefix, learnt.gradient, parts, lr, _trained_sizes(typed)))
    _write_scores(g, learnt.scores)
    new = _join(g, [updated, *_untrained(g, held, learnt)])
    g.output("new_parameters", new, dtype, g.inputs[held.flat][1])
    g.output("new_optimizer_state", new_state, dtype, g.inputs[state][1])
    quicken(g)
    return g.model()


def lower_gradient(typed: TypedNet) -> onnx.ModelProto:
    """The first half of the step graph; see `CompiledNet.gradient`."""
    g = GraphBuilder(f"{typed.net.name}_gradient")
    ports, held = _ports(g, typed), _parameters(g, typed)
    learnt = _batch(g, typed, held, ports, g.input("seed", "int64", ()))
    trained = trained_size(held.slots)
    _write_scores(g, learnt.scores)
    g.output("gradient", learnt.gradient, g.dtype, (trained,))
    untrained = _join(g, _untrained(g, held, learnt))
    g.output("untrained", untrained, g.dtype, (sum(s.size for s in held.slots) - trained,))
    quicken(g)
    return g.model()


def lower_update(typed: TypedNet) -> onnx.ModelProto:
    """The second half of the step graph; see `CompiledNet.update`."""
    g = GraphBuilder(f"{typed.net.name}_update")
    size = (trained_size(parameter_slots(typed)),)
    trained, gradient = (g.input(name, g.dtype, size) for name in ("trained", "gradient"))
    state = g.input("optimizer_state", g.dtype, (sum(s.size for s in state_slots(typed)),))
    lr = g.input("learning_rate", g.dtype, ())
    parts = _state_parts(g, typed, state)
    updated, new_state = _update(g, typed, Update(trained, gradient, parts, lr, _trained_sizes(typed)))
    g.output("new_trained", updated, g.dtype, size)
    g.output("new_optimizer_state", new_state, g.dtype, g.inputs[state][1])
    quicken(g)
    return g.model()


def _batch(g: GraphBuilder, typed: TypedNet, held: _Held, ports: Mapping[str, Value], seed: Value) -> _Learnt:
    """What a batch says, taken as a whole or in the parts that `accumulate` asks for."""
    if typed.net.train.accumulate == 1:
        return _learnt(g, typed, held, held.tensors, ports, seed)
    return _accumulated(g, typed, held, ports, seed)


def _update(g: GraphBuilder, typed: TypedNet, update: Update) -> tuple[Value, Value]:
    """The flat vectors of trained parameters and of the optimizer's state after a step."""
    train = typed.net.train
    clipped = update.grad if train.clip is None else train.clip.clip(g, update.grad)
    updated, new = train.optimizer.update(g, replace(update, grad=clipped))
    return updated, _join(g, [new[s.name] for s in state_slots(typed)])


def _state_parts(g: GraphBuilder, typed: TypedNet, state: Value) -> dict[str, Value]:
    """The parts of the optimizer's state, by name."""
    slots = state_slots(typed)
    return dict(zip([s.name for s in slots], _cut(g, state, slots), strict=True))


def _trained_sizes(typed: TypedNet) -> list[int]:
    return [s.size for s in parameter_slots(typed) if s.kind == "trained"]


def _untrained(g: GraphBuilder, held: _Held, learnt: _Learnt) -> list[Value]:
    """What lies behind the trained tensors in the flat vector, after a batch."""
    return [
        _flat(g, learnt.buffers.get(s.name, held.tensors[s.name]), s.shape) for s in held.slots if s.kind != "trained"
    ]


def _learnt(
    g: GraphBuilder, typed: TypedNet, held: _Held, tensors: Mapping[str, Value], ports: Mapping[str, Value], seed: Value
) -> _Learnt:
    """Forward and backward pass of one batch; buffers among `tensors` may differ from those that are held."""
    scores, buffers = _scored(g, typed, tensors, ports, seed)
    trained = held.of_kind("trained")
    weights = [tensors[s.name] for s in trained]
    scale_behind(g)
    statistics = [value for _, value in scores.statistics.values()]
    choices = pool_by_places(g, [scores.loss, *statistics, *buffers.values()], weights)
    gradients = differentiate(g, scores.loss, weights)
    as_maxima(g, choices)
    with g.layer("optimizer"):
        flat = [_flat(g, d, s.shape) for d, s in zip(gradients, trained, strict=True)]
        return _Learnt(scores, _join(g, flat), buffers)


def _accumulated(g: GraphBuilder, typed: TypedNet, held: _Held, ports: Mapping[str, Value], seed: Value) -> _Learnt:
    """A batch taken in equal parts, one after the other: gradients and scores are their means, buffers pass through.

    The body of a `Scan` over the parts holds the passes forward and backward, so that no more than one part of the
    batch is ever in memory as activations.
    """
    g.infer()
    parts, trained = typed.net.train.accumulate, trained_size(held.slots)
    body = g.nested("part")
    total = body.input(body.fresh("net/gradient"), g.dtype, (trained,))
    buffers = {s.name: body.input(body.fresh("net/buffer"), g.dtype, s.shape) for s in held.of_kind("buffer")}
    part_of = {name: body.input(body.fresh("net/part"), *g.inputs[port]) for name, port in ports.items()}
    part_seed = body.input(body.fresh("net/seed"), "int64", ())
    learnt = _learnt(body, typed, held, held.tensors | buffers, part_of, part_seed)
    body.result(body.op("Add", total, learnt.gradient), (trained,))
    for slot in held.of_kind("buffer"):
        body.result(learnt.buffers.get(slot.name, buffers[slot.name]), slot.shape)
    body.result(learnt.scores.loss, ())
    for statistic, value in learnt.scores.statistics.values():
        body.result(value, statistic.shape, _dtype(g, statistic))

    with g.layer("parts"):
        starts = [g.op("Expand", g.constant(0.0), g.ints(trained)), *(held.tensors[name] for name in buffers)]
        cut = [g.op("Reshape", port, g.ints(parts, -1, *_row(g, port))) for port in ports.values()]
        seeds = g.op("Add", g.op("Mul", seed, g.ints(parts)), g.ints(*range(parts)))
        found = g.op_n("Scan", len(body.outputs), *starts, *cut, seeds, body=body, num_scan_inputs=len(cut) + 1)
        gradient = g.op("Div", found[0], g.constant(float(parts)))
        loss, *means = (g.op("ReduceMean", each, g.ints(0), keepdims=0) for each in found[len(starts) :])
    statistics = {
        name: (statistic, mean)
        for (name, (statistic, _)), mean in zip(learnt.scores.statistics.items(), means, strict=True)
    }
    return _Learnt(Scores(loss, statistics), gradient, dict(zip(buffers, found[1:], strict=False)))


def _row(g: GraphBuilder, port: Value) -> tuple[int, ...]:
    return tuple(int(size) for size in g.inputs[port][1][1:])


def _ports(g: GraphBuilder, typed: TypedNet) -> dict[str, Value]:
    """Declares all that the data feeds where a net is trained, the weights of rows among it."""
    ports = _inputs(g, typed) | _targets(g, typed)
    if typed.net.weighs_rows:
        ports[ROW_WEIGHT] = g.input(ROW_WEIGHT, g.dtype, (BATCH,))
    return ports


def _parameters(g: GraphBuilder, typed: TypedNet) -> _Held:
    """Declares the parameters, which come in as one flat vector."""
    slots = parameter_slots(typed)
    flat = g.input("parameters", g.dtype, (sum(s.size for s in slots),))
    pieces = zip(slots, _cut(g, flat, slots), strict=True)
    return _Held(slots, flat, {s.name: g.op("Reshape", piece, g.ints(*s.shape)) for s, piece in pieces})


def _scored(
    g: GraphBuilder, typed: TypedNet, tensors: Mapping[str, Value], ports: Mapping[str, Value], seed: Value | None
) -> tuple[Scores, dict[str, Value]]:
    """Forward pass, loss and metrics; and new buffers, by the names of their slots."""
    forward = _forward(g, typed, tensors, ports, seed)
    with g.layer("loss"):
        scores = [score(g, typed.net, m, forward.values, ports) for m in measured(typed.net)]
        total = reduce(lambda a, b: g.op("Add", a, b), [*(s.loss for s in scores), *forward.penalties])
    return Scores(total, {k: v for s in scores for k, v in s.statistics.items()}), forward.buffers


def _inputs(g: GraphBuilder, typed: TypedNet) -> dict[str, Value]:
    """Declares the net's inputs, that of the lengths behind each sequence that has some."""
    found: dict[str, Value] = {}
    for i in typed.net.inputs:
        dtype = g.dtype if i.type.dtype == "float32" else i.type.dtype
        found[i.name] = g.input(i.name, dtype, (BATCH, *i.type.shape))
        if i.type.lengths is not None:
            found[i.type.lengths] = g.input(i.type.lengths, "int64", (BATCH,))
    return found


def _targets(g: GraphBuilder, typed: TypedNet) -> dict[str, Value]:
    """Declares the targets, under the names of the outputs that have one."""
    return {
        o.name: g.input(o.name, "int64", (BATCH,)) if o.kind == "class" else g.input(o.name, g.dtype, (BATCH, *o.shape))
        for o in typed.net.outputs
        if o.like is None
    }


def _forward(
    g: GraphBuilder, typed: TypedNet, tensors: Mapping[str, Value], ports: Mapping[str, Value], seed: Value | None
) -> _Forward:
    net = typed.net
    found = _Forward()
    values = found.values
    expressions = {p.port: p.expression for p in net.preprocessing}
    for i in net.inputs:
        values[i.name] = ports[i.name]
        if i.name in expressions:
            own = {p.name: tensors[f"{i.name}.{p.name}"] for p in typed.parameters.get(i.name, ())}
            with g.layer(i.name):
                values[i.name] = preprocess(g, expressions[i.name], values[i.name], Scope(net.source, net.lets), own)
                low = Lowering(g, {}, seed, 0, ports=ports)
                values[i.name] = blank(low, values[i.name], i.type)  # of 1 / 0 behind the end not even 0 times is 0
    for salt, use in enumerate(net.layers):
        own = {p.name: tensors[f"{use.name}.{p.name}"] for p in typed.parameters[use.name]}
        with g.layer(use.name):
            low = Lowering(g, own, seed, salt + 1, ports=ports)
            xs, ts = [values[v] for v in use.inputs], [typed.types[v] for v in use.inputs]
            if isinstance(use.layer, Join):
                values[use.name] = use.layer.lower(low, xs, ts)
            else:
                values[use.name] = use.layer.lower(low, xs[0], ts[0])
            if low.training and isinstance(use.layer, Weighted):
                found.penalties.extend(use.layer.penalty(low, typed.parameters[use.name]))
            found.buffers.update({f"{use.name}.{name}": value for name, value in low.buffers.items()})
    return found


def _write_scores(g: GraphBuilder, scores: Scores) -> None:
    g.output("loss", scores.loss, g.dtype, ())
    for name, (statistic, value) in scores.statistics.items():
        g.output(name, value, _dtype(g, statistic), statistic.shape)


def _dtype(g: GraphBuilder, statistic: Statistic) -> str:
    return g.dtype if statistic.dtype == "float32" else statistic.dtype


def _cut(g: GraphBuilder, flat: Value, slots: tuple[Slot, ...]) -> tuple[Value, ...]:
    """A flat vector in the pieces that the slots describe."""
    if len(slots) < 2:
        return (flat,) * len(slots)
    return g.op_n("Split", len(slots), flat, g.ints(*(s.size for s in slots)), axis=0)


def _trained_prefix(g: GraphBuilder, flat: Value, slots: tuple[Slot, ...]) -> Value:
    """The first part of the parameter vector, which the optimizer works on."""
    trained, total = trained_size(slots), sum(s.size for s in slots)
    return flat if trained == total else g.op_n("Split", 2, flat, g.ints(trained, total - trained), axis=0)[0]


def _flat(g: GraphBuilder, tensor: Value, shape: tuple[int, ...]) -> Value:
    return tensor if len(shape) == 1 else g.op("Reshape", tensor, g.ints(-1))


def _join(g: GraphBuilder, pieces: list[Value]) -> Value:
    """One flat vector of the pieces; empty where there are none."""
    if len(pieces) == 1:
        return pieces[0]
    return g.op("Concat", *pieces, axis=0) if pieces else g.constant([])
