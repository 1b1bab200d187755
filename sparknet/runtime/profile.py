"""Pass 1 over the data: every row checked, and what the encoding needs to know (counts and ranges).

The same functions serve a local table and a Spark partition; profiles of partitions are plain data and merge in
partition order, so the row number in a message is the row's number in the whole data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from sparknet.compiler.compiled import Port
from sparknet.compiler.sections import Binding
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.suggest import closest
from sparknet.runtime.columns import Numbers, is_accepted, kind_of, read_column, type_name
from sparknet.runtime.problems import listing, marked, problem


@dataclass(frozen=True)
class BoundPort:
    """A port and the column that feeds it; `label` is where the `.net` file says so."""

    port: Port
    column: str
    label: Label | None = None


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
    code: str
    text: str


class Profile(_Record):
    """What pass 1 found: `ranges` holds one entry a port, `bad` how many rows cannot be used."""

    rows: int
    ranges: tuple[Range, ...]
    bad: int = 0
    first: BadRow | None = None

    @classmethod
    def empty(cls, ports: int) -> Profile:
        """The profile of no rows."""
        return cls(rows=0, ranges=(Range(),) * ports)

    def merge(self, later: Profile) -> Profile:
        """The profile of these rows followed by `later` ones."""
        first = self.first
        if first is None and later.first is not None:
            first = later.first.model_copy(update={"row": later.first.row + self.rows})
        ranges = tuple(a.merge(b) for a, b in zip(self.ranges, later.ranges, strict=True))
        return Profile(rows=self.rows + later.rows, ranges=ranges, bad=self.bad + later.bad, first=first)


def bind(ports: Sequence[Port], bindings: Iterable[Binding]) -> tuple[BoundPort, ...]:
    """Each port with the column that feeds it, in the order of the ports (the compiler has checked that all are)."""
    by_port = {binding.port: binding for binding in bindings}
    sources = [by_port[(port.measures or port).name] for port in ports]
    return tuple(BoundPort(port, found.column, found.label) for port, found in zip(ports, sources, strict=True))


def check_columns(bound: Iterable[BoundPort], known: Sequence[str], folds_case: bool = False) -> None:
    """Raise SparkNetError for every bound column that the data lacks or holds more than once.

    Where the reader `folds_case`, `X` and `x` are one column to it.
    """
    diagnostics: list[Diagnostic] = []
    for each in bound:
        if each.column not in known:
            near = closest(each.column, known)
            error = problem(
                "R0002",
                f"the data has no column `{each.column}`",
                label=marked(each.label, f"feeds `{each.port.name}`"),
                notes=[f"columns of the data: {listing(known)}"],
                helps=[f"did you mean `{near}`?"] if near else [],
            )
            diagnostics.extend(error.diagnostics)
        elif len(same := same_names(each.column, known, folds_case)) > 1:
            diagnostics.extend(
                ambiguous(each.column, same, marked(each.label, f"feeds `{each.port.name}`")).diagnostics
            )
    if diagnostics:
        raise SparkNetError(tuple(diagnostics))


def same_names(name: str, known: Iterable[str], folds_case: bool) -> list[str]:
    """The columns that a reader cannot tell from `name`, itself among them."""
    return [other for other in known if other == name or (folds_case and other.lower() == name.lower())]


def ambiguous(name: str, same: Sequence[str], label: Label | None = None) -> SparkNetError:
    """The data has several columns of one name."""
    notes = [f"they are {listing(same)}; Spark tells no capital letters from small ones"] if len(set(same)) > 1 else []
    message = f"the data has {len(same)} columns `{name}`"
    return problem("R0006", message, label=label, notes=notes, helps=["rename all but one of them, or leave them out"])


def check_types(bound: Iterable[BoundPort], schema: pa.Schema) -> None:
    """Raise SparkNetError for a column whose type can never hold numbers, before any row is read."""
    for each in bound:
        kind = schema.field(each.column).type
        if not is_accepted(kind):
            raise _type_problem(each, type_name(kind))


def check_agreement(
    bound: Iterable[BoundPort], schemas: Mapping[str, pa.Schema], labels: Mapping[str, Label | None]
) -> None:
    """Raise SparkNetError for a column that holds one kind of thing in one source and another in the next."""
    (first, known), *others = schemas.items()
    for each in bound:
        for key, schema in others:
            here, there = schema.field(each.column).type, known.field(each.column).type
            if kind_of(here) != kind_of(there):
                raise SparkNetError(
                    (
                        Diagnostic(
                            "R0008",
                            f"column `{each.column}` is of type {type_name(here)} in `{key}`, "
                            f"of type {type_name(there)} in `{first}`",
                            tuple(filter(None, (labels.get(key), marked(labels.get(first), "the other")))),
                            helps=("give the column the same type in both",),
                        ),
                    )
                )


@contextmanager
def within(key: str, keys: Collection[str]) -> Iterator[None]:
    """Say of errors about one of several sources which it is."""
    try:
        yield
    except SparkNetError as error:
        if len(keys) == 1:
            raise
        note = f"among the rows for `{key}`"
        raise SparkNetError(tuple(replace(d, notes=(note, *d.notes)) for d in error.diagnostics)) from error


def _type_problem(each: BoundPort, found: str) -> SparkNetError:
    nouns = {"class": "classes", "token": "tokens"}
    noun = nouns.get(each.port.kind)
    helps = [f"{noun} are whole numbers from 0; give each text a number first"] if noun else []
    return problem(
        "R0013",
        f"column `{each.column}` is of type {found}; `{each.port.name}` takes {_wanted(each.port)}",
        label=each.label,
        helps=helps,
    )


def profile_batches(batches: Iterable[pa.RecordBatch], bound: Sequence[BoundPort]) -> Profile:
    """The profile of some batches that hold the bound columns, by name."""
    total = Profile.empty(len(bound))
    for batch in batches:
        total = total.merge(profile_batch(batch, bound))
    return total


def profile_batch(batch: pa.RecordBatch, bound: Sequence[BoundPort]) -> Profile:
    """The profile of one batch."""
    bad = np.zeros(batch.num_rows, np.bool_)
    firsts, ranges = [], []
    for index, each in enumerate(bound):
        column = read_column(batch.column(each.column), each.port)
        bad |= column.bad
        if column.first is not None:
            cell = column.first
            firsts.append(BadRow(row=cell.row, port=index, code=cell.code, text=cell.text))
        ranges.append(Range() if column.numbers is None else _range(column.numbers))
    first = min(firsts, key=lambda b: (b.row, b.port), default=None)
    return Profile(rows=batch.num_rows, ranges=tuple(ranges), bad=int(bad.sum()), first=first)


def check_profile(profile: Profile, bound: Sequence[BoundPort], before: str = "training") -> None:
    """Raise SparkNetError where a row is bad: the first one, by number, column and value, and the count of others.

    Such rows are to be mended `before` what the rows are read for.
    """
    first = profile.first
    if first is None:
        return
    each, others = bound[first.port], profile.bad - 1
    notes = ["rows count from 1, in the order in which the source gives them"]
    if others:
        notes.append(f"{others:,} more {'row is' if others == 1 else 'rows are'} bad, of {profile.rows:,}")
    raise problem(
        first.code,
        f"row {first.row + 1:,} of column `{each.column}` {first.text}; `{each.port.name}` takes {_wanted(each.port)}",
        label=marked(each.label, f"feeds `{each.port.name}`"),
        notes=notes,
        helps=[_help(first.code, each.port).format(before=before)],
    )


_HELPS = {
    "R0010": "fill in or drop such rows before {before}",
    "R0011": "replace NaN and infinity, or drop such rows, before {before}",
    "R0012": "every row of the column must hold exactly the numbers that the net takes",
    "R0013": "turn the column into numbers first",
    "R0014": "classes count from 0: check the number in `class[...]`, or shift the labels",
    "R0015": "classes are whole numbers",
    "R0017": "answers are 0 or 1, or false or true",
    "R0016": "scale the column: the net computes in float32",
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


def _help(code: str, port: Port) -> str:
    if port.type.lengths is not None and code in _VARIABLE_HELPS:
        return _VARIABLE_HELPS[code]
    return (_TOKEN_HELPS if port.kind == "token" else _HELPS)[code]


def _wanted(port: Port) -> str:
    if port.type.lengths is not None:
        most, each = port.type.shape[0], port.type.size // port.type.shape[0]
        if port.kind == "token":
            return f"1 to {most:,} tokens, whole numbers from 0 to {(port.classes or 1) - 1}"
        return f"1 to {most:,} steps of {each:,} number{'s' * (each > 1)}"
    if port.kind == "token":
        count = "one token" if port.type.size == 1 else f"{port.type.size:,} tokens"
        return f"{count}, whole numbers from 0 to {(port.classes or 1) - 1}"
    if port.classes is not None:
        return f"a class from 0 to {port.classes - 1}"
    if port.kind == "bool":
        return "0 or 1" if port.type.size == 1 else f"{port.type.size:,} numbers, each 0 or 1"
    if port.type.size == 1:
        return "one number"
    shape = ", ".join(map(str, port.type.shape))
    return f"{port.type.size:,} numbers" + (f" (shape [{shape}])" if len(port.type.shape) > 1 else "")


def _range(numbers: Numbers) -> Range:
    if numbers.size == 0:
        return Range()
    whole = numbers.dtype.kind in "iu" or bool((np.floor(numbers) == numbers).all())
    return Range(low=float(numbers.min()), high=float(numbers.max()), whole=whole)
