"""Metrics that `train { metrics = ... }` may choose.

A graph gives for each batch some means over its rows, the statistics; a metric is a function of such means over all
rows. So a score does not depend on how rows are cut into batches and shared among workers, as a mean of the F1 of each
batch would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from sparknet.compiler import losses
from sparknet.compiler.graph import GraphBuilder, Value

Means = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Statistic:
    """An output of the step and evaluation graphs: the mean over the rows of a batch, a scalar or a vector."""

    name: str
    shape: tuple[int, ...] = ()
    dtype: Literal["float32", "float64"] = "float32"

    @property
    def size(self) -> int:
        """How many numbers."""
        return self.shape[0] if self.shape else 1


@dataclass(frozen=True)
class Batch:
    """What a metric sees: predictions and targets, of a class the logits; `size` is that of the output."""

    g: GraphBuilder
    kind: str
    size: int
    value: Value
    target: Value

    def mean(self, value: Value) -> Value:
        """Over the rows."""
        return self.g.op("ReduceMean", value, self.g.ints(0), keepdims=0)

    def number(self, condition: Value) -> Value:
        """1 where it holds, 0 elsewhere."""
        return self.g.op("Cast", condition, to=self.g.onnx_type(self.g.dtype))

    def one_hot(self, index: Value) -> Value:
        """bool[N, size]."""
        return self.g.op("Equal", self.g.op("Unsqueeze", index, self.g.ints(1)), self.g.ints(*range(self.size)))


class Metric(BaseModel):
    """Base of all metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    """The kinds of output that it can judge."""
    lower_is_better: ClassVar[bool] = False

    @property
    def label(self) -> str:
        """What its scores are called."""
        return self.name

    def misfit(self, size: int) -> tuple[str, str] | None:
        """Why it says nothing of an output of this size, and what to write instead."""
        return None

    def statistics(self, size: int) -> tuple[Statistic, ...]:
        """The means that it is made of."""
        return (Statistic(self.label),)

    def lower(self, b: Batch) -> tuple[Value, ...]:
        """The statistics of a batch, in their order."""
        raise NotImplementedError

    def score(self, means: Means, kind: str) -> float:
        """The metric of an output of this kind, from its statistics as means over all rows."""
        return means[self.label][0]


class Accuracy(Metric):
    """The share of rows whose likeliest class is right; of yes and no, the share of answers that are."""

    name: ClassVar[str] = "accuracy"
    kinds: ClassVar[frozenset[str]] = frozenset({"class", "bool"})

    def lower(self, b: Batch) -> tuple[Value, ...]:
        """As `Metric.lower`."""
        judge = losses.accuracy if b.kind == "class" else losses.binary_accuracy
        return (judge(b.g, b.value, b.target),)


class TopK(Metric):
    """The share of rows whose class is among the `k` likeliest: those with fewer than `k` larger logits."""

    name: ClassVar[str] = "top_k"
    kinds: ClassVar[frozenset[str]] = frozenset({"class"})

    k: Annotated[int, Field(ge=1, le=1_000_000)] = 5

    @property
    def label(self) -> str:
        """`top_5`."""
        return f"top_{self.k}"

    def misfit(self, size: int) -> tuple[str, str] | None:
        """All classes are among the likeliest `size`."""
        if self.k < size:
            return None
        return f"the class is always among the {self.k} likeliest of {size}", f"write `top_k({max(1, size // 2)})`"

    def lower(self, b: Batch) -> tuple[Value, ...]:
        """As `Metric.lower`."""
        g = b.g
        logit = g.op("Where", b.one_hot(b.target), b.value, g.constant(0.0))
        logit = g.op("ReduceSum", logit, g.ints(1), keepdims=1)
        larger = g.op("ReduceSum", b.number(g.op("Greater", b.value, logit)), g.ints(1), keepdims=0)
        return (b.mean(b.number(g.op("Less", larger, g.constant(float(self.k))))),)


class MeanAbsoluteError(Metric):
    """The mean absolute error."""

    name: ClassVar[str] = "mae"
    kinds: ClassVar[frozenset[str]] = frozenset({"float", "like"})
    lower_is_better: ClassVar[bool] = True

    def lower(self, b: Batch) -> tuple[Value, ...]:
        """As `Metric.lower`."""
        return (losses.mean_absolute_error(b.g, b.value, b.target),)


