"""Stages on any path that Spark writes: pyspark's `metadata`, and the files of a model's run folder in `data`.

    PATH/metadata   JSON as pyspark writes it: class, uid, params
    PATH/data       parquet, of a model: `name string, part int, content binary`, the files of the run folder in parts

What is read is taken for hostile: the class is one of ours and the one that was asked for, a file has the name of a
file of a run folder, and `sparknet.load` verifies them. No pickle anywhere.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter
from pyspark.sql.utils import is_remote

from sparknet.compiler.folder import MODEL
from sparknet.compiler.foreign.reading import MOST_BYTES
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime import run_folder
from sparknet.runtime.hostile import explain
from sparknet.runtime.model import Model
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.jobs import few_rows, waited
from sparknet.runtime.spark.waits import DEFAULT_WAITS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PART = 8 << 20
"""Bytes of a file in a row of `data`."""
_MOST_FILES = 1000
FOREIGN = "foreign.onnx"
"""The file of a transformer whose net another library wrote."""
_FILES_SCHEMA = pa.schema([("name", pa.string()), ("part", pa.int32()), ("content", pa.binary())])


Stage = TypeVar("Stage")

_FACTS = "sparknet"


class Longest(BaseModel):
    """The longest sequence that a net takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(gt=0, lt=2**31)
    numbers: int = Field(gt=0, lt=2**31)
    """Of all its steps."""


class Facts(BaseModel):
    """What a model knows beside its params and its net."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fed: tuple[str, ...]
    """The inputs of the net that `featuresCol` feeds."""
    labels: tuple[str, ...] | None = None
    """The names of the classes, where the label column said them."""
    divisor: float = Field(1, gt=0, allow_inf_nan=False)
    """What the features are divided by where they are not standardized."""
    longest: Longest | None = None
    """Where sequences beyond it are cut; None where none are."""


class StageWriter(MLWriter):
    """Writes a stage; of a model, its net too."""

    def __init__(self, stage: Params, files: Mapping[str, bytes] | None = None, facts: Facts | None = None) -> None:
        super().__init__()
        self._stage, self._files, self._facts = stage, files, facts

    def _handleOverwrite(self, path: str) -> None:
        if is_remote():
            from pyspark.ml.connect.readwrite import RemoteMLWriter

            RemoteMLWriter.handleOverwrite(path, True)
        else:
            super()._handleOverwrite(path)

    def save(self, path: str) -> None:
        """As `MLWriter.save`; raises SparkNetError where there is something at the path already."""
        try:
            super().save(path)
        except Exception as error:  # py4j's or Spark's, as the session is classic or remote
            if "already exists" not in str(error):
                raise
            helps = ["`write().overwrite().save(path)` puts the stage in its place", "or give another path"]
            raise problem("M0004", f"`{path}` is there already", helps=helps) from error

    def saveImpl(self, path: str) -> None:
        """As `MLWriter.saveImpl`."""
        more = None if self._facts is None else {_FACTS: self._facts.model_dump()}
        DefaultParamsWriter.saveMetadata(self._stage, path, self.sparkSession, more)
        if self._files is not None:
            table = pa.Table.from_batches(_parts(self._files), _FILES_SCHEMA)
            frame = self.sparkSession.createDataFrame(table).coalesce(1)
            write = partial(frame.write.parquet, os.path.join(path, "data"))
            waited(self.sparkSession, DEFAULT_WAITS.job, f"saving the model to `{path}`", write)


def run_files(model: Model) -> dict[str, bytes]:
    """The files of a model's run folder."""
    with TemporaryDirectory(prefix="sparknet-") as folder:
        model.save(run := Path(folder, "run"))
        return {file.name: file.read_bytes() for file in sorted(run.iterdir())}


def _parts(files: Mapping[str, bytes]) -> Iterator[pa.RecordBatch]:
    for name, data in files.items():
        for part, start in enumerate(range(0, max(1, len(data)), _PART)):
            row = {"name": [name], "part": [part], "content": [data[start : start + _PART]]}
            yield pa.RecordBatch.from_pydict(row, _FILES_SCHEMA)


