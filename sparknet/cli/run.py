"""`sparknet run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from sparknet.cli import tables
from sparknet.cli.check import defaults_of
from sparknet.cli.progress import TrainingDisplay, metrics
from sparknet.cli.tables import layer_table, line, make_console
from sparknet.compiler import CompiledNet, compile
from sparknet.compiler.describe import describe_train
from sparknet.compiler.folder import check_output
from sparknet.runtime.finished import finished
from sparknet.runtime.model import load
from sparknet.runtime.problems import problem
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.spark.java import lacks_java
from sparknet.runtime.spark.masters import check_master, chosen_master
from sparknet.runtime.spark.waits import DEFAULT_WAITS, Waits
from sparknet.runtime.tracking.base import Tracker
from sparknet.runtime.training.checkpoints import are_in, place_of
from sparknet.runtime.training.trainer import TrainedNet

NO_JAVA = (
    "no Java here, so this trains in this process, without Spark; for Spark install Java 17, "
    "for example `apt-get install openjdk-17-jre-headless`"
)


def run_file(
    file: Path,
    output: Path,
    workers: int | None,
    master: str | None,
    local: bool,
    settings: Sequence[str] = (),
    root: Path | None = None,
    data_roots: Sequence[str] = (),
    resume: bool = False,
    waits: Waits = DEFAULT_WAITS,
    checkpoints: str | None = None,
    trackers: Sequence[Tracker] = (),
) -> None:
    """Train the net in `file`, show how it goes and leave the run in `output`; raises SparkNetError."""
    console = make_console()
    check_master(master)
    net = compile(file, settings=settings, root=root)
    if workers is not None:
        net = net.with_train(workers=workers)
    said = finished(net, output, checkpoints) if resume else None
    if said is not None:
        line(console, "finished", said)
        return
    check_output(output)
    console.print(layer_table(net), "")
    if net.data is not None:
        line(console, "data", net.data.describe())
    line(console, "train", describe_train(net.train))
    if choices := defaults_of(net.typed):
        line(console, "choices", choices)
    if not local and lacks_java(master):
        line(console, "note", NO_JAVA)
        local = True
    where = "in this process" if local else f"on {chosen_master(master)}"
    display = TrainingDisplay(console, where, net.train.step_rows, rates=bool(net.train.schedule))
    try:
        if local:
            trained = run_local(
                net, output, display, data_roots, resume, checkpoint_place=checkpoints, trackers=trackers
            )
        else:
            on = OnSpark(master, waits=waits)
            trained = run_spark(
                net, output, display, on, data_roots, resume, checkpoint_place=checkpoints, trackers=trackers
            )
    except KeyboardInterrupt as error:
        raise click.Abort(_left(net, output, checkpoints)) from error
    finally:
        display.stop()
    _summary(console, net, trained, output)


def trackers_of(tensorboard: Path | None, mlflow: str | None, experiment: str | None) -> list[Tracker]:
    """What the command line names."""
    found: list[Tracker] = []
    if tensorboard is not None:
        from sparknet.runtime.tracking.tensorboard import TensorBoard

        found.append(TensorBoard(tensorboard))
    if mlflow is not None:
        from sparknet.runtime.tracking.mlflow import MLflow

        found.append(MLflow(mlflow, experiment or "Default"))
    return found


def write_report(run: Path, output: Path) -> None:
    """Write the report of the run in a folder; raises SparkNetError."""
    model = load(run)
    try:
        model.report(output)
    except OSError as error:
        raise problem("R0050", f"`{output}` cannot be written: {error.strerror or error}") from error
    line(make_console(), "saved", str(output))


def _left(net: CompiledNet, output: Path, place: str | None) -> str:
    """What an interrupted run leaves."""
    if net.train.checkpoint is None:
        return "nothing is left of this run, whose net asks for no `checkpoint`"
    store = place_of(output, place)
    if store is None or not are_in(store):
        return "nothing is left of this run, for no checkpoint was due yet"
    return f"its checkpoints are in `{store.where}`: the same command with `--resume` goes on from there"


def _summary(console: Console, net: CompiledNet, trained: TrainedNet, output: Path) -> None:
    rounds, early_stop = len(trained.history), net.train.early_stop
    if early_stop is not None and rounds < trained.planned:
        waited = f"no better {early_stop.metric} on validation for {tables.count(early_stop.rounds, 'round')}"
        line(console, "stopped", f"after round {rounds} of {trained.planned}: {waited}")
    if "validation" in trained.scores:
        line(console, "kept", f"round {trained.kept_round}, the best of {rounds} by {net.judge.metric} on validation")
    for score in trained.scores.values():
        line(console, score.split, f"{metrics(score)}  ({score.rows:,} rows)")
    if trained.workers > 1:
        line(console, "exchanged", _exchanged(trained))
    compute = sum(record.seconds_compute for record in trained.history)
    whole = trained.origin.seconds_start + trained.seconds
    line(console, "time", f"{whole:.1f} s from start-up to the last score, {compute:.1f} s of them in training steps")
    line(console, "saved", str(output))


def _exchanged(trained: TrainedNet) -> str:
    """`12 MiB down to the workers, 4.0 MiB up from them; 1.2 MiB and 0.4 MiB a round`."""
    rounds = len(trained.history)
    down, up = (sum(getattr(record, key) for record in trained.history) for key in ("bytes_down", "bytes_up"))
    each = f"{tables.amount(down / rounds)} and {tables.amount(up / rounds)} a round"
    return f"{tables.amount(down)} down to the workers, {tables.amount(up)} up from them; {each}"
