"""TensorBoard and MLflow, told of runs and read back with what those projects publish."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.runtime.runs import run_local
from sparknet.runtime.tracking.base import Beginning, scalars
from sparknet.runtime.training.records import Event, Note, RoundRecord
from tests.runtime.conftest import only, small_net

SPLIT = "{train: 0.6, validation: 0.2, test: 0.2}"
NOISY = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
"""MLflow warns of its own type hints and of what it calls in SQLAlchemy."""


class Told:
    """A tracker that remembers, and fails where it is asked to."""

    name = "Told"

    def __init__(self, fails_at: str = "") -> None:
        self.seen: list[object] = []
        self.fails_at = fails_at

    def check(self) -> None:
        self._see("check")

    def begin(self, run: Beginning) -> None:
        self._see("begin", len(run.history))

    def round(self, record: RoundRecord) -> None:
        self._see("round", record.round)

    def finish(self, run: Any, net: Any) -> None:
        self._see("finish", run.manifest.rounds)

    def close(self, failed: bool) -> None:
        self._see("failed" if failed else "closed")

    def _see(self, what: str, *more: object) -> None:
        self.seen.append((what, *more) if more else what)
        if what == self.fails_at:
            raise RuntimeError("the server is gone\nand more")


def test_a_tracker_is_told_of_all(folder: Path) -> None:
    told = Told()
    run_local(small_net(folder), trackers=[told])
    assert told.seen == ["check", ("begin", 0), ("round", 1), ("round", 2), ("finish", 2), "closed"]


@pytest.mark.parametrize(("fails_at", "steps"), [("begin", 2), ("round", 3), ("finish", 5), ("closed", 6)])
def test_a_tracker_that_fails_costs_no_run(folder: Path, fails_at: str, steps: int) -> None:
    told, other, events = Told(fails_at), Told(), list[Event]()
    trained = run_local(small_net(folder), folder / "run", events.append, trackers=[told, other])
    assert len(trained.history) == 2
    assert (folder / "run" / "manifest.json").is_file()
    assert len(told.seen) == steps + (fails_at != "closed")
    assert told.seen[-1] == ("closed" if fails_at == "closed" else "failed")
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes == ["Told is told no more of this run: the server is gone"] * (fails_at != "closed")
    assert other.seen[-1] == "closed", "the others are told on"


def test_a_run_that_fails_is_told_as_failed(folder: Path) -> None:
    def breaks(record: RoundRecord) -> None:
        raise ZeroDivisionError

    told = Told()
    with pytest.raises(ZeroDivisionError):
        sparknet.train(small_net(folder), callback=breaks, trackers=[told])
    assert told.seen == ["check", ("begin", 0), ("round", 1), "failed"]


def test_what_cannot_work_is_said_before_the_run(folder: Path) -> None:
    told = Told("check")
    with pytest.raises(RuntimeError):
        run_local(small_net(folder), folder / "run", trackers=[told])
    assert told.seen == ["check"]
    (folder / "file").write_text("")
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(folder), trackers=[sparknet.TensorBoard(folder / "file")])
    assert only(error).startswith(f"R0081 `{folder / 'file'}` can hold no event files: File exists")


@pytest.mark.parametrize(
    ("tracker", "what", "package", "help"),
    [
        (sparknet.TensorBoard("events"), "`TensorBoard`", "tensorboardX", "pip install 'sparknet[tracking]'"),
        (sparknet.MLflow("http://host:5000"), "`MLflow`", "mlflow-skinny", "pip install 'sparknet[tracking]'"),
        (sparknet.MLflow("sqlite:///runs.db"), "`MLflow` with a database", "mlflow", "pip install mlflow"),
    ],
)
def test_a_missing_package_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tracker: Any, what: str, package: str, help: str
) -> None:
    monkeypatch.setattr(f"sparknet.runtime.tracking.{tracker.name.lower()}.find_spec", lambda name: None)
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(folder), trackers=[tracker])
    assert only(error) == f"R0080 {what} needs the package `{package}`, which is not installed"
    assert error.value.diagnostics[0].helps[0] == help


# ----- TensorBoard -----


def events_in(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves of a folder, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(each.step, each.value) for each in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_reads_the_rounds(folder: Path) -> None:
    model = sparknet.train(small_net(folder, split=SPLIT), trackers=[sparknet.TensorBoard(folder / "events")])
    found = events_in(folder / "events")
    for record in model.run.history:
        for tag, value in scalars(record).items():
            assert dict(found[tag])[record.steps] == pytest.approx(value, rel=1e-6), tag
    kept = model.run.history[model.run.manifest.kept_round - 1]
    assert found["kept/test/loss"] == [(kept.steps, pytest.approx(model.scores["test"]["loss"]))]
    assert "accuracy/validation" in found


def test_tensorboard_goes_on_with_a_run_that_is_resumed(folder: Path) -> None:
    net = small_net(folder, epochs=4, more="\n  checkpoint = rounds(2)")
    tracker = sparknet.TensorBoard(folder / "events")

    def dies(record: RoundRecord) -> None:
        if record.round == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sparknet.train(net, output=folder / "run", callback=dies, trackers=[tracker])
    model = sparknet.train(net, output=folder / "run", resume=True, trackers=[tracker])
    assert [step for step, _ in events_in(folder / "events")["loss/train"]] == [r.steps for r in model.run.history]


# ----- MLflow -----


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A database of its own; MLflow's messages of how it is made stay away."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return f"sqlite:///{tmp_path / 'runs.db'}"


@NOISY
def test_mlflow_has_the_run_and_scores_its_model(folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    tracker = sparknet.MLflow(uri, "clouds")
    model = sparknet.train(small_net(folder, split=SPLIT, workers=2), trackers=[tracker])
    import mlflow
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "clouds"
    assert run.data.params["optimizer"] == "adam"
    assert run.data.params["optimizer.lr"] == "0.01"
    assert {key: run.data.params[key] for key in ("batch", "workers", "seed")} == {
        "batch": "8",
        "workers": "2",
        "seed": "3",
    }
    losses = client.get_metric_history(tracker.run_id, "loss/train")
    assert [(m.step, m.value) for m in losses] == [(r.round, r.train.loss) for r in model.run.history]
    assert run.data.metrics["kept/test/loss"] == model.scores["test"]["loss"]
    names = {file.path for file in client.list_artifacts(tracker.run_id)}
    assert names == {"model", "report.html", "net.net"}
    folder_of_model = client.download_artifacts(tracker.run_id, "model", str(folder))
    loaded = mlflow.pyfunc.load_model(folder_of_model)
    (tensor,) = loaded.metadata.signature.inputs.inputs
    assert (tensor.name, tensor.shape, tensor.type) == ("point", (-1, 4), np.float32)
    points = np.array([[0, 0, 0, 0], [3, 3, 3, 3], [6, 6, 6, 6]], np.float32)
    answers = loaded.predict({"point": points})
    import pandas as pd

    assert answers["kind"].tolist() == model.transform(pd.DataFrame({"x": list(points)}))["kind_predicted"].tolist()


@NOISY
def test_a_run_that_breaks_is_failed_in_mlflow(folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    tracker = sparknet.MLflow(uri)

    def breaks(record: RoundRecord) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sparknet.train(small_net(folder), callback=breaks, trackers=[tracker])
    from mlflow import MlflowClient

    assert MlflowClient(tracking_uri=uri).get_run(tracker.run_id).info.status == "FAILED"


@NOISY
@pytest.mark.parametrize(
    ("uri", "help"),
    [
        ("http://127.0.0.1:9", "is there a server, and can it be reached from here?"),
        ("sqlite:////dev/null/runs.db", "can this process write there? the folder of a file must be there"),
        ("nonsense://x", "name a server: `mlflow server --port 5000`"),
    ],
)
def test_an_mlflow_that_cannot_be_reached_is_said_before_the_run(
    folder: Path, uri: str, help: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(folder), folder / "run", trackers=[sparknet.MLflow(uri)])
    assert only(error).startswith(f"R0082 MLflow cannot be reached at `{uri}`: ")
    helps = error.value.diagnostics[0].helps
    assert helps[0].startswith(help)
    assert not any(uri in each for each in helps)


@NOISY
def test_a_database_without_its_package_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setitem(sys.modules, "mlflow.store.tracking.sqlalchemy_store", None)
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(folder), trackers=[sparknet.MLflow("sqlite:///mlflow.db")])
    help = "pip install mlflow: `sparknet[tracking]` brings its small package alone"
    assert error.value.diagnostics[0].helps[0] == help