class StageReader(MLReader[Any], Generic[Stage]):
    """Reads a stage of one class, which has to be the one that was saved."""

    def __init__(
        self, stage: type[Stage], trained: bool = False, holds: Callable[[Any, Path], None] | None = None
    ) -> None:
        """`trained` for models, which are made of a net; `holds` gives another stage the folder of its files."""
        super().__init__()
        self._class, self._trained, self._holds = stage, trained, holds

    def load(self, path: str) -> Stage:
        """The stage; raises SparkNetError where `path` holds another one or a damaged one."""
        said = self._metadata(path)
        stage: Any = self._model(path, said) if self._trained else self._class()
        try:
            stage._resetUid(said["uid"])
            DefaultParamsReader.getAndSetParams(stage, said)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError, SparkNetError) as error:
            raise _damaged(path, f"its params cannot be set: {error}") from error
        if self._holds is not None:
            with _folder(self.sparkSession, path) as folder:
                self._holds(stage, folder)
        found: Stage = stage
        return found

    def _model(self, path: str, said: dict[str, Any]) -> Stage:
        try:
            facts = Facts.model_validate(said.get(_FACTS))
        except ValidationError as error:
            raise _damaged(path, f"`metadata` of a model: {explain(error)}") from error
        model: Callable[..., Stage] = self._class
        with _folder(self.sparkSession, path) as folder:
            return model(load_run(folder), facts)

    def _metadata(self, path: str) -> dict[str, Any]:
        rows = few_rows(self.sparkSession.read.text(os.path.join(path, "metadata")).limit(2), f"loading `{path}`")
        try:
            (row,) = rows
            said = json.loads(row[0])
            name = said["class"]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise _damaged(path, "`metadata` is not what pyspark writes") from error
        wanted = f"{self._class.__module__}.{self._class.__name__}"
        if name != wanted:
            short = str(name).rpartition(".")[2][:100]
            helps = [f"`{short}.load(...)` reads it"] if short.isidentifier() else []
            message = f"`{path}` holds a {short}, not a {self._class.__name__}"
            raise problem("M0004", message, helps=helps)
        found: dict[str, Any] = said
        return found


@contextmanager
def _folder(spark: SparkSession, path: str) -> Iterator[Path]:
    """A folder of the files that a saved stage holds, for as long as it is needed."""
    frame = spark.read.parquet(os.path.join(path, "data"))
    if frame.columns != _FILES_SCHEMA.names:
        raise _damaged(path, "`data` does not hold the files of a run")
    sizes = _checked_sizes(frame, path)
    with TemporaryDirectory(prefix="sparknet-") as folder:

        def unpack() -> None:
            rows = frame.orderBy("name", "part").toLocalIterator()
            _unpack(((row["name"], row["content"]) for row in rows), sizes, Path(folder), path)

        waited(spark, DEFAULT_WAITS.job, f"loading `{path}`", unpack)
        yield Path(folder)


def _unpack(parts: Iterable[tuple[object, object]], sizes: Mapping[str, int], folder: Path, path: str) -> None:
    """Write the parts of files into a folder. What was not counted is not written: the table is read a second time."""
    left = dict(sizes)
    for name, content in parts:
        if not isinstance(name, str) or _most_bytes(name) is None or not isinstance(content, bytes | bytearray):
            raise _damaged(path, "`data` holds what is no file of a run")
        left[name] = left.get(name, -1) - len(content)
        if left[name] < 0:
            raise _damaged(path, f"`{name}` grew while it was read")
        with Path(folder, name).open("ab") as file:
            file.write(content)


def _checked_sizes(frame: DataFrame, path: str) -> dict[str, int]:
    """The bytes of each file; raises SparkNetError for those that no run has, too large ones, and a disk without room.

    Spark counts: a few bytes of parquet may hold gigabytes, and nothing of them comes here before they are known.
    """
    sizes = frame.selectExpr("name", "octet_length(content) AS size").groupBy("name").agg({"size": "sum", "*": "count"})
    counted = few_rows(sizes.select("name", "sum(size)", "count(1)").limit(_MOST_FILES + 1), f"loading `{path}`")
    if len(counted) > _MOST_FILES:
        raise _damaged(path, f"`data` holds more than the {_MOST_FILES:,} files allowed")
    found: dict[str, int] = {}
    for name, size, parts in counted:
        most = _most_bytes(name)
        if most is None or size is None:
            raise _damaged(path, "`data` holds what is no file of a run")
        if size > most:
            raise _damaged(path, f"the {size:,} bytes of `{name}` are more than the {most:,} allowed")
        if parts > 1 + size // _PART:
            raise _damaged(path, f"`{name}` comes in more parts than it has bytes for")
        found[name] = size
    free = shutil.disk_usage(gettempdir()).free
    if (total := sum(found.values())) > free:
        message = f"`{path}` holds {total >> 20:,} MiB, and the disk of `{gettempdir()}` has {free >> 20:,} MiB free"
        raise problem("R0049", message, helps=["make room, or name a folder on another disk as `TMPDIR`"])
    return found


def _most_bytes(name: object) -> int | None:
    """The most bytes of a file of a saved stage; None where it has no such file."""
    if not isinstance(name, str):
        return None
    return MOST_BYTES if name == FOREIGN or MODEL.fullmatch(name) else run_folder.CAPS.get(name)


def load_run(folder: Path) -> Model:
    """The net of a run folder that will be gone, verified."""
    model = Model(run_folder.load(folder))
    foreign = any(MODEL.fullmatch(file.name) for file in folder.iterdir())
    net = model.net if foreign else None  # which needs the files of foreign models
    return Model(replace(model.run, folder=None), net)


def _damaged(path: str, why: str) -> SparkNetError:
    return problem("M0004", f"`{path}` is damaged: {why}", helps=["save the stage again, or take it from a backup"])
