"""Runs in MLflow: parameters, metrics by round, the report, and the ONNX model with its signature."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any

import numpy as np
import onnx

from sparknet.compiler.compiled import CompiledNet, Port, Prediction
from sparknet.compiler.folder import NET
from sparknet.runtime.problems import problem
from sparknet.runtime.run_folder import REPORT, SavedRun, report_of
from sparknet.runtime.tracking.base import Beginning, kept_scores, missing, scalars
from sparknet.runtime.training.records import RoundRecord
from sparknet.runtime.versions import versions

MODEL_FOLDER = "model"
_LONGEST = 500
"""Characters of a parameter."""
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""A server that does not answer holds a round up for a minute or so, once; what the environment says comes first."""


@dataclass
class MLflow:
    """A run of `experiment` at the tracking server or database `uri`: `http://host:5000`, `sqlite:///mlflow.db`.

    Metrics are those of each round. At the end come the scores of the kept weights, the `.net` source, the report and
    the inference graph, as the model `model` of the run, which `mlflow.onnx` and `mlflow.pyfunc` load. A run that is
    resumed is a run of its own with all rounds.
    """

    uri: str
    experiment: str = "Default"
    name: str = "MLflow"
    run_id: str | None = field(default=None, init=False)
    """Of the newest run that it was told of."""
    _client: Any = field(default=None, init=False, repr=False)
    _experiment_id: str = field(default="", init=False, repr=False)

    def check(self) -> None:
        """As `Tracker.check`; makes the experiment."""
        if find_spec("mlflow") is None:
            if _is_database(self.uri):
                raise missing("mlflow", "`MLflow` with a database", extra=False)
            raise missing("mlflow-skinny", "`MLflow`")
        from mlflow import MlflowClient

        try:
            with _patient():
                self._client = MlflowClient(tracking_uri=self.uri)
                found = self._client.get_experiment_by_name(self.experiment)
                self._experiment_id = found.experiment_id if found else self._client.create_experiment(self.experiment)
        except Exception as error:
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise problem(
                "R0082", f"MLflow cannot be reached at `{self.uri}`: {text[:300]}", helps=_helps(self.uri, error)
            ) from error

    def begin(self, run: Beginning) -> None:
        """As `Tracker.begin`."""
        from mlflow.entities import Param, RunTag

        with _patient():
            made = self._client.create_run(self._experiment_id, run_name=run.net.name)
            self.run_id = made.info.run_id
            tags = {"mlflow.source.name": run.net.source.name, **{f"version.{k}": v for k, v in versions().items()}}
            self._client.log_batch(
                self.run_id,
                params=[Param(key, text[:_LONGEST]) for key, text in parameters(run).items()],
                tags=[RunTag(key, text[:_LONGEST]) for key, text in tags.items()],
            )
            for record in run.history:
                self._log(scalars(record), record.round)

    def round(self, record: RoundRecord) -> None:
        """As `Tracker.round`."""
        with _patient():
            self._log(scalars(record), record.round)

    def finish(self, run: SavedRun, net: CompiledNet) -> None:
        """As `Tracker.finish`."""
        with _patient(), TemporaryDirectory(prefix="sparknet-") as made:
            folder = Path(made)
            self._log(kept_scores(run), run.manifest.kept_round)
            (folder / REPORT).write_bytes(report_of(run, net))
            (folder / NET).write_text(run.net, "utf-8")
            save_model(folder / MODEL_FOLDER, run, net)
            self._client.log_artifacts(self.run_id, str(folder))

    def close(self, failed: bool) -> None:
        """As `Tracker.close`."""
        if self.run_id is not None:
            with _patient():
                self._client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time() * 1000)
        self._client.log_batch(self.run_id, metrics=[Metric(key, value, now, step) for key, value in values.items()])


def parameters(run: Beginning) -> dict[str, str]:
    """The settings of a run: those of the `train` section, one a key, and what the data and the net came to."""
    train = run.net.train
    found = {"net": run.net.name, "parameters": str(run.net.trained_count), "workers": str(run.prepared.workers)}
    found |= {f"rows/{split}": str(rows) for split, rows in run.prepared.rows.items()}
    found |= dict(_flat("optimizer", {"name": train.optimizer.name, **train.optimizer.model_dump()}))
    for key, value in train.model_dump(exclude={"optimizer", "workers"}, exclude_defaults=True).items():
        found |= dict(_flat(key, value))
    return found | {"batch": str(train.batch), "seed": str(train.seed), "sync": train.sync.name}


def _flat(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(key if name == "name" else f"{key}.{name}", each)
    elif value not in (None, (), []):
        yield key, str(value)


def save_model(folder: Path, run: SavedRun, net: CompiledNet) -> None:
    """The inference graph as a model of MLflow, with the types and shapes of its inputs and outputs."""
    import mlflow.onnx
    from mlflow.models import ModelSignature

    mlflow.onnx.save_model(
        onnx.load_from_string(run.inference),
        folder,
        signature=ModelSignature(inputs=_schema(net.inputs), outputs=_schema(net.predictions)),
        pip_requirements=[f"{name}=={run.manifest.versions[name]}" for name in ("numpy", "onnx", "onnxruntime")],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )


def _schema(ports: Sequence[Port | Prediction]) -> Any:
    from mlflow.types import Schema, TensorSpec

    return Schema([TensorSpec(np.dtype(p.type.dtype), (-1, *p.type.shape), p.name) for p in ports])


_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


def _is_database(uri: str) -> bool:
    """Whether a URI is that of a database, for which the small package of MLflow is not enough."""
    return uri.partition(":")[0].partition("+")[0] in _DATABASES


def _helps(uri: str, error: Exception) -> list[str]:
    """What to change where MLflow takes no runs at a URI."""
    server = "`mlflow server --port 5000`, of `pip install mlflow`, starts one at http://localhost:5000"
    if isinstance(error, ImportError):
        return ["pip install mlflow: `sparknet[tracking]` brings its small package alone", "or name a server", server]
    if uri.startswith(("http:", "https:")):
        return ["is there a server, and can it be reached from here?", server]
    if _is_database(uri):
        return ["can this process write there? the folder of a file must be there", f"or name a server: {server}"]
    return [f"name a server: {server}", "or a database in a file: `sqlite:///mlflow.db`, with `pip install mlflow`"]


@contextmanager
def _patient() -> Iterator[None]:
    """Within it MLflow waits for a server as long as `_PATIENCE` says and not for many minutes."""
    added = {key: text for key, text in _PATIENCE.items() if key not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)
