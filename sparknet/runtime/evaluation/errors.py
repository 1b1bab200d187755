"""What is counted of each kind of output: models that merge, and that `errors.json` of a run holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import reduce
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sparknet.runtime.encoding.moments import Moments
from sparknet.runtime.evaluation.histogram import Counted, Histogram, Plane

MOST_PAIRS = 20_000
"""Pairs of classes that a run keeps, the most frequent ones."""
MOST_NUMBERS = 6
"""Numbers of an output that have a histogram and a plane of their own, its first ones."""

Whole = Annotated[int, Field(ge=0, le=2**53)]
Text = Annotated[str, Field(max_length=1000)]


class ClassErrors(Counted):
    """Of a class output. `totals` has a row for each class that occurs: class, rows that are it, said to be, both.

    `pairs` has the classes that were taken for others: the true one, the predicted one, how often.
    """

    kind: Literal["class"] = "class"
    classes: Whole
    totals: tuple[tuple[Whole, Whole, Whole, Whole], ...]
    pairs: tuple[tuple[Whole, Whole, Whole], ...]

    @model_validator(mode="after")
    def _known(self) -> Self:
        places = {place for place, *_ in self.totals}
        paired = {place for true, said, _ in self.pairs for place in (true, said)}
        if not paired <= places or max(places, default=0) >= max(self.classes, 1) or len(places) < len(self.totals):
            raise ValueError("counts of classes that there are not")
        return self

    @classmethod
    def of(cls, true: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> ClassErrors:
        """Of the true and the predicted classes of rows, int64[rows] each, all below `classes`."""
        rows, answers, hits = (_frequencies(values) for values in (true, said, true[true == said]))
        wrong = true != said
        places, counts = np.unique(np.stack([true[wrong], said[wrong]]), axis=1, return_counts=True)
        return cls(
            classes=classes,
            totals=tuple((c, rows[c], answers[c], hits[c]) for c in sorted(rows | answers)),
            pairs=tuple(zip(*places.tolist(), counts.tolist(), strict=True)),
        )

    def merge(self, other: ClassErrors) -> ClassErrors:
        """The counts of both."""
        totals: dict[int, tuple[int, int, int]] = {}
        pairs: Counter[tuple[int, int]] = Counter()
        for each in (self, other):
            for place, *counts in each.totals:
                before = totals.get(place, (0, 0, 0))
                totals[place] = (before[0] + counts[0], before[1] + counts[1], before[2] + counts[2])
            for true, said, count in each.pairs:
                pairs[true, said] += count
        return ClassErrors(
            classes=self.classes,
            totals=tuple((place, *totals[place]) for place in sorted(totals)),
            pairs=tuple((*pair, count) for pair, count in sorted(pairs.items())),
        )

    def kept(self) -> ClassErrors:
        """With no more than `MOST_PAIRS` pairs, the most frequent ones, of equally frequent ones the first."""
        ranked = sorted(self.pairs, key=lambda pair: (-pair[2], pair))[:MOST_PAIRS]
        return self.model_copy(update={"pairs": tuple(sorted(ranked))})


class BoolErrors(Counted):
    """Of a bool output, for each answer the rows that are yes and said to be; only said to be; only are; neither."""

    kind: Literal["bool"] = "bool"
    answers: tuple[tuple[Whole, Whole, Whole, Whole], ...]

    @classmethod
    def of(cls, true: NDArray[np.bool_], said: NDArray[np.bool_]) -> BoolErrors:
        """Of true and predicted answers, bool[rows, answers] each."""
        cases = ((true & said), (~true & said), (true & ~said), (~true & ~said))
        return cls(answers=tuple(zip(*(case.sum(axis=0).tolist() for case in cases), strict=True)))

    def merge(self, other: BoolErrors) -> BoolErrors:
        """The counts of both."""
        pairs = zip(self.answers, other.answers, strict=True)
        return BoolErrors(answers=tuple((a + e, b + f, c + g, d + h) for (a, b, c, d), (e, f, g, h) in pairs))

    def kept(self) -> BoolErrors:
        """As it is."""
        return self


class FloatErrors(Counted):
    """Of a float output, with a place for each number: moments of predicted less true, of its size, and of the true.

    `histograms` of the errors and `planes` of true against predicted are those of the first `MOST_NUMBERS` numbers.
    """

    kind: Literal["float"] = "float"
    error: Moments
    size: Moments
    true: Moments
    histograms: Annotated[tuple[Histogram, ...], Field(max_length=MOST_NUMBERS)]
    planes: Annotated[tuple[Plane, ...], Field(max_length=MOST_NUMBERS)]

    @model_validator(mode="after")
    def _alike(self) -> Self:
        moments = (self.error, self.size, self.true)
        numbers = len(self.error.sums)
        shown = {len(self.histograms), len(self.planes)}
        if not all(m.plausible and len(m.sums) == numbers for m in moments) or shown != {min(numbers, MOST_NUMBERS)}:
            raise ValueError("sums that float32 numbers do not have")
        return self

    @classmethod
    def of(cls, true: NDArray[np.float32], said: NDArray[np.float32]) -> FloatErrors:
        """Of true and predicted numbers, float32[rows, numbers] each."""
        with np.errstate(over="ignore"):
            error = finite(said - true)
        said = finite(said)
        shown = range(min(error.shape[1], MOST_NUMBERS))
        return cls(
            error=Moments.of(error),
            size=Moments.of(np.abs(error)),
            true=Moments.of(true),
            histograms=tuple(Histogram.of(error[:, i]) for i in shown),
            planes=tuple(Plane.of(true[:, i], said[:, i]) for i in shown),
        )

    def merge(self, other: FloatErrors) -> FloatErrors:
        """That of both."""
        return FloatErrors(
            error=self.error.merge(other.error),
            size=self.size.merge(other.size),
            true=self.true.merge(other.true),
            histograms=tuple(a.merge(b) for a, b in zip(self.histograms, other.histograms, strict=True)),
            planes=tuple(a.merge(b) for a, b in zip(self.planes, other.planes, strict=True)),
        )

    def kept(self) -> FloatErrors:
        """As it is."""
        return self


class LikeErrors(Counted):
    """Of an output like an input: the mean squared errors of rows."""

    kind: Literal["like"] = "like"
    error: Moments
    histogram: Histogram

    @model_validator(mode="after")
    def _alone(self) -> Self:
        if not self.error.plausible or len(self.error.sums) != 1:
            raise ValueError("sums that float32 numbers do not have")
        return self

    @classmethod
    def of(cls, error: NDArray[np.float32]) -> LikeErrors:
        """Of the errors of rows, float32[rows]."""
        error = finite(error)
        return cls(error=Moments.of(error[:, None]), histogram=Histogram.of(error))

    def merge(self, other: LikeErrors) -> LikeErrors:
        """That of both."""
        return LikeErrors(error=self.error.merge(other.error), histogram=self.histogram.merge(other.histogram))

    def kept(self) -> LikeErrors:
        """As it is."""
        return self


OutputErrors = Annotated[ClassErrors | BoolErrors | FloatErrors | LikeErrors, Field(discriminator="kind")]


class Errors(Counted):
    """Where a net errs on the rows of a split, by its outputs."""

    split: Text
    rows: Whole
    outputs: dict[Text, OutputErrors]

    def merge(self, other: Errors) -> Errors:
        """The counts of both, on the same split."""
        outputs: dict[str, Any] = {
            name: found.merge(other.outputs[name])  # type: ignore[arg-type]  # an output is of one kind everywhere
            for name, found in self.outputs.items()
        }
        return Errors(split=self.split, rows=self.rows + other.rows, outputs=outputs)

    def kept(self) -> Errors:
        """What a run keeps of it."""
        return self.model_copy(update={"outputs": {name: found.kept() for name, found in self.outputs.items()}})


def misfit(errors: Errors, classes: Mapping[str, int]) -> str | None:
    """Why these are not the errors of a net whose outputs have so many `classes` (0 where they are no classes)."""
    for name, found in errors.outputs.items():
        known = found.classes if isinstance(found, ClassErrors) else 0
        if classes.get(name) != known:
            return f"what it says of `{name[:40]}` is not what the manifest says"
    return None


def merged(parts: list[Errors]) -> Errors:
    """All parts in one, cut to what a run keeps."""
    return reduce(Errors.merge, parts).kept()


def finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """With the largest float32 in place of what is larger: a mean squared error overflows where a loss may not."""
    largest = float(np.finfo(np.float32).max)
    return np.nan_to_num(values, nan=largest, posinf=largest, neginf=-largest)


def _frequencies(values: NDArray[np.int64]) -> Counter[int]:
    found, counts = np.unique(values, return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))
