"""The outputs of a net, by their kinds: how each is scored, and what inference gives for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sparknet.compiler import losses
from sparknet.compiler.criteria import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquared, Rows
from sparknet.compiler.graph import BATCH, GraphBuilder, Value
from sparknet.compiler.metrics import USUAL, AnyMetric, Batch, Means, Statistic
from sparknet.compiler.net import ElaboratedNet, NetOutput, ValueId
from sparknet.compiler.sections import ROW_WEIGHT
from sparknet.compiler.stopping import Judge
from sparknet.compiler.types import TensorType


@dataclass(frozen=True)
class Scores:
    """The loss of a batch, a scalar, and the statistics that metrics are made of, by their names."""

    loss: Value
    statistics: dict[str, tuple[Statistic, Value]]


@dataclass(frozen=True)
class Measured:
    """An output and its metrics; `prefix` stands before their names where a net has several outputs."""

    output: NetOutput
    prefix: str
    metrics: tuple[AnyMetric, ...]

    @property
    def statistics(self) -> dict[str, Statistic]:
        """What the metrics are made of, each once, by the names of the graphs' outputs."""
        found = (s for metric in self.metrics for s in metric.statistics(self.output.size))
        return {f"{self.prefix}{s.name}": s for s in found}

    def scores(self, means: Means) -> dict[str, float]:
        """The metrics by name, from the means of the graphs' outputs over all rows."""
        own = {s.name: means[name] for name, s in self.statistics.items()}
        return {f"{self.prefix}{m.label}": m.score(own, self.output.kind) for m in self.metrics}


def measured(net: ElaboratedNet) -> tuple[Measured, ...]:
    """Every output with its metrics: those that `train` names, or the one of its kind."""
    return tuple(
        Measured(o, f"{o.name}_" * (len(net.outputs) > 1), net.train.metrics.get(o.name, (USUAL[o.kind],)))
        for o in net.outputs
    )


def judge(net: ElaboratedNet, metric: str | None = None) -> Judge:
    """By which score its rounds are compared: the one that is given or that `early_stop` names, else the loss."""
    early_stop = net.train.early_stop
    name = metric or ("loss" if early_stop is None else early_stop.metric)
    lower = {f"{m.prefix}{metric.label}": metric.lower_is_better for m in measured(net) for metric in m.metrics}
    return Judge(name, lower.get(name, True))


def metric_names(net: ElaboratedNet) -> tuple[str, ...]:
    """What scores are called: `accuracy`, or `digit_accuracy` where a net has several outputs."""
    return tuple(f"{m.prefix}{metric.label}" for m in measured(net) for metric in m.metrics)


def statistics(net: ElaboratedNet) -> tuple[Statistic, ...]:
    """The outputs of the step and evaluation graphs that metrics are made of, in their order."""
    return tuple(replace(s, name=name) for m in measured(net) for name, s in m.statistics.items())


def metric_scores(net: ElaboratedNet, means: Sequence[float]) -> dict[str, float]:
    """The metrics by name, from the means over all rows of all `statistics`, one behind the other."""
    by_name: dict[str, Sequence[float]] = {}
    for s in statistics(net):
        by_name[s.name], means = means[: s.size], means[s.size :]
    return {name: score for m in measured(net) for name, score in m.scores(by_name).items()}


def score(
    g: GraphBuilder,
    net: ElaboratedNet,
    m: Measured,
    values: Mapping[str, Value],
    ports: Mapping[str, Value],
) -> Scores:
    """Loss and statistics of one output; the target is a port of the output's name, or what the output is like.

    The loss counts each row as a port `row_weight` says, if there is one; the statistics count all rows alike.
    """
    output = m.output
    value = values[output.value]
    target = ports[output.name] if output.like is None else values[output.like]
    criterion = net.train.loss.get(output.name) or _usual_loss(g, output, value)
    weights = _row_weights(g, output, ports)
    rows = Rows(output.size, net.train.class_weights.get(output.name, ()), weights)
    loss = criterion.loss(g, value, target, rows)
    if output.name in net.train.weights:
        loss = g.op("Mul", loss, g.constant(net.train.weights[output.name]))
    batch = _judged(g, output, value, target)
    found: dict[str, tuple[Statistic, Value]] = {}
    for metric in m.metrics:
        names = [f"{m.prefix}{s.name}" for s in metric.statistics(output.size)]
        if any(name not in found for name in names):
            found |= zip(names, zip(metric.statistics(output.size), metric.lower(batch), strict=True), strict=True)
    return Scores(loss, found)


