"""Pass 1 over the data: every row checked, and what the encoding needs to know (counts and ranges).

The same functions serve a local table and a Spark partition; profiles of partitions are plain data and merge in
partition order, so the row number in a message is the row's number in the whole data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from sparknet.compiler.encoders import Categories, Pixels, Spectrogram, Tokens
from sparknet.grammar import limits
from sparknet.grammar.diagnostics import Diagnostic, SparkNetError
from sparknet.runtime.encoding.binding import BoundPort, bounded, wanted
from sparknet.runtime.encoding.columns import BadCell, Column, Numbers
from sparknet.runtime.problems import marked, problem


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Range(_Record):
    """What was seen of one port: smallest and largest number, and whether all were whole."""

    low: float = inf
    high: float = -inf
    whole: bool = True

    def merge(self, other: Range) -> Range:
        """The range of both."""
        return Range(low=min(self.low, other.low), high=max(self.high, other.high), whole=self.whole and other.whole)


class BadRow(_Record):
    """The first bad row: `row` counts from 0 within the partition (within all rows once merged)."""

    row: int
    port: int
    column: int = 0
    """Which of the columns that feed the port."""
    code: str
    text: str

    @classmethod
    def of(cls, cell: BadCell, port: int) -> BadRow:
        """The row of a bad cell of the port of this number."""
        return cls(row=cell.row, port=port, column=cell.column, code=cell.code, text=cell.text)


class Profile(_Record):
    """What pass 1 found: `ranges` holds one entry a port, `bad` how many rows cannot be used, `firsts` a row a port."""

    rows: int
    ranges: tuple[Range, ...]
    bad: int = 0
    firsts: tuple[BadRow, ...] = ()
    """The first bad row of each port that has one, in the order of rows."""

    @classmethod
    def empty(cls, ports: int) -> Profile:
        """The profile of no rows."""
        return cls(rows=0, ranges=(Range(),) * ports)

    def merge(self, later: Profile) -> Profile:
        """The profile of these rows followed by `later` ones."""
        known = {first.port for first in self.firsts}
        new = [first for first in later.firsts if first.port not in known]
        firsts = (*self.firsts, *(first.model_copy(update={"row": first.row + self.rows}) for first in new))
        ranges = tuple(a.merge(b) for a, b in zip(self.ranges, later.ranges, strict=True))
        return Profile(rows=self.rows + later.rows, ranges=ranges, bad=self.bad + later.bad, firsts=firsts)


def profile_batches(batches: Iterable[pa.RecordBatch], bound: Sequence[BoundPort], decode: bool = True) -> Profile:
    """The profile of some batches that hold the bound columns, by name.

    Without `decode`, images and recordings are left for the encoding to find bad: it has to decode them anyway.
    """
    total = Profile.empty(len(bound))
    for batch in bounded(batches, bound):
        total = total.merge(profile_batch(batch, bound, decode))
    return total


def profile_batch(batch: pa.RecordBatch, bound: Sequence[BoundPort], decode: bool = True) -> Profile:
    """The profile of one batch."""
    return profile_columns(read_columns(batch, bound, decode), bound, batch.num_rows)


def read_columns(batch: pa.RecordBatch, bound: Sequence[BoundPort], decode: bool = True) -> list[Column]:
    """What each port reads of a batch."""
    return [each.read(batch) if decode else each.glance(batch) for each in bound]


def profile_columns(columns: Sequence[Column], bound: Sequence[BoundPort], rows: int) -> Profile:
    """The profile of some rows, by what each port reads of them."""
    bad = np.zeros(rows, np.bool_)
    firsts, ranges = [], []
    for index, (each, column) in enumerate(zip(bound, columns, strict=True)):
        bad |= column.bad
        if column.first is not None:
            firsts.append(BadRow.of(column.first, index))
        ranges.append(_known_range(each) or (Range() if column.numbers is None else _range(column.numbers)))
    firsts.sort(key=lambda first: (first.row, first.port))
    return Profile(rows=rows, ranges=tuple(ranges), bad=int(bad.sum()), firsts=tuple(firsts))


def check_profile(profile: Profile, bound: Sequence[BoundPort], before: str = "training") -> None:
    """Raise SparkNetError where rows are bad: the first of each port, by number, column and value, and how many more.

    Such rows are to be mended `before` what the rows are read for.
    """
    found: dict[tuple[int, str], Diagnostic] = {}
    own = [first for first in profile.firsts if bound[first.port].port.kind != "length"]
    for first in own or profile.firsts:  # a sequence's lengths come from its own column, whose rows are told already
        each = bound[first.port]
        if len(found) < limits.ERRORS:  # the target of an autoencoder is its input, and named once
            found.setdefault((first.row, each.columns[first.column]), bad_row(first, each, before))
    if not found:
        return
    others = profile.bad - len({row for row, _ in found})
    more = [f"{others:,} more {'row is' if others == 1 else 'rows are'} bad, of {profile.rows:,}"] if others else []
    note = "rows count from 1, in the order in which the source gives them"
    top, *below = found.values()
    raise SparkNetError((replace(top, notes=(note, *more)), *below))


def bad_row(first: BadRow, each: BoundPort, before: str, of: str = "") -> Diagnostic:
    """What is wrong with a row, which counts within what `of` says, such as ` of partition 2`."""
    (diagnostic,) = problem(
        first.code,
        f"row {first.row + 1:,}{of} of column `{each.names[first.column]}` {first.text}; "
        f"`{each.port.name}` takes {wanted(each)}",
        label=marked(each.label, f"feeds `{each.port.name}`"),
        helps=[_help(first.code, each).format(before=before)],
    ).diagnostics
    return diagnostic


_HELPS = {
    "R0010": "fill in or drop such rows before {before}",
    "R0011": "replace NaN and infinity, or drop such rows, before {before}",
    "R0012": "every row of the column must hold exactly the numbers that the net takes",
    "R0013": "turn the column into numbers first",
    "R0014": "classes count from 0: check the number in `class[...]`, or shift the labels",
    "R0015": "classes are whole numbers",
    "R0017": "answers are 0 or 1, or false or true",
    "R0016": "scale the column: the net computes in float32",
    "R0029": "a row that is not to count has the weight 0; or drop such rows before {before}",
}

_TOKEN_HELPS = _HELPS | {
    "R0012": "every row must hold exactly as many tokens as the net takes: cut long rows and fill up short ones",
    "R0014": "tokens count from 0: check the number in `vocabulary: ...`, or map rare tokens to one of them",
    "R0015": "tokens are whole numbers",
}


_VARIABLE_HELPS = {
    "R0012": "cut longer rows before {before}, or raise the number of steps in the type of the input",
    "R0018": "drop such rows before {before}, or give them one step, such as zeros",
}


_ENCODED_HELPS = {
    "R0010": "fill in or drop such rows before {before}",
    "R0012": "shorten the texts of the column",
    "R0028": "mend or drop such rows before {before}",
    "R0019": "categories are those of the training rows unless all are named; or drop such rows before {before}",
}


def _help(code: str, each: BoundPort) -> str:
    port = each.port
    if each.encoder is not None:
        return _ENCODED_HELPS[code]
    if (port.kind == "length" or port.type.lengths is not None) and code in _VARIABLE_HELPS:
        return _VARIABLE_HELPS[code]
    return (_TOKEN_HELPS if port.kind == "token" else _HELPS)[code]


def _known_range(each: BoundPort) -> Range | None:
    """What an encoder gives, whatever it has learnt; None where only the numbers can tell."""
    match each.encoder:
        case Categories():
            return Range(low=0, high=1 if each.encoder.one_hot else each.encoder.size - 1)
        case Pixels():
            return Range(low=0, high=255)
        case Spectrogram() if each.port.measures is None:
            return Range(low=-1, high=1, whole=False)
        case Spectrogram():
            return Range(low=1, high=each.encoder.frames)
        case Tokens() if each.port.measures is None:
            return Range(low=0, high=each.encoder.vocabulary - 1)
        case _:
            return None


def _range(numbers: Numbers) -> Range:
    if numbers.size == 0:
        return Range()
    whole = numbers.dtype.kind in "iu" or bool((np.floor(numbers) == numbers).all())
    return Range(low=float(numbers.min()), high=float(numbers.max()), whole=whole)
