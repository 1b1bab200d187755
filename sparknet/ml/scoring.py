"""Predictions as Spark ML has them, numbers and vectors of doubles: what Spark's Python workers compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.encoding.binding import bounded
from sparknet.runtime.engines.base import Engine
from sparknet.runtime.inference import FIRST, Predictor, Standing

Doubles = NDArray[np.float64]
Added = Literal["prediction", "probability", "raw", "code", "reconstruction", "error"]
"""What a new column holds: a number, or a vector with a number for each class."""


@dataclass(frozen=True)
class Scores:
    """What a net says of some rows; `probability` double[rows, classes], None where it gives numbers."""

    prediction: Doubles
    probability: Doubles | None = None

    def values(self, added: Added) -> Doubles:
        """What a column holds, double[rows] or double[rows, classes]."""
        if added == "prediction" or self.probability is None:
            return self.prediction
        return self.probability if added == "probability" else raw_prediction(self.probability)


def raw_prediction(probability: Doubles) -> Doubles:
    """The logits that sum to 0 and whose softmax are the probabilities, double[rows, classes].

    Of two classes they are, as those of Spark's logistic regression, of opposite sign, so that the second one alone
    ranks rows by it.
    """
    logs = np.log(np.maximum(probability, np.finfo(np.float32).tiny))
    centred: Doubles = logs - logs.mean(axis=1, keepdims=True)
    return centred


def class_scores(probability: NDArray[Any], thresholds: Sequence[float] | None) -> Scores:
    """The scores of classes, the likeliest one predicted: that of the largest p / t, where there are thresholds t."""
    doubles = probability.astype(np.float64)
    doubles /= doubles.sum(axis=1, keepdims=True)
    ratio = doubles
    if thresholds is not None:
        with np.errstate(divide="ignore", invalid="ignore"):  # as in Spark: p / 0 is infinite, and 0 / 0 counts as 0
            ratio = np.nan_to_num(doubles / np.asarray(thresholds), posinf=np.inf)
    return Scores(np.argmax(ratio, axis=1).astype(np.float64), doubles)


def vectors(values: Doubles) -> pa.StructArray:
    """double[rows, size] as dense vectors, in the form in which Spark stores them."""
    rows, size = values.shape
    offsets = pa.array(np.arange(0, rows * size + 1, max(1, size), dtype=np.int32)[: rows + 1])
    lists = pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))
    dense = pa.array(np.ones(rows, np.int8))
    parts = [dense, pa.nulls(rows, pa.int32()), pa.nulls(rows, pa.list_(pa.int32())), lists]
    return pa.StructArray.from_arrays(parts, names=["type", "size", "indices", "values"])


class BatchScorer(Protocol):
    """What scores batches of rows."""

    @property
    def predictor(self) -> Predictor:
        """The net, and the columns that feed it."""

    def score(self, batch: pa.RecordBatch, standing: Standing = FIRST) -> BatchScores:
        """The scores of a batch; raises SparkNetError for a row that does not fit."""


class BatchScores(Protocol):
    """What a net says of some rows."""

    def values(self, added: Added) -> Doubles:
        """What a column holds, double[rows] or double[rows, numbers]."""


@dataclass(frozen=True)
class Scorer:
    """A net as it scores batches."""

    predictor: Predictor
    engine: Engine
    classes: int | None = None
    """How many classes it tells apart; None where it gives one number."""
    thresholds: tuple[float, ...] | None = None

    def score(self, batch: pa.RecordBatch, standing: Standing = FIRST) -> Scores:
        """The scores of a batch; raises SparkNetError for a row that does not fit."""
        found = self.predictor.predict(batch, self.engine, standing)
        if self.classes is None:
            return Scores(np.asarray(found[0]).astype(np.float64))
        probability = np.asarray(found[1].flatten()).reshape(-1, self.classes)
        return class_scores(probability, self.thresholds)


@dataclass(frozen=True)
class ScoreRows:
    """The kept columns and the scores beside them, for `mapInArrow`."""

    scorer: BatchScorer
    keep: tuple[tuple[str, str], ...]
    """Columns that are kept: the name in the output, and the name in the batches."""
    added: tuple[tuple[str, Added], ...]
    """The new columns and what they hold."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """A batch for each batch; raises SparkNetError for a bad row, without a trace of how it was found."""
        names, before = [name for name, _ in (*self.keep, *self.added)], 0
        for batch in bounded(batches, self.scorer.predictor.bound):
            try:
                scores = self.scorer.score(batch, Standing(before, self.keep))
            except SparkNetError as error:
                raise error.with_traceback(None) from None
            before += batch.num_rows
            columns = [batch.column(name) for _, name in self.keep]
            for _, kind in self.added:
                values = scores.values(kind)
                columns.append(pa.array(values) if values.ndim == 1 else vectors(values))
            yield pa.RecordBatch.from_arrays(columns, names=names)
