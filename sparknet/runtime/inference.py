"""Batches of rows with predictions beside them: what local and Spark predictions share."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparknet.compiler.encoders import Categories
from sparknet.runtime.encoding.binding import BoundPort, all_columns, ambiguous, bounded, same_names
from sparknet.runtime.encoding.profile import BadRow, Profile, check_profile
from sparknet.runtime.engines.base import Engine, Graph
from sparknet.runtime.manifest import bound_inputs
from sparknet.runtime.problems import listing, problem
from sparknet.runtime.run_folder import SavedRun

INFERENCE_BATCH = 256


@dataclass(frozen=True)
class Predictor:
    """An inference graph, the columns that feed it, and the columns that it adds."""

    model: bytes
    bound: tuple[BoundPort, ...]
    added: tuple[tuple[str, str], ...]
    """Name and kind of each new column: `long`, `float` or `bool`, or a list of such: `floats`."""
    outputs: tuple[str, ...]
    """The output of the graph that fills each new column."""
    labels: tuple[tuple[str | int, ...] | None, ...]
    """For each new column that holds places among labels, the labels."""

    @cached_property
    def graph(self) -> Graph:
        """As the engine takes it."""
        return Graph("inference", self.model, 0)

    @property
    def columns(self) -> list[str]:
        """The columns that feed the graph, each once."""
        return all_columns(self.bound)

    def predict(self, batch: pa.RecordBatch, engine: Engine) -> list[pa.Array]:
        """The new columns of a batch; raises SparkNetError for its first bad row, counted within the batch."""
        feeds = {each.port.name: self._feed(batch, index) for index, each in enumerate(self.bound)}
        parts: list[dict[str, NDArray[Any]]] = []
        for start in range(0, batch.num_rows, INFERENCE_BATCH):
            window = {name: values[start : start + INFERENCE_BATCH] for name, values in feeds.items()}
            parts.append(engine.infer(self.graph, window))
        filled = zip(self.outputs, self.added, self.labels, strict=True)
        return [_column([part[output] for part in parts], kind, labels) for output, (_, kind), labels in filled]

    def _feed(self, batch: pa.RecordBatch, index: int) -> NDArray[Any]:
        each = self.bound[index]
        column = each.read(batch)
        if column.first is not None or column.numbers is None:
            firsts = () if column.first is None else (BadRow.of(column.first, index),)
            profile = Profile.empty(len(self.bound)).model_copy(
                update={"rows": batch.num_rows, "bad": int(column.bad.sum()), "firsts": firsts}
            )
            check_profile(profile, self.bound, "scoring")
        numbers = np.asarray(column.numbers)
        return np.ascontiguousarray(numbers.reshape(-1, *each.port.type.shape), each.port.type.dtype)


def _column(parts: Sequence[NDArray[Any]], kind: str, labels: Sequence[str | int] | None) -> pa.Array:
    """The parts one behind the other; a list holds the numbers of a row, whatever their shape, one after the other."""
    if labels is not None:
        places = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return pa.array(labels, ARROW_TYPES[kind]).take(pa.array(places))
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


def predictor(run: SavedRun) -> Predictor:
    """The predictor of a saved run."""
    outputs = tuple(p.name for p in run.manifest.predictions)
    beside = {*outputs} - {target.name for target in run.manifest.targets}
    beside = {
        name
        for name in beside
        if name.endswith(("_probability", "_error", "_code")) and name.rpartition("_")[0] in outputs
    }
    found = (run.encoders.get(p.name) for p in run.manifest.predictions)
    labels = tuple(encoder.terms if isinstance(encoder, Categories) else None for encoder in found)
    kinds = (_KINDS[p.dtype] + "s" * (prod(p.shape) > 1) for p in run.manifest.predictions)
    added = tuple(
        (_new_column(p.name, beside), "text" if terms and isinstance(terms[0], str) else kind)
        for p, kind, terms in zip(run.manifest.predictions, kinds, labels, strict=True)
    )
    return Predictor(run.inference, bound_inputs(run.manifest, run.encoders), added, outputs, labels)


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
        raise problem(
            "R0002", f"the data has no column `{unknown[0]}` to keep", notes=[f"columns of the data: {listing(known)}"]
        )
    for name in kept:
        if len(same := same_names(name, known, folds_case)) > 1:
            raise ambiguous(name, same)
    clash = {name.lower() for name in kept} & {name.lower() for name, _ in predictor.added}
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
        """A batch for each batch."""
        for batch in bounded(batches, self.predictor.bound):
            columns = [batch.column(name) for _, name in self.keep] + self.predictor.predict(batch, self.engine)
            names = [name for name, _ in (*self.keep, *self.predictor.added)]
            yield pa.RecordBatch.from_arrays(columns, names=names)
