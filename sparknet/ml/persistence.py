"""Stages on any path that Spark writes: pyspark's `metadata`, and the files of a model's run folder in `data`.

    PATH/metadata   JSON as pyspark writes it: class, uid, params
    PATH/data       parquet, of a model: `name string, part int, content binary`, the files of the run folder in parts

What is read is taken for hostile: the class is one of ours and the one that was asked for, a file has the name of a
file of a run folder, and `sparknet.load` verifies them. No pickle anywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError
from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter
from pyspark.sql.utils import is_remote

from sparknet.compiler.folder import MODEL
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime import run_folder
from sparknet.runtime.hostile import explain
from sparknet.runtime.model import Model
from sparknet.runtime.problems import problem

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PART = 8 << 20
"""Bytes of a file in a row of `data`."""
_FILES = frozenset(run_folder.FILES)
_FILES_SCHEMA = pa.schema([("name", pa.string()), ("part", pa.int32()), ("content", pa.binary())])


Stage = TypeVar("Stage")

_FACTS = "sparknet"


class Facts(BaseModel):
    """What a model knows beside its params and its net."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fed: tuple[str, ...]
    """The inputs of the net that `featuresCol` feeds."""
    labels: tuple[str, ...] | None = None
    """The names of the classes, where the label column said them."""
    divisor: float = 1
    """What the features are divided by where they are not standardized."""


class StageWriter(MLWriter):
    """Writes a stage; of a model, its net too."""

    def __init__(self, stage: Params, trained: Model | None = None, facts: Facts | None = None) -> None:
        super().__init__()
        self._stage, self._trained, self._facts = stage, trained, facts

    def _handleOverwrite(self, path: str) -> None:
        if is_remote():
            from pyspark.ml.connect.readwrite import RemoteMLWriter

            RemoteMLWriter.handleOverwrite(path, True)
        else:
            super()._handleOverwrite(path)

    def saveImpl(self, path: str) -> None:
        """As `MLWriter.saveImpl`."""
        more = None if self._facts is None else {_FACTS: self._facts.model_dump()}
        DefaultParamsWriter.saveMetadata(self._stage, path, self.sparkSession, more)
        if self._trained is not None:
            table = pa.Table.from_batches(_parts(self._trained), _FILES_SCHEMA)
            self.sparkSession.createDataFrame(table).coalesce(1).write.parquet(os.path.join(path, "data"))


def _parts(model: Model) -> Iterator[pa.RecordBatch]:
    with TemporaryDirectory(prefix="sparknet-") as folder:
        model.save(run := Path(folder, "run"))
        for file in sorted(run.iterdir()):
            data = file.read_bytes()
            for part, start in enumerate(range(0, max(1, len(data)), _PART)):
                row = {"name": [file.name], "part": [part], "content": [data[start : start + _PART]]}
                yield pa.RecordBatch.from_pydict(row, _FILES_SCHEMA)


class StageReader(MLReader[Any], Generic[Stage]):
    """Reads a stage of one class, which has to be the one that was saved."""

    def __init__(self, stage: type[Stage], trained: bool = False) -> None:
        super().__init__()
        self._class, self._trained = stage, trained

    def load(self, path: str) -> Stage:
        """The stage; raises SparkNetError where `path` holds another one or a damaged one."""
        said = self._metadata(path)
        stage: Any = self._model(path, said) if self._trained else self._class()
        try:
            stage._resetUid(said["uid"])
            DefaultParamsReader.getAndSetParams(stage, said)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError, SparkNetError) as error:
            raise _damaged(path, f"its params cannot be set: {error}") from error
        found: Stage = stage
        return found

    def _model(self, path: str, said: dict[str, Any]) -> Stage:
        try:
            facts = Facts.model_validate(said.get(_FACTS))
        except ValidationError as error:
            raise _damaged(path, f"`metadata` of a model: {explain(error)}") from error
        model: Callable[..., Stage] = self._class
        return model(read_net(self.sparkSession, path), facts)

    def _metadata(self, path: str) -> dict[str, Any]:
        rows = self.sparkSession.read.text(os.path.join(path, "metadata")).head(2)
        try:
            (row,) = rows
            said = json.loads(row[0])
            name = said["class"]
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, "`metadata` is not what pyspark writes") from error
        wanted = f"{self._class.__module__}.{self._class.__name__}"
        if name != wanted:
            short = str(name).rpartition(".")[2][:100]
            helps = [f"`{short}.load(...)` reads it"] if short.isidentifier() else []
            message = f"`{path}` holds a {short}, not a {self._class.__name__}"
            raise problem("M0004", message, helps=helps)
        found: dict[str, Any] = said
        return found


def read_net(spark: SparkSession, path: str) -> Model:
    """The net that a saved model holds, verified."""
    frame = spark.read.parquet(os.path.join(path, "data"))
    if frame.columns != _FILES_SCHEMA.names:
        raise _damaged(path, "`data` does not hold the files of a run")
    with TemporaryDirectory(prefix="sparknet-") as folder:
        foreign = False
        for row in frame.orderBy("name", "part").toLocalIterator():
            name, content = row["name"], row["content"]
            foreign |= (own := isinstance(name, str) and MODEL.fullmatch(name) is not None)
            if not (own or name in _FILES) or not isinstance(content, bytes | bytearray):
                raise _damaged(path, "`data` holds what is no file of a run")
            with Path(folder, name).open("ab") as file:
                file.write(content)
        run = run_folder.load(Path(folder))
        model = Model(run)
        net = model.net if foreign else None  # which needs the files of foreign models
    return Model(replace(run, folder=None), net)


def _damaged(path: str, why: str) -> SparkNetError:
    return problem("M0004", f"`{path}` is damaged: {why}", helps=["save the stage again, or take it from a backup"])
