"""Ports and the columns that feed them, held against the columns that the data has, before any row is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa

from sparknet.compiler.bindings import WILDCARDS
from sparknet.compiler.compiled import Port
from sparknet.compiler.encoders import AnyEncoder, Categories, Pixels, Spectrogram, Tokens
from sparknet.compiler.sections import Binding
from sparknet.grammar import limits
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.suggest import closest
from sparknet.runtime.encoding.cells import accepts, encode_cells
from sparknet.runtime.encoding.columns import (
    BadCell,
    Column,
    is_accepted,
    is_scalar,
    kind_of,
    read_column,
    show,
    type_name,
)
from sparknet.runtime.encoding.terms import is_text
from sparknet.runtime.problems import listing, marked, problem

DECODED = 1 << 25
"""Numbers that images and recordings of a batch may be decoded to at once."""


@dataclass(frozen=True)
class BoundPort:
    """A port and the columns that feed it; `label` is where the `.net` file says so.

    Where there are several, each gives one number of a row. With `patterns`, their names are yet to be found in the
    data; see `expand`.
    """

    port: Port
    columns: tuple[str, ...]
    label: Label | None = None
    patterns: bool = False
    encoder: AnyEncoder | None = None
    """What becomes of the cells; None where they are numbers."""
    axis: int | None = None
    """As in `Binding`."""
    texts: bool = False
    """Whether the cells are texts."""
    beside: str | None = None
    """A column that says which file a cell is, for messages."""
    shown: tuple[str, ...] | None = None
    """The names that the user knows the columns by, for messages; None where they are those of `columns`."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns as messages name them."""
        return self.columns if self.shown is None else self.shown

    @property
    def decodes(self) -> bool:
        """Whether the cells are files that take long to decode."""
        return isinstance(self.encoder, Pixels | Spectrogram)

    def glance(self, batch: pa.RecordBatch) -> Column:
        """As `read`, but of files no more than whether they are there; they give no numbers."""
        if not self.decodes:
            return self.read(batch)
        bad = np.asarray(batch.column(self.columns[0]).is_null(), np.bool_)
        if not bad.any():
            return Column(None, bad)
        return Column(None, bad, self._beside(batch, BadCell("R0010", int(np.argmax(bad)), "is null")))

    def read(self, batch: pa.RecordBatch) -> Column:
        """What the port takes from the columns of a batch."""
        if self.encoder is not None:
            found = encode_cells(batch.column(self.columns[0]), self.encoder, self.port)
            return found if found.first is None else replace(found, first=self._beside(batch, found.first))
        if len(self.columns) == 1:
            return read_column(batch.column(self.columns[0]), self.port)
        one = replace(self.port, type=replace(self.port.type, shape=(1,)))
        parts = [read_column(batch.column(name), one) for name in self.columns]
        first: BadCell | None = None
        for index, part in enumerate(parts):
            if part.first is not None and (first is None or part.first.row < first.row):
                first = replace(part.first, column=index)
        bad = np.logical_or.reduce([part.bad for part in parts])
        arrays = [part.numbers for part in parts if part.numbers is not None]
        return Column(None if len(arrays) < len(parts) else np.concatenate(arrays, axis=1), bad, first)

    def _beside(self, batch: pa.RecordBatch, cell: BadCell) -> BadCell:
        """The bad cell with the file that it is."""
        if self.beside is None:
            return cell
        return replace(cell, text=f"{cell.text} ({show(batch.column(self.beside)[cell.row])})")


def bind(ports: Sequence[Port], bindings: Iterable[Binding]) -> tuple[BoundPort, ...]:
    """Each port with the columns that feed it, in the order of the ports (the compiler has checked that all are)."""
    by_port = {binding.port: binding for binding in bindings}
    sources = [by_port[(port.measures or port).name] for port in ports]
    return tuple(
        BoundPort(
            port,
            found.columns,
            found.label,
            found.patterns,
            found.encoder,
            found.axis if port.measures is None else None,
        )
        for port, found in zip(ports, sources, strict=True)
    )


def all_columns(bound: Iterable[BoundPort]) -> list[str]:
    """The bound columns, each once."""
    beside = (each.beside for each in bound if each.beside is not None)
    return list(dict.fromkeys([*(name for each in bound for name in each.columns), *beside]))


