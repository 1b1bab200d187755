"""Batches of rows with predictions beside them: what local and Spark predictions share."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparknet.compiler.encoders import Categories
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.grammar.suggest import closest
from sparknet.runtime.encoding.binding import BoundPort, all_columns, ambiguous, bounded, same_names
from sparknet.runtime.encoding.columns import BadCell, Column
from sparknet.runtime.encoding.profile import BadRow, bad_row
from sparknet.runtime.engines.base import Engine, Graph
from sparknet.runtime.manifest import bound_inputs
from sparknet.runtime.problems import listing, problem
from sparknet.runtime.run_folder import SavedRun

INFERENCE_BATCH = 256
MOST_FLAT = 4096
"""Numbers of a row that may become columns of their own."""
_LONGEST_CELL, _MOST_CELLS = 60, 5
"""Characters of a cell with its name, and how many cells, that tell which row is bad."""


@dataclass(frozen=True)
class NewColumn:
    """A column that predicting adds."""

    name: str
    kind: str
    """`long`, `float`, `bool` or `text`, or a list of such: `floats`."""
    output: str
    """The output of the graph that fills it."""
    labels: tuple[str | int, ...] | None = None
    """The labels, where the output holds places among some."""
    place: int | None = None
    """Where the column is one number of a list, its place in it."""


@dataclass(frozen=True)
class Standing:
    """Where a batch stands, for what is said of a bad row in it."""

    before: int = 0
    """Rows that came before it, in a partition of Spark or in all."""
    beside: tuple[tuple[str, str], ...] = ()
    """Columns that may tell which row it is: the names that the user knows, and those in the batch."""


FIRST = Standing()


@dataclass(frozen=True)
class Predictor:
    """An inference graph, the columns that feed it, and the columns that it adds."""

    model: bytes
    bound: tuple[BoundPort, ...]
    added: tuple[NewColumn, ...]

    @cached_property
    def graph(self) -> Graph:
        """As the engine takes it."""
        return Graph("inference", self.model, 0)

    @property
    def columns(self) -> list[str]:
        """The columns that feed the graph, each once."""
        return all_columns(self.bound)

    def predict(self, batch: pa.RecordBatch, engine: Engine, standing: Standing = FIRST) -> list[pa.Array]:
        """The new columns of a batch; raises SparkNetError for its first bad row."""
        feeds = {}
        for each in self.bound:
            column = each.read(batch)
            if column.first is not None or column.numbers is None:
                raise _told(column, each, batch, standing)
            numbers = np.asarray(column.numbers)
            feeds[each.port.name] = np.ascontiguousarray(
                numbers.reshape(-1, *each.port.type.shape), each.port.type.dtype
            )
        parts: list[dict[str, NDArray[Any]]] = []
        for start in range(0, batch.num_rows, INFERENCE_BATCH):
            window = {name: values[start : start + INFERENCE_BATCH] for name, values in feeds.items()}
            parts.append(engine.infer(self.graph, window))
        return [_column([part[each.output] for part in parts], each) for each in self.added]


def _told(column: Column, each: BoundPort, batch: pa.RecordBatch, standing: Standing) -> SparkNetError:
    """The first bad row of a batch: its number in the partition, and short cells of it that may tell which it is."""
    cell = column.first or BadCell("R0010", int(np.argmax(column.bad)), "cannot be used")
    spark = sys.modules.get("pyspark")  # in a worker of Spark; importing it takes long elsewhere
    context = spark.TaskContext.get() if spark else None
    of = f" of partition {context.partitionId()}" if context else ""
    found = bad_row(BadRow.of(cell, 0).model_copy(update={"row": standing.before + cell.row}), each, "scoring", of)
    known = ((name, batch.column(at)[cell.row].as_py()) for name, at in standing.beside)
    cells = [f"`{name}` {value!r}" for name, value in known if isinstance(value, int | float | str)]
    short = [text for text in cells if len(text) <= _LONGEST_CELL][:_MOST_CELLS]
    notes = ["rows count from 1", *([f"this one has {', '.join(short)}"] if short else [])]
    return SparkNetError((replace(found, notes=tuple(notes)),))


def _column(parts: Sequence[NDArray[Any]], column: NewColumn) -> pa.Array:
    """The parts one behind the other; a list holds the numbers of a row, whatever their shape, one after the other."""
    kind = column.kind
    if column.labels is not None:
        places = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return pa.array(column.labels, ARROW_TYPES[kind]).take(pa.array(places))
    if column.place is not None:
        parts = [part.reshape(len(part), -1)[:, column.place] for part in parts]
    element = ARROW_TYPES[kind.removesuffix("s")]
    flat = np.concatenate([p.reshape(-1) for p in parts]) if parts else np.zeros(0, element.to_pandas_dtype())
    values = pa.array(flat, element)
    if not kind.endswith("s"):
        return values
    width = prod(parts[0].shape[1:]) if parts else 1
    offsets = pa.array(np.arange(0, len(flat) + 1, width, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, values)


ARROW_TYPES: dict[str, pa.DataType] = {"long": pa.int64(), "float": pa.float32(), "bool": pa.bool_()}
ARROW_TYPES["text"] = pa.string()
ARROW_TYPES |= {f"{kind}s": pa.list_(element) for kind, element in ARROW_TYPES.items()}
_KINDS = {"int64": "long", "float32": "float", "bool": "bool"}


def predictor(run: SavedRun, output: Path | None = None) -> Predictor:
    """The predictor of a saved run, as the file `output` can hold what it adds: a CSV numbers and no lists of them.

    Raises SparkNetError for lists that are too long for that.
    """
    outputs = tuple(p.name for p in run.manifest.predictions)
    beside = {*outputs} - {target.name for target in run.manifest.targets}
    beside = {
        name
        for name in beside
        if name.endswith(("_probability", "_error", "_code")) and name.rpartition("_")[0] in outputs
    }
    added: list[NewColumn] = []
    for p in run.manifest.predictions:
        encoder = run.encoders.get(p.name.rpartition("_")[0] if p.name in beside else p.name)
        terms = encoder.terms if isinstance(encoder, Categories) else None
        labels = None if p.name in beside else terms
        size, kind = prod(p.shape), _KINDS[p.dtype]
        kind = "text" if labels and isinstance(labels[0], str) else kind + "s" * (size > 1)
        column = NewColumn(_new_column(p.name, beside), kind, p.name, labels)
        flat = output is not None and output.suffix == ".csv" and size > 1
        added.extend(_flat(column, size, terms) if flat else [column])
    return Predictor(run.inference, bound_inputs(run.manifest, run.encoders), tuple(added))


def added_fields(found: Predictor) -> list[pa.Field]:
    """The new columns in a schema."""
    return [pa.field(each.name, ARROW_TYPES[each.kind]) for each in found.added]


def _flat(column: NewColumn, size: int, terms: Sequence[str | int] | None) -> Iterator[NewColumn]:
    """A column for each number of a list: `kind_probability_cat` and `kind_probability_dog` for `kind_probability`.

    Numbers go by the labels of the classes, which must differ in more than capitals, as columns do; else by their
    places from 0.
    """
    if size > MOST_FLAT:
        message = f"`{column.name}` holds {size:,} numbers, more than the {MOST_FLAT:,} that become columns of a CSV"
        raise problem("R0052", message, helps=["write .parquet, .orc or .json"])
    named = terms is not None and len({str(term).lower() for term in terms}) == size
    for place, number in enumerate(terms if terms is not None and named else range(size)):
        yield replace(column, name=f"{column.name}_{number}", kind=column.kind.removesuffix("s"), place=place)


def _new_column(output: str, beside: Container[str]) -> str:
    """The column of a graph's output: `NAME_predicted` for `NAME`, so that the data may hold what is true as `NAME`.

    What stands `beside` an output, `NAME_probability`, `NAME_error` or `NAME_code`, keeps its name.
    """
    return output if output in beside else f"{output}_predicted"


def kept_columns(
    known: Sequence[str], keep: Sequence[str] | None, predictor: Predictor, folds_case: bool = False
) -> list[str]:
    """The input columns that go into the output; raises SparkNetError for an unknown one and for a clash.

    `folds_case` as in `check_columns`.
    """
    kept = list(known if keep is None else dict.fromkeys(keep))
    unknown = [name for name in kept if name not in known]
    if unknown:
        parts = [part.strip() for part in unknown[0].split(",")]
        near = closest(unknown[0], known)
        helps = [f"did you mean `{near}`?"] if near else []
        if len(parts) > 1 and all(part in known for part in parts):
            helps = [f"name each by itself: `{' '.join(f'--keep {part}' for part in parts)}`"]
        message, notes = f"the data has no column `{unknown[0]}` to keep", [f"columns of the data: {listing(known)}"]
        raise problem("R0002", message, notes=notes, helps=helps)
    for name in kept:
        if len(same := same_names(name, known, folds_case)) > 1:
            raise ambiguous(name, same)
    clash = {name.lower() for name in kept} & {each.name.lower() for each in predictor.added}
    if clash:
        raise problem(
            "R0051",
            f"the data has a column `{min(clash)}`, which is also the name of a prediction",
            helps=["keep only the columns that are needed with `--keep`, without this one, or rename it"],
        )
    return kept


@dataclass(frozen=True)
class PredictRows:
    """The kept columns and the predictions of each batch: for `mapInArrow`, and for tables in this process."""

    predictor: Predictor
    keep: tuple[tuple[str, str], ...]
    """Columns that are kept: the name in the output, and the name in the batches."""
    engine: Engine

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """A batch for each batch; raises SparkNetError for a bad row, without a trace of how it was found."""
        names = [name for name, _ in self.keep] + [each.name for each in self.predictor.added]
        before = 0
        for batch in bounded(batches, self.predictor.bound):
            try:
                predicted = self.predictor.predict(batch, self.engine, Standing(before, self.keep))
            except SparkNetError as error:
                raise error.with_traceback(None) from None
            before += batch.num_rows
            columns = [batch.column(name) for _, name in self.keep] + predicted
            yield pa.RecordBatch.from_arrays(columns, names=names)
