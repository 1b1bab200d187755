"""What a program calls: train a net on frames, use the model, keep it in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pyarrow as pa

from sparknet.compiler import CompiledNet, compile
from sparknet.compiler.folder import NET
from sparknet.grammar import Source, syntax
from sparknet.runtime import run_folder
from sparknet.runtime.engines.base import Graph
from sparknet.runtime.failures import diagnosed
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.manifest import bound_inputs
from sparknet.runtime.predict import predict_table
from sparknet.runtime.problems import problem
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.scoring import evaluation_graph, score, scored_ports
from sparknet.runtime.sources.frames import (
    FrameType,
    as_arrow,
    check_alike,
    check_frame,
    columns_of,
    fed_by,
    is_spark,
    with_columns,
)
from sparknet.runtime.sources.places import in_memory
from sparknet.runtime.spark.waits import JOB_SECONDS, START_SECONDS, Waits
from sparknet.runtime.tracking.base import Tracker
from sparknet.runtime.training.records import Event, Note, RoundRecord

if TYPE_CHECKING:
    import onnx
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

    Frame: TypeAlias = DataFrame | pd.DataFrame | pa.Table


class Model:
    """A trained net. `sparknet.train` and `sparknet.load` make it."""

    def __init__(self, run: SavedRun, net: CompiledNet | None = None) -> None:
        self.run = run
        self._net = net

    def __repr__(self) -> str:
        manifest = self.run.manifest
        return f"<sparknet.Model {manifest.net}, round {manifest.kept_round} of {manifest.rounds}>"

    @cached_property
    def net(self) -> CompiledNet:
        """The net; that of a model that was loaded is compiled from its source when it is first needed."""
        if self._net is not None:
            return self._net
        folder = self.run.folder or Path()
        return compile(Source(str(folder / NET), self.run.net, folder))

    @cached_property
    def onnx(self) -> onnx.ModelProto:
        """The inference graph with the weights inside; `CompiledNet.inference` says what it takes and gives."""
        import onnx

        return onnx.load_from_string(self.run.inference)

    @cached_property
    def _evaluation(self) -> Graph:
        return evaluation_graph(self.run, self.net)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """A row for each round: `round`, `train.loss`, `score.loss`, `score.metrics.accuracy` and so on."""
        import pandas as pd

        return pd.json_normalize([asdict(record) for record in self.run.history])

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Loss and metrics of these weights on the rows that were held out in training: of `validation` and `test`."""
        return {split: {"loss": s.loss, **s.metrics} for split, s in self.run.manifest.scores.items()}

    def transform(self, data: FrameType) -> FrameType:
        """The rows with the predictions beside them: `NAME_predicted`, `NAME_probability` and so on for each output.

        The result is of the kind of `data`. A DataFrame of Spark is computed when it is used, and a bad row fails the
        query that meets it. Raises SparkNetError for columns, and elsewhere rows, that do not fit.
        """
        check_frame(data, "data")
        with diagnosed("predicting"):
            return cast(FrameType, self._scored(data))

    def _scored(self, data: Any) -> Any:
        if is_spark(data):
            from sparknet.runtime.spark.connect import words_for
            from sparknet.runtime.spark.predict import predict_frame

            with words_for(data):
                return predict_frame(self.run, data)
        read = columns_of(bound_inputs(self.run.manifest, self.run.encoders))
        return with_columns(data, predict_table(self.run, as_arrow(data, read)))

    def evaluate(self, data: Frame) -> dict[str, float]:
        """Mean loss and metrics over the rows, which hold the columns of the outputs too: `loss`, `accuracy`, ...

        Raises SparkNetError for columns and rows that do not fit.
        """
        check_frame(data, "data")
        with diagnosed("evaluating"):
            if is_spark(data):
                from sparknet.runtime.spark.backend import SparkBackend

                frame = cast("DataFrame", data)
                with OnSpark(data=frame).session():
                    found = score(self.run, self.net, self._evaluation, SparkBackend({"data": frame}, before="scoring"))
            else:
                table = in_memory(as_arrow(data, columns_of(scored_ports(self.run))))
                found = score(self.run, self.net, self._evaluation, LocalBackend({"data": table}, before="scoring"))
        return {"loss": found.loss, **found.metrics}

    def report(self, path: str | Path) -> None:
        """Write the report of the run anew, an HTML file as the one in the run folder; raises OSError."""
        Path(path).write_bytes(run_folder.report_of(self.run, self.net))

    def save(self, path: str | Path) -> None:
        """Write the run folder, whole or not at all; raises SparkNetError, also where `path` exists already."""
        run_folder.save(Path(path), self.run, self.net)


