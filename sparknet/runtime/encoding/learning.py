"""What encoders learn from the training rows: the same terms however the rows are cut into partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from sparknet.compiler.encoders import Categories, Tokens
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.encoding.binding import BoundPort
from sparknet.runtime.encoding.encode import Layout, Shares
from sparknet.runtime.encoding.local import training_rows
from sparknet.runtime.encoding.terms import most_frequent, taught, terms_of
from sparknet.runtime.problems import listing, problem

Terms = Mapping[int, Sequence[str]]
"""The most frequent terms, by the places of the ports among all that are bound."""


@dataclass(frozen=True)
class Learner:
    """An encoder that has to learn something from a column."""

    column: str
    encoder: Categories | Tokens


def learners(bound: Sequence[BoundPort]) -> dict[int, Learner]:
    """The encoders that have to learn something, by the places of their ports."""
    return {
        index: Learner(each.columns[0], each.encoder)
        for index, each in enumerate(bound)
        if isinstance(each.encoder, Categories | Tokens) and each.encoder.learns and each.port.measures is None
    }


def learn_local(
    sources: Iterable[tuple[Iterable[pa.RecordBatch], Shares]], bound: Sequence[BoundPort], layout: Layout
) -> Terms:
    """The terms of the training rows of some sources, each given as its batches and its shares."""
    learning = learners(bound)
    counts: dict[int, Counter[str]] = {index: Counter() for index in learning}
    for batches, shares in sources:
        for training in training_rows(batches, bound, layout, shares):
            for index, each in learning.items():
                for terms in terms_of(training.column(each.column), each.encoder):
                    counts[index].update(terms)
    return {index: most_frequent(counts[index], each.encoder.learns) for index, each in learning.items()}


def teach(bound: Sequence[BoundPort], terms: Terms) -> tuple[BoundPort, ...]:
    """The ports with what their encoders have learnt; raises SparkNetError for too many or too few categories."""
    found = list(bound)
    for index, learner in learners(bound).items():
        try:
            encoder = taught(learner.encoder, terms[index], bound[index].texts)
        except ValueError as error:
            raise _miscounted(bound[index], learner.encoder.learns - 1, terms[index]) from error
        found[index] = replace(bound[index], encoder=encoder)
    return tuple(found)


def _miscounted(each: BoundPort, size: int, found: Sequence[str]) -> SparkNetError:
    is_class = each.port.kind == "class"
    noun = "label" if is_class else "category"
    nouns = "labels" if is_class else "categories"
    count = f"more than {size:,}" if len(found) > size else f"{len(found):,}"
    key = "labels" if is_class else "categories"
    helps = [f"write `{'class' if is_class else 'float'}[...]` for as many as there are"]
    if len(found) < size:
        helps.append(f'where training rows lack some, name all of them: `{key}: ["...", ...]`')
    return problem(
        "R0026",
        f"column `{each.columns[0]}` has {count} {noun if count == '1' else nouns} in the training rows, "
        f"but `{each.port.name}` takes {size:,}",
        label=each.label,
        notes=[f"found: {listing(sorted(found))}"],
        helps=helps,
    )