class MeanSquaredError(Metric):
    """The mean squared error."""

    name: ClassVar[str] = "mse"
    kinds: ClassVar[frozenset[str]] = frozenset({"float", "like"})
    lower_is_better: ClassVar[bool] = True

    def lower(self, b: Batch) -> tuple[Value, ...]:
        """As `Metric.lower`."""
        return (losses.mean_squared_error(b.g, b.value, b.target),)


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean squared error."""

    name: ClassVar[str] = "rmse"

    def statistics(self, size: int) -> tuple[Statistic, ...]:
        """As `Metric.statistics`."""
        return (Statistic("mse"),)

    def score(self, means: Means, kind: str) -> float:
        """As `Metric.score`."""
        return sqrt(means["mse"][0])


class R2(Metric):
    """The coefficient of determination, `1 - error / variance`, the mean of those of the numbers of a row.

    The variance is a difference of two large numbers where targets lie far from 0, so its parts are float64.
    """

    name: ClassVar[str] = "r2"
    kinds: ClassVar[frozenset[str]] = frozenset({"float"})

    def statistics(self, size: int) -> tuple[Statistic, ...]:
        """As `Metric.statistics`."""
        names = ("r2_error", "r2_mean", "r2_square")
        return tuple(Statistic(name, (size,), "float64") for name in names)

    def lower(self, b: Batch) -> tuple[Value, ...]:
        """As `Metric.lower`."""
        g = b.g
        target, value = (g.op("Cast", v, to=g.onnx_type("float64")) for v in (b.target, b.value))
        error = g.op("Sub", value, target)
        return b.mean(g.op("Mul", error, error)), b.mean(target), b.mean(g.op("Mul", target, target))

    def score(self, means: Means, kind: str) -> float:
        """As `Metric.score`; of a target that is always the same, 1 where every prediction is right and else 0."""
        columns = zip(*(means[s.name] for s in self.statistics(1)), strict=True)
        each = [_determination(*column) for column in columns]
        return sum(each) / len(each)


_ROUNDING = 1e-12
"""What remains, as a share of the mean square, where the variance of equal numbers is found as a difference."""


def _determination(error: float, mean: float, square: float) -> float:
    variance = square - mean * mean
    return 1 - error / variance if variance > _ROUNDING * square else float(error == 0)


class _OfClasses(Metric):
    """Base of what is counted for each class; of two classes the second is meant, of more their mean.

    Classes that neither occur nor are predicted do not count. Of `bool[n]`, each of the n answers is such a class.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"class", "bool"})

    def statistics(self, size: int) -> tuple[Statistic, ...]:
        """As `Metric.statistics`."""
        return tuple(Statistic(name, (size,)) for name in ("class_hit", "class_said", "class_true"))

    def lower(self, b: Batch) -> tuple[Value, ...]:
        """As `Metric.lower`."""
        g = b.g
        if b.kind == "class":
            said, true = b.one_hot(g.op("ArgMax", b.value, axis=1, keepdims=0)), b.one_hot(b.target)
        else:
            said = g.op("GreaterOrEqual", b.value, g.constant(0.0))
            true = g.op("GreaterOrEqual", b.target, g.constant(0.5))
        said, true = b.number(said), b.number(true)
        return b.mean(g.op("Mul", said, true)), b.mean(said), b.mean(true)

    def score(self, means: Means, kind: str) -> float:
        """As `Metric.score`."""
        columns = list(zip(*(means[s.name] for s in self.statistics(1)), strict=True))
        chosen = columns[1:] if kind == "class" and len(columns) == 2 else columns
        counted = [self._of_class(*column) for column in chosen if column[1] + column[2] > 0]
        return sum(counted) / len(counted) if counted else 0.0

    def _of_class(self, hit: float, said: float, true: float) -> float:
        raise NotImplementedError


class Precision(_OfClasses):
    """Of the rows that are said to be of a class, the share that is."""

    name: ClassVar[str] = "precision"

    def _of_class(self, hit: float, said: float, true: float) -> float:
        return hit / said if said else 0.0


class Recall(_OfClasses):
    """Of the rows of a class, the share that is said to be of it."""

    name: ClassVar[str] = "recall"

    def _of_class(self, hit: float, said: float, true: float) -> float:
        return hit / true if true else 0.0


class F1(_OfClasses):
    """The harmonic mean of precision and recall."""

    name: ClassVar[str] = "f1"

    def _of_class(self, hit: float, said: float, true: float) -> float:
        return 2 * hit / (said + true)


AnyMetric = Accuracy | TopK | MeanAbsoluteError | MeanSquaredError | RootMeanSquaredError | R2 | Precision | Recall | F1
_ALL: tuple[type[AnyMetric], ...] = (
    *(Accuracy, TopK, Precision, Recall, F1),
    *(MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError, R2),
)
METRICS: dict[str, type[AnyMetric]] = {metric.name: metric for metric in _ALL}
USUAL: dict[str, AnyMetric] = {
    "class": Accuracy(),
    "float": MeanAbsoluteError(),
    "bool": Accuracy(),
    "like": MeanSquaredError(),
}
"""By the kind of an output, what is measured unless `train` says otherwise."""