def load(path: str | Path) -> Model:
    """The model in a run folder, which is verified as if an enemy had made it; raises SparkNetError."""
    return Model(run_folder.load(Path(path)))


def train(
    net: str | Path | Source | syntax.File | CompiledNet,
    data: Frame | None = None,
    *,
    validation: Frame | None = None,
    test: Frame | None = None,
    settings: Sequence[str] = (),
    callback: Callable[[RoundRecord], bool | None] | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    checkpoints: str | None = None,
    spark: SparkSession | None = None,
    root: str | Path | None = None,
    data_roots: Sequence[str | Path] = (),
    job_timeout: float = JOB_SECONDS,
    start_timeout: float = START_SECONDS,
    trackers: Sequence[Tracker] = (),
) -> Model:
    """Train a net: on Spark where the rows are a Spark DataFrame, in this process else.

    Args:
        net: As `sparknet.compile` takes it, or what that gives.
        data: The rows. They take the place of the sources in the `data` section, which then only names columns. Its
            `split` holds unless there is a `validation` or `test`. Without the section each input and output is fed by
            the column of its name, and one row in five is for testing. Without rows the section's sources are read.
        validation: Rows by which the best round is chosen.
        test: Rows that training does not see.
        settings: Lets and keys of sections to change: `width=32`, `train.epochs=2`.
        callback: Called after each round with its record: `round`, `train.loss`, `score.metrics` and so on. Where it
            returns True, the run ends with that round; what it raises is raised.
        output: A run folder to leave; the checkpoints that the net asks for lie beside it.
        resume: Whether to go on from the newest checkpoint of `output`, or at `checkpoints`.
        checkpoints: A folder or URI for the checkpoints, such as `s3a://bucket/run`.
        spark: A session to read the sources of the `data` section with, where there is no `data`.
        root: The folder below which imports may reach; by default that of the file.
        data_roots: Folders or URIs below which the `data` section may name sources, beside the folder of the file.
        job_timeout: Seconds that a job on Spark may take, such as a round.
        start_timeout: Seconds that Spark may take to give executors.
        trackers: What is told of the run as it goes: `sparknet.TensorBoard(folder)`, `sparknet.MLflow(uri)`.

    Raises:
        SparkNetError: For mistakes in the net, columns and rows that do not fit, and runs that break.
    """
    frames = {
        key: rows for key, rows in (("train", data), ("validation", validation), ("test", test)) if rows is not None
    }
    check_frames(frames, spark)
    if not isinstance(net, CompiledNet):
        net = compile(net, settings=settings, root=root)
    elif settings:
        raise ValueError("`settings` change a net before it is compiled: give them to `sparknet.compile`")
    fed, keys = fed_by(net, frames) if frames else (net, {})
    given: dict[str, Any] = {keys[key]: rows for key, rows in frames.items()}
    if spark is not None or is_spark(data):
        on = OnSpark(spark=spark, data=given or None, waits=Waits(job_timeout, start_timeout))
        trained = run_spark(fed, output, _log, on, data_roots, resume, callback, checkpoints, trackers)
    else:
        read = columns_of(fed.data.bindings if fed.data is not None else ())
        tables = {key: in_memory(as_arrow(rows, read)) for key, rows in given.items()}
        trained = run_local(fed, output, _log, data_roots, resume, tables, callback, checkpoints, trackers)
    return Model(run_folder.finished(fed, trained), net)


def _log(event: Event) -> None:
    if isinstance(event, Note):
        getLogger("sparknet").info(event.text)


def check_frames(frames: dict[str, object], spark: SparkSession | None) -> None:
    """Raise SparkNetError for frames, by their splits, that cannot be trained on or do not go together."""
    for key, rows in frames.items():
        check_frame(rows, "data" if key == "train" else key)
    check_alike(frames)
    if frames and "train" not in frames:
        message = f"`{next(iter(frames))}` is given without `data`, the rows to train on"
        raise problem("R0008", message, helps=["give both, or name both sources in the `data` section"])
    if frames and spark is not None:
        message = "`spark` reads the sources of the `data` section, whose place `data` takes"
        raise problem("R0008", message, helps=["leave out `spark`; a Spark DataFrame is trained on in its own session"])
