"""The outputs of a net, by their kinds: how each is scored, and what inference gives for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sparknet.compiler import losses
from sparknet.compiler.criteria import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquared, Rows
from sparknet.compiler.graph import BATCH, GraphBuilder, Value
from sparknet.compiler.net import ElaboratedNet, NetOutput, OutputKind, ValueId
from sparknet.compiler.types import TensorType

_METRICS: dict[OutputKind, str] = {"class": "accuracy", "float": "mae", "bool": "accuracy", "like": "mse"}


@dataclass(frozen=True)
class Scores:
    """The loss of a batch and its metrics, all scalars."""

    loss: Value
    metrics: dict[str, Value]


def metric_names(net: ElaboratedNet) -> tuple[str, ...]:
    """The graph outputs that carry the metrics: `accuracy`, or `digit_accuracy` where a net has several outputs."""
    kinds = [(o.name, _METRICS[o.kind]) for o in net.outputs]
    return tuple(kind if len(kinds) == 1 else f"{name}_{kind}" for name, kind in kinds)


def score(
    g: GraphBuilder,
    net: ElaboratedNet,
    output: NetOutput,
    metric: str,
    values: Mapping[str, Value],
    ports: Mapping[str, Value],
) -> Scores:
    """Loss and metric of one output; the target is a port of the output's name, or what the output is like."""
    value = values[output.value]
    target = ports[output.name] if output.like is None else values[output.like]
    criterion = net.train.loss.get(output.name) or _usual_loss(g, output, value)
    loss = criterion.loss(g, value, target, Rows(output.size, net.train.class_weights.get(output.name, ())))
    if output.name in net.train.weights:
        loss = g.op("Mul", loss, g.constant(net.train.weights[output.name]))
    return Scores(loss, {metric: _metric(g, output, value, target)})


def _usual_loss(g: GraphBuilder, output: NetOutput, value: Value) -> Loss:
    if output.kind == "class":
        return CrossEntropy()
    probabilities = output.kind == "like" and losses.logits_of(g, value, "Sigmoid") is not None
    return BinaryCrossEntropy() if output.kind == "bool" or probabilities else MeanSquared()


def _metric(g: GraphBuilder, output: NetOutput, value: Value, target: Value) -> Value:
    match output.kind:
        case "class":
            return losses.accuracy(g, losses.logits_of(g, value, "Softmax") or value, target)
        case "bool":
            return losses.binary_accuracy(g, losses.logits_of(g, value, "Sigmoid") or value, target)
        case "like":
            return losses.mean_squared_error(g, value, target)
        case "float":
            return losses.mean_absolute_error(g, value, target)


def predictions(output: NetOutput) -> tuple[tuple[str, TensorType], ...]:
    """Names and types of what inference gives for an output, without the batch."""
    row = TensorType("float32", output.shape)
    match output.kind:
        case "class":
            return (output.name, TensorType("int64", ())), (f"{output.name}_probability", row)
        case "bool":
            return (output.name, TensorType("bool", output.shape)), (f"{output.name}_probability", row)
        case "like":
            return (output.name, row), (f"{output.name}_error", TensorType("float32", ()))
        case "float":
            return ((output.name, row),)


def write_predictions(g: GraphBuilder, output: NetOutput, values: Mapping[ValueId, Value]) -> None:
    """Declare the graph outputs of `predictions`."""
    computed = _predicted(g, output, values)
    for (name, found), value in zip(predictions(output), computed, strict=True):
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