def _row_weights(g: GraphBuilder, output: NetOutput, ports: Mapping[str, Value]) -> Value | None:
    """The weights of rows, if they have some, with axes of length 1 for the numbers that an output has in each row."""
    if ROW_WEIGHT not in ports:
        return None
    axes = 0 if output.kind == "class" else len(output.shape)
    return g.op("Reshape", ports[ROW_WEIGHT], g.ints(-1, *(1,) * axes)) if axes else ports[ROW_WEIGHT]


def _usual_loss(g: GraphBuilder, output: NetOutput, value: Value) -> Loss:
    if output.kind == "class":
        return CrossEntropy()
    probabilities = output.kind == "like" and losses.logits_of(g, value, "Sigmoid") is not None
    return BinaryCrossEntropy() if output.kind == "bool" or probabilities else MeanSquared()


def _judged(g: GraphBuilder, output: NetOutput, value: Value, target: Value) -> Batch:
    squash = {"class": "Softmax", "bool": "Sigmoid"}.get(output.kind)
    logits = losses.logits_of(g, value, squash) if squash else None
    return Batch(g, output.kind, output.size, logits or value, target)


def predictions(output: NetOutput, types: Mapping[ValueId, TensorType]) -> tuple[tuple[str, TensorType], ...]:
    """Names and types of what inference gives for an output, without the batch; `types` are those of the net."""
    row = TensorType("float32", output.shape)
    match output.kind:
        case "class":
            return (output.name, TensorType("int64", ())), (f"{output.name}_probability", row)
        case "bool":
            return (output.name, TensorType("bool", output.shape)), (f"{output.name}_probability", row)
        case "like":
            found = ((output.name, row), (f"{output.name}_error", TensorType("float32", ())))
            code = _code(output, types)
            return found if code is None else (*found, (f"{output.name}_code", code))
        case "float":
            return ((output.name, row),)


def _code(output: NetOutput, types: Mapping[ValueId, TensorType]) -> TensorType | None:
    """The type of the code; None where there is none, or one whose length varies from row to row."""
    code = None if output.code is None else types[output.code]
    return None if code is None or code.lengths is not None else TensorType("float32", code.shape)


def write_predictions(
    g: GraphBuilder, output: NetOutput, values: Mapping[ValueId, Value], types: Mapping[ValueId, TensorType]
) -> None:
    """Declare the graph outputs of `predictions`."""
    computed = _predicted(g, output, values)
    if output.code is not None and _code(output, types) is not None:
        computed = (*computed, values[output.code])
    for (name, found), value in zip(predictions(output, types), computed, strict=True):
        g.output(name, value, found.dtype, (BATCH, *found.shape))


def _predicted(g: GraphBuilder, output: NetOutput, values: Mapping[ValueId, Value]) -> tuple[Value, ...]:
    value = values[output.value]
    if output.kind == "class":
        logits = losses.logits_of(g, value, "Softmax")
        probability = value if logits else g.op("Softmax", value, axis=1)
        return g.op("ArgMax", logits or value, axis=1, keepdims=0), probability
    if output.kind == "bool":
        probability = value if losses.logits_of(g, value, "Sigmoid") else g.op("Sigmoid", value)
        return g.op("GreaterOrEqual", probability, g.constant(0.5)), probability
    if output.like is not None:
        return value, losses.squared_error_of_rows(g, value, values[output.like], len(output.shape))
    return (value,)
