"""Predictions for a file: its columns, and beside them the outputs of the inference graph.

Bad rows are found by a pass over the data before the first prediction, with the messages of training; the output is
written under a temporary name and renamed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from secrets import token_hex

import pyarrow as pa

from sparknet.compiler.arguments import bind
from sparknet.compiler.checking import check
from sparknet.compiler.folder import NET
from sparknet.compiler.scope import Scope
from sparknet.compiler.sections import (
    SOURCES,
    CsvSource,
    DataSource,
    DigitsSource,
    JsonSource,
    ParquetSource,
    PredictSection,
)
from sparknet.grammar import Source, parse, syntax
from sparknet.runtime.engine import Engine, OnnxRuntimeEngine
from sparknet.runtime.inference import ARROW_TYPES, Predictor, PredictRows, kept_columns, predictor
from sparknet.runtime.problems import listing, problem
from sparknet.runtime.profile import check_columns, check_profile, check_types, profile_batches
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.sources import Place, Table, open_table

_SUFFIXES: dict[str, type[ParquetSource | CsvSource | JsonSource]] = {
    ".parquet": ParquetSource,
    ".csv": CsvSource,
    ".json": JsonSource,
    ".jsonl": JsonSource,
}


def input_place(text: str) -> Place:
    """The source that a command line names: a call as in a `.net` file, or a path; raises SparkNetError.

    A path is read by its suffix, a folder by that of its files.
    """
    if text == "digits":
        return Place(DigitsSource(), Path())
    if re.match(rf"\s*({'|'.join(SOURCES)})\s*\(", text) and not Path(text).exists():
        return Place(_called(text), Path())
    path = Path(text)
    inside = sorted(p.suffix for p in path.iterdir() if p.suffix in _SUFFIXES) if path.is_dir() else []
    suffix = path.suffix if path.suffix in _SUFFIXES else inside[0] if inside else path.suffix
    if suffix not in _SUFFIXES:
        raise problem("R0052", f"`{text}`: what kind of file is it?", helps=[f"known: {', '.join(_SUFFIXES)}, digits"])
    source: DataSource = _SUFFIXES[suffix](path=text)
    return Place(source, Path())


def _called(text: str) -> DataSource:
    """The source that a call describes."""
    source = Source("command line", f"let input_ = {text}")
    (let,) = parse(source).items
    scope = Scope(source, {})
    if not isinstance(let, syntax.Let) or not isinstance(let.value, syntax.Call) or let.value.name.text not in SOURCES:
        raise scope.error("R0052", f"`{text}` is no source", let, f"sources are {listing(SOURCES)}")
    return bind(SOURCES[let.value.name.text], let.value, scope)


def predict_section(run: SavedRun) -> PredictSection:
    """The `predict` section of the net that was trained."""
    return check(Source(str(run.folder / NET), run.net)).net.predict


def section_place(section: PredictSection) -> Place:
    """The input that the section names; raises SparkNetError where it names none."""
    if section.input is None:
        helps = ["name the rows with `--input`", "or in the .net file, before training: `predict { input = ... }`"]
        raise problem("R0053", "nothing says which rows to score", helps=helps)
    return Place(section.input, Path())


def section_target(section: PredictSection) -> Path:
    """The output that the section names; raises SparkNetError where it names none."""
    if section.output is None:
        helps = ["name a file with `--output`", "or in the .net file, before training: `predict { output = ... }`"]
        raise problem("R0053", "nothing says where the scores go", helps=helps)
    return Path(section.output.path)


def check_target(output: Path) -> None:
    """Raise SparkNetError where predictions could not be written."""
    if output.suffix not in (".parquet", ".json", ".jsonl"):
        raise problem(
            "R0052",
            f"`{output}`: predictions are written as .parquet or .json (JSON lines)",
            notes=["probabilities are lists, which CSV cannot hold"] if output.suffix == ".csv" else [],
        )
    if output.exists() or output.is_symlink():
        raise problem("R0050", f"`{output}` exists already", helps=["name another file, or remove this one"])
    if not output.absolute().parent.is_dir():
        raise problem("R0050", f"there is no folder `{output.absolute().parent}`", helps=["make it first"])


def predict_local(
    run: SavedRun, place: Place, output: Path, keep: Sequence[str] | None = None, engine: Engine | None = None
) -> int:
    """Predict in this process; `output` becomes one file. Returns the number of rows."""
    check_target(output)
    found = predictor(run)
    table = open_table(place)
    known = table.schema.names
    kept = kept_columns(known, keep, found)
    _check(found, table)
    rows = PredictRows(found, tuple((name, name) for name in kept), engine or OnnxRuntimeEngine())
    schema = pa.schema([table.schema.field(name) for name in kept] + [(n, ARROW_TYPES[k]) for n, k in found.added])
    columns = list(dict.fromkeys([*kept, *found.columns]))
    partial = output.with_name(f".{output.name}.{token_hex(4)}.partial")
    try:
        count = _write(partial, output.suffix, schema, rows(table.batches(columns)))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        check_target(output)
        partial.rename(output)
    except OSError as error:
        raise problem("R0050", f"`{output}` cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def _check(found: Predictor, table: Table) -> None:
    check_columns(found.bound, table.schema.names)
    check_types(found.bound, table.schema)
    check_profile(profile_batches(table.batches(found.columns), found.bound), found.bound, "scoring")


def _write(path: Path, suffix: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
    count = 0
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(path, schema) as writer:
            for batch in batches:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, names=schema.names).cast(schema))
                count += batch.num_rows
        return count
    with path.open("w", encoding="utf-8") as lines:
        for batch in batches:
            lines.writelines(json.dumps(row, default=str) + "\n" for row in batch.to_pylist())
            count += batch.num_rows
    return count