def bounded(batches: Iterable[pa.RecordBatch], bound: Sequence[BoundPort]) -> Iterator[pa.RecordBatch]:
    """The batches, cut so that what a batch is decoded to takes bounded memory, however small it is encoded."""
    each = sum(port.port.type.size for port in bound if isinstance(port.encoder, Pixels | Spectrogram))
    most = max(1, DECODED // max(1, each))
    for batch in batches:
        for start in range(0, batch.num_rows, most):
            yield batch.slice(start, most)


def _cells(bound: Iterable[BoundPort]) -> Iterator[tuple[BoundPort, str]]:
    return ((each, name) for each in bound for name in each.columns)


# ----- names -----


def expand(bound: Sequence[BoundPort], known: Sequence[str]) -> tuple[BoundPort, ...]:
    """The ports with the names of their columns in the place of patterns; raises SparkNetError where these fit badly.

    What a pattern finds is in natural order, `f2` before `f10`: readers differ in the order of columns. A column that
    several patterns find counts once, where the first of them stands.
    """
    return with_paths([_expanded(each, known) if each.patterns else each for each in bound], known)


def with_paths(bound: Iterable[BoundPort], known: Sequence[str]) -> tuple[BoundPort, ...]:
    """The ports, those that images and recordings feed with the column `path` beside, where the data has one."""
    beside = "path" if known.count("path") == 1 else None
    return tuple(
        replace(each, beside=beside) if isinstance(each.encoder, Pixels | Spectrogram) else each for each in bound
    )


def _expanded(each: BoundPort, known: Sequence[str]) -> BoundPort:
    found: dict[str, None] = {}
    for name in each.columns:
        if any(sign in name for sign in WILDCARDS):
            pattern = name.replace("[", "[[]")
            matches = sorted({k for k in known if fnmatchcase(k, pattern)}, key=_natural)
            if not matches:
                raise problem(
                    "R0002",
                    f'the data has no column like "{name}"',
                    label=marked(each.label, f"feeds `{each.port.name}`"),
                    notes=[f"columns of the data: {listing(known) or 'none'}"],
                )
            found.update(dict.fromkeys(matches))
        else:
            found[name] = None
    if len(found) != each.port.type.size:
        count = f"{len(found):,} column{'s' * (len(found) != 1)}"
        raise problem(
            "R0012",
            f"`columns` finds {count}; `{each.port.name}` takes {wanted(each)}",
            label=each.label,
            notes=[f"found: {listing(found)}"],
            helps=["each column gives one number"],
        )
    return replace(each, columns=tuple(found), patterns=False)


def _natural(name: str) -> tuple[object, ...]:
    """A key that sorts digits in names by their value."""
    parts: list[object] = [*re.split(r"([0-9]+)", name)]
    for at in range(1, len(parts), 2):
        digits = str(parts[at]).lstrip("0")
        parts[at] = (len(digits), digits)
    return (*parts, name)


def check_columns(bound: Iterable[BoundPort], known: Sequence[str], folds_case: bool = False) -> None:
    """Raise SparkNetError for every bound column that the data lacks or holds more than once.

    Where the reader `folds_case`, `X` and `x` are one column to it.
    """
    diagnostics: list[Diagnostic] = []
    fold = str.lower if folds_case else str
    names = Counter(map(fold, known))
    there = {*known}
    for each, name in _cells(bound):
        label = marked(each.label, f"feeds `{each.port.name}`")
        if name not in there:
            near = closest(name, known)
            error = problem(
                "R0002",
                f"the data has no column `{name}`",
                label=label,
                notes=[f"columns of the data: {listing(known) or 'none'}"],
                helps=[f"did you mean `{near}`?"] if near else _for_one_column(known),
            )
            diagnostics.extend(error.diagnostics)
        elif names[fold(name)] > 1:
            diagnostics.extend(ambiguous(name, same_names(name, known, folds_case), label).diagnostics)
        if len(diagnostics) >= limits.ERRORS:
            break
    if diagnostics:
        raise SparkNetError(tuple(diagnostics))


def _for_one_column(known: Sequence[str]) -> list[str]:
    """What helps where the lines of a CSV were not cut, or its first one was taken for a row."""
    separator = next((sign for sign in ",;\t|" if sign in known[0]), None) if len(known) == 1 else None
    if separator is not None:
        said = {"\t": "\\t"}.get(separator, separator)
        return [f'the lines are not cut: is it `csv("...", separator: "{said}")`?']
    if known and all(re.fullmatch("_c[0-9]+", name) for name in known):
        return ["with `header: false` columns are called `_c0`, `_c1` and so on; `header: true` reads their names"]
    return []


def same_names(name: str, known: Iterable[str], folds_case: bool) -> list[str]:
    """The columns that a reader cannot tell from `name`, itself among them."""
    return [other for other in known if other == name or (folds_case and other.lower() == name.lower())]


def ambiguous(name: str, same: Sequence[str], label: Label | None = None) -> SparkNetError:
    """The data has several columns of one name."""
    notes = [f"they are {listing(same)}; Spark tells no capital letters from small ones"] if len(set(same)) > 1 else []
    message = f"the data has {len(same)} columns `{name}`"
    return problem("R0006", message, label=label, notes=notes, helps=["rename all but one of them, or leave them out"])


def typed(bound: Iterable[BoundPort], schema: pa.Schema) -> tuple[BoundPort, ...]:
    """The ports with what the types of their columns say: texts in the column of a class are labels, to be learnt."""
    found = []
    for each in bound:
        texts, encoder = is_text(schema.field(each.columns[0]).type), each.encoder
        if texts and encoder is None and each.port.kind == "class":
            encoder = Categories(size=each.port.classes or 1, one_hot=False)
        found.append(replace(each, encoder=encoder, texts=texts))
    return tuple(found)


def check_types(bound: Iterable[BoundPort], schema: pa.Schema) -> None:
    """Raise SparkNetError for every column whose type can never hold numbers, before any row is read."""
    diagnostics: dict[tuple[str, str], Diagnostic] = {}
    for each, name in _cells(bound):
        error = _wrong_type(each, name, schema.field(name).type)
        if error is not None and len(diagnostics) < limits.ERRORS:
            diagnostics.setdefault((name, (each.port.measures or each.port).name), *error.diagnostics)
    if diagnostics:
        raise SparkNetError(tuple(diagnostics.values()))


def _wrong_type(each: BoundPort, name: str, kind: pa.DataType) -> SparkNetError | None:
    fits = is_accepted(kind) if each.encoder is None else accepts(each.encoder, kind)
    if not fits:
        return _type_problem(each, name, type_name(kind))
    if len(each.columns) > 1 and not is_scalar(kind):
        message = f"column `{name}` is of type {type_name(kind)}; each of several columns gives one number"
        return problem("R0013", message, label=each.label, helps=["bind lists and vectors to inputs of their own"])
    return None


def check_agreement(
    bound: Iterable[BoundPort], schemas: Mapping[str, pa.Schema], labels: Mapping[str, Label | None]
) -> None:
    """Raise SparkNetError for a column that holds one kind of thing in one source and another in the next."""
    (first, known), *others = schemas.items()
    for name in all_columns(bound):
        for key, schema in others:
            here, there = schema.field(name).type, known.field(name).type
            if kind_of(here) != kind_of(there):
                raise SparkNetError(
                    (
                        Diagnostic(
                            "R0008",
                            f"column `{name}` is of type {type_name(here)} in `{key}`, "
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


def _type_problem(each: BoundPort, name: str, found: str) -> SparkNetError:
    helps = []
    if each.port.kind == "token" and each.encoder is None:
        helps = ["tokens are whole numbers from 0; give each text a number first"]
        if each.texts:
            helps = [f'write `words(column("{name}"))`, or `chars(column("{name}"))`']
    elif each.port.kind == "class" or each.encoder is not None:
        helps = ["labels and categories are texts or whole numbers"] * isinstance(each.encoder, Categories | None)
    elif found.endswith("string"):
        helps = [
            "in a CSV one cell that is no number makes a text of the whole column; "
            '`null: "..."` in `csv` names what stands for no value',
            _for_words(each, name),
        ]
    return problem(
        "R0013",
        f"column `{name}` is of type {found}; `{each.port.name}` takes {wanted(each)}",
        label=each.label,
        helps=helps,
    )


def _for_words(each: BoundPort, name: str) -> str:
    """Where words belong that stand in the place of numbers."""
    if each.port.type.size == 1:
        return f'words are for an output `class[n]`, or by `onehot(column("{name}"))` for an input `float[n]`'
    own = "on an input of its own " if len(each.columns) > 1 else ""
    return f'{own}`onehot(column("{name}"))` makes numbers of a few words'


def wanted(each: BoundPort) -> str:
    """What a row of a port is, in words."""
    port, encoder = each.port, each.encoder
    if isinstance(encoder, Categories):
        return "a category" if encoder.terms is None else f"one of {listing(map(str, encoder.terms))}"
    if isinstance(encoder, Tokens):
        return "a text or a list of words" if encoder.unit == "words" else "a text"
    if isinstance(encoder, Pixels | Spectrogram):
        return f"the bytes of {'an image' if isinstance(encoder, Pixels) else 'a recording'}"
    if port.type.lengths is not None:
        most, width = port.type.shape[0], port.type.size // port.type.shape[0]
        if port.kind == "token":
            return f"1 to {most:,} tokens, whole numbers from 0 to {(port.classes or 1) - 1}"
        return f"1 to {most:,} steps of {width:,} number{'s' * (width > 1)}"
    if port.kind == "token":
        count = "one token" if port.type.size == 1 else f"{port.type.size:,} tokens"
        return f"{count}, whole numbers from 0 to {(port.classes or 1) - 1}"
    if port.classes is not None:
        return f"a class from 0 to {port.classes - 1}"
    if port.kind == "weight":
        return "one number from 0"
    if port.kind == "bool":
        return "0 or 1" if port.type.size == 1 else f"{port.type.size:,} numbers, each 0 or 1"
    if port.type.size == 1:
        return "one number"
    shape = ", ".join(map(str, port.type.shape))
    return f"{port.type.size:,} numbers" + (f" (shape [{shape}])" if len(port.type.shape) > 1 else "")
