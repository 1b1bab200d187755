"""Losses that `train { loss = ... }` may choose: their options, the kinds of output that they fit, their graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sparknet.compiler import losses
from sparknet.compiler.graph import GraphBuilder, Value


@dataclass(frozen=True)
class Rows:
    """How many numbers a row of an output has, and, where it is a class, what each class weighs (nothing: alike)."""

    size: int
    class_weights: Sequence[float] = ()
    weights: Value | None = None
    """What each row weighs, float[N, 1, ...] with as many axes as the losses; None: alike."""


class Criterion(BaseModel):
    """Base of all losses: the mean over a batch, and over the numbers of a row, of how far predictions are off."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]]
    """The kinds of output that it can judge."""

    def loss(self, g: GraphBuilder, value: Value, target: Value, rows: Rows) -> Value:
        """The loss, a scalar, of an output's `value` against `target`, both batches of `rows`."""
        raise NotImplementedError


class CrossEntropy(Criterion):
    """Cross entropy from logits, also behind a softmax; label smoothing as Szegedy et al., 2016, section 7."""

    name: ClassVar[str] = "cross_entropy"
    kinds: ClassVar[frozenset[str]] = frozenset({"class"})

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def loss(self, g: GraphBuilder, value: Value, target: Value, rows: Rows) -> Value:
        """As `Criterion.loss`."""
        logits = losses.logits_of(g, value, "Softmax") or value
        smoothing, classes = self.label_smoothing, rows.class_weights
        return losses.cross_entropy(g, logits, target, rows.size, smoothing, classes, rows.weights)


class BinaryCrossEntropy(Criterion):
    """Binary cross entropy from logits, also behind a sigmoid."""

    name: ClassVar[str] = "binary_cross_entropy"
    kinds: ClassVar[frozenset[str]] = frozenset({"bool", "like"})

    def loss(self, g: GraphBuilder, value: Value, target: Value, rows: Rows) -> Value:
        """As `Criterion.loss`."""
        logits = losses.logits_of(g, value, "Sigmoid") or value
        return losses.binary_cross_entropy(g, logits, target, rows.weights)


class MeanSquared(Criterion):
    """The mean squared error."""

    name: ClassVar[str] = "mean_squared"
    kinds: ClassVar[frozenset[str]] = frozenset({"float", "like"})

    def loss(self, g: GraphBuilder, value: Value, target: Value, rows: Rows) -> Value:
        """As `Criterion.loss`."""
        return losses.mean_squared_error(g, value, target, rows.weights)


class MeanAbsolute(Criterion):
    """The mean absolute error."""

    name: ClassVar[str] = "mean_absolute"
    kinds: ClassVar[frozenset[str]] = frozenset({"float", "like"})

    def loss(self, g: GraphBuilder, value: Value, target: Value, rows: Rows) -> Value:
        """As `Criterion.loss`."""
        return losses.mean_absolute_error(g, value, target, rows.weights)


class Huber(Criterion):
    """Huber's loss (1964): half the squared error up to `delta`, from there on growing like the absolute error."""

    name: ClassVar[str] = "huber"
    kinds: ClassVar[frozenset[str]] = frozenset({"float", "like"})

    delta: Annotated[float, Field(gt=0)] = 1.0

    def loss(self, g: GraphBuilder, value: Value, target: Value, rows: Rows) -> Value:
        """As `Criterion.loss`."""
        return losses.huber(g, value, target, self.delta, rows.weights)


Loss = CrossEntropy | BinaryCrossEntropy | MeanSquared | MeanAbsolute | Huber
LOSSES: dict[str, type[Loss]] = {
    c.name: c for c in (CrossEntropy, BinaryCrossEntropy, MeanSquared, MeanAbsolute, Huber)
}
