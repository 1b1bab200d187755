"""Checkpoints: a run that goes on from one gives the bytes of a run that nothing happened to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from pyspark.sql import SparkSession
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

import sparknet
from sparknet.cli.main import cli
from sparknet.compiler import CompiledNet
from sparknet.compiler.folder import write_compiled
from sparknet.grammar import SparkNetError
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.training.records import Event, Note, Prepared, RoundRecord
from sparknet.runtime.training.trainer import TrainedNet
from tests.runtime.conftest import only, rows, small_net

ROOT = Path(__file__).parents[2]
SPLIT = "{train: 0.6, validation: 0.2, test: 0.2}"
EVERY = "\n  workers = 2\n  checkpoint = rounds(1)"
ROUNDS = 6


class KilledError(Exception):
    """Stands for the end of a process."""


def net_of(folder: Path, more: str = EVERY, **settings: object) -> CompiledNet:
    return small_net(folder, split=SPLIT, epochs=settings.pop("epochs", ROUNDS), more=more, **settings)


def dies_after(number: int) -> Callable[[Event], None]:
    def watch(event: Event) -> None:
        if isinstance(event, RoundRecord) and event.round == number:
            raise KilledError

    return watch


def killed(folder: Path, after: int, more: str = EVERY) -> Path:
    """The checkpoints of a run that died behind a round."""
    with pytest.raises(KilledError):
        run_local(net_of(folder, more), folder / "run", dies_after(after))
    assert not (folder / "run").exists()
    return folder / "run.checkpoints"


def resume(folder: Path, more: str = EVERY) -> tuple[TrainedNet, list[str]]:
    """The run, finished, and the notes that it made."""
    events: list[Event] = []
    trained = run_local(net_of(folder, more), folder / "run", events.append, resume=True)
    return trained, [event.text for event in events if isinstance(event, Note)]


def essence(trained: TrainedNet) -> tuple[object, ...]:
    """All that a run gives but the time that it took."""
    history = [
        replace(record, seconds_compute=0, seconds_exchange=0, seconds_evaluation=0, seconds_total=0)
        for record in trained.history
    ]
    vectors = trained.parameters.tobytes(), trained.optimizer_state.tobytes()
    return (*vectors, history, trained.kept_round, trained.planned, trained.rows, trained.scores)


@pytest.mark.parametrize("after", [1, 3, ROUNDS])
@pytest.mark.parametrize(
    "more",
    [
        EVERY,
        "\n  workers = 3\n  checkpoint = minutes(0.000001)",
        EVERY + "\n  schedule = [warmup(epochs: 1), cosine]\n  sync = outer(every: 3)",
        EVERY + "\n  sync = average(every: 4, after: 13)",
        EVERY + "\n  sync = average(every: 4)\n  moments = average(every: 3)\n  exchange = int8",
        EVERY + "\n  sync = outer(every: 4)\n  moments = reset\n  exchange = float16",
        EVERY + "\n  early_stop = patience(1, min_delta: 9)",
    ],
)
def test_what_is_resumed_is_what_was_never_killed(folder: Path, after: int, more: str) -> None:
    undisturbed = run_local(net_of(folder, more))
    after = min(after, len(undisturbed.history))
    killed(folder, after, more)
    trained, notes = resume(folder, more)
    assert essence(trained) == essence(undisturbed)
    path = folder / "run.checkpoints" / f"round-{after}"
    assert notes[0] == f"resuming after round {after}, from `{path}`"
    assert (folder / "run" / "manifest.json").is_file()
    assert not (folder / "run.checkpoints").exists()


def test_a_process_that_is_killed(tmp_path: Path) -> None:
    spec = (ROOT / "specs" / "digits.net").read_text()
    assert "epochs    = 10" in spec
    (tmp_path / "digits.net").write_text(spec.replace("epochs    = 10", "epochs = 8\n  checkpoint = rounds(2)"))
    command = [sys.executable, "-c", "from sparknet.cli.main import main; main()", "run", "digits.net", "--local"]
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    process = subprocess.Popen([*command, "--workers", "2", "-o", "run"], stdout=subprocess.DEVNULL, **options)
    try:
        while not (tmp_path / "run.checkpoints" / "round-2").exists():
            assert process.poll() is None
            sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    # The same command again would train over it; with `--resume`, the number of workers is known.
    again = subprocess.run([*command, "-o", "run"], capture_output=True, text=True, check=False, **options)
    assert again.returncode == 1
    assert "error[R0045]" in again.stderr
    for arguments in (["-o", "run", "--resume"], ["-o", "whole", "--workers", "2"]):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, **options)
        assert (done.returncode, done.stderr) == (0, "")
    for name in ("parameters.safetensors", "optimizer_state.safetensors", "inference.onnx"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_that_is_finished_whose_checkpoints_are_left(folder: Path) -> None:
    left = killed(folder, 2)
    left.rename(folder / "aside")
    run_local(net_of(folder), folder / "run")
    (folder / "aside").rename(left)
    truncate(left / "round-2" / "vectors.safetensors")  # as if its removal had begun
    arguments = ["run", str(folder / "small.net"), "--local", "-o", str(folder / "run"), "--resume"]
    said = f"finished   the run in `{folder / 'run'}` is finished"

    def result(*more: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, *more], catch_exceptions=False)

    with pytest.raises(SparkNetError) as error:
        result("--set", "train.epochs=9")
    assert only(error) == f"R0047 the run cannot be resumed: `epochs` of the `train` section was {ROUNDS} and is 9"
    (help,) = error.value.diagnostics[0].helps
    assert help == f"the run in `{folder / 'run'}` is finished; name another folder for another run"
    assert left.is_dir()
    assert result().stdout.splitlines() == [f"{said}, and what was left of its checkpoints is removed"]
    assert not left.exists()
    assert result().stdout.splitlines() == [said]
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(folder), folder / "run", resume=True)
    assert only(error) == f"R0046 the run in `{folder / 'run'}` is finished: there is nothing to resume"


def test_a_run_that_is_finished_in_which_workers_had_no_rows(folder: Path) -> None:
    net = net_of(folder, "\n  workers = 100", epochs=1, batch=1)
    events: list[Event] = []
    run_local(net, folder / "run", events.append)
    (prepared,) = (event for event in events if isinstance(event, Prepared))
    assert prepared.workers < 100
    with pytest.raises(SparkNetError) as error:
        run_local(net, folder / "run", resume=True)
    assert only(error) == f"R0046 the run in `{folder / 'run'}` is finished: there is nothing to resume"


def test_what_was_compiled_is_no_run_that_is_finished(folder: Path) -> None:
    net = net_of(folder)
    write_compiled(net, folder / "run")
    with pytest.raises(SparkNetError) as error:
        run_local(net, folder / "run", resume=True)
    assert only(error) == f"R0044 `{folder / 'run'}` was compiled, not trained"
    assert error.value.diagnostics[0].helps == ("`sparknet run` trains it",)


def test_checkpoints_of_another_run_stay_where_one_is_finished(folder: Path) -> None:
    run_local(net_of(folder), folder / "run")
    with pytest.raises(KilledError):
        run_local(net_of(folder, epochs=9), folder / "other", dies_after(1), checkpoint_place=str(folder / "there"))
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(folder), folder / "run", resume=True, checkpoint_place=str(folder / "there"))
    assert only(error) == f"R0047 the run cannot be resumed: `epochs` of the `train` section was 9 and is {ROUNDS}"
    assert (folder / "there" / "round-1").is_dir()


@pytest.mark.parametrize("checkpoint", ["", "checkpoint = rounds(1)"])
def test_what_an_interrupted_run_leaves(folder: Path, checkpoint: str) -> None:
    net_of(folder, f"\n  {checkpoint}", epochs=100_000)
    command = [sys.executable, "-u", "-m", "sparknet.cli.main"]
    process = subprocess.Popen(
        [*command, "run", "small.net", "--local", "-o", "run"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("round "):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    if checkpoint:
        where = "its checkpoints are in `run.checkpoints`: the same command with `--resume` goes on from there"
    else:
        where = "nothing is left of this run, whose net asks for no `checkpoint`"
    assert told == f"interrupted; {where}\n"


def test_a_run_may_go_on_somewhere_else(folder: Path, spark: SparkSession) -> None:
    net = net_of(folder)
    undisturbed = run_local(net)
    killed(folder, 2)
    on_spark = run_spark(net, folder / "run", on=OnSpark(spark=spark), resume=True)
    assert essence(on_spark) == essence(undisturbed)
    with pytest.raises(KilledError):
        run_spark(net, folder / "other", dies_after(2), OnSpark(spark=spark))
    assert essence(run_local(net, folder / "other", resume=True)) == essence(undisturbed)


# ----- damage -----

FILES = ["checkpoint.json", "progress.json", "vectors.safetensors", "metrics.jsonl"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def link(path: Path) -> None:
    shutil.move(path, path.parent.parent / path.name)
    path.symlink_to(path.parent.parent / path.name)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink, link])
def test_the_one_before_takes_the_place_of_a_damaged_one(
    folder: Path, file: str, damage: Callable[[Path], None]
) -> None:
    undisturbed = run_local(net_of(folder))
    checkpoints = killed(folder, 3)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["round-2", "round-3"]
    damage(checkpoints / "round-3" / file)
    trained, (first, second) = resume(folder)
    assert first.startswith(f"`{checkpoints / 'round-3'}/")
    assert "` is damaged: " in first
    assert second == f"resuming after round 2, from `{checkpoints / 'round-2'}`"
    assert essence(trained) == essence(undisturbed)


def test_when_all_are_damaged(folder: Path) -> None:
    checkpoints = killed(folder, 3)
    for number in (2, 3):
        truncate(checkpoints / f"round-{number}" / "vectors.safetensors")
    with pytest.raises(SparkNetError) as error:
        resume(folder)
    assert only(error) == "R0046 the run cannot be resumed: none of its checkpoints is whole"
    assert len(error.value.diagnostics[0].notes) == 2


def test_when_there_is_none(folder: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        resume(folder)
    assert only(error) == "R0046 the run cannot be resumed: there is no checkpoint of it"


def resign(path: Path, file: str, data: bytes) -> None:
    """Replace a file and list the new one, as an enemy would."""
    (path / file).write_bytes(data)
    index = json.loads((path / "checkpoint.json").read_text("utf-8"))
    index["files"][file] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    (path / "checkpoint.json").write_text(json.dumps(index), "utf-8")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("parameters", np.zeros(3, np.float32), "its vectors do not have the lengths of the net's"),
        ("momentum", np.zeros(3, np.float32), "its vectors do not have the lengths of the net's"),
        (
            "parameters",
            np.full(9, np.nan, "f4"),
            "tensor `parameters` is not a vector of finite float32 numbers",
        ),
        ("parameters", np.zeros(67), "tensor `parameters` is not a vector of finite float32 numbers"),
        ("more", np.zeros(3, np.float32), "its tensors are not those of a checkpoint"),
    ],
)
def test_vectors_of_an_enemy(folder: Path, name: str, value: np.ndarray, why: str) -> None:
    checkpoints = killed(folder, 1)
    path = checkpoints / "round-1"
    tensors = load_tensors((path / "vectors.safetensors").read_bytes())
    resign(path, "vectors.safetensors", save_tensors(tensors | {name: value}))
    with pytest.raises(SparkNetError) as error:
        resume(folder)
    diagnostic = error.value.diagnostics[0]
    assert f"`{path / 'vectors.safetensors'}` is damaged: {why}" in (diagnostic.message, *diagnostic.notes)


@pytest.mark.parametrize("change", [{"rounds": 4}, {"rounds": 0}, {"kept_round": 9}, {"kept_round": 0}, {"more": 1}])
def test_progress_of_an_enemy(folder: Path, change: dict[str, int]) -> None:
    path = killed(folder, 1) / "round-1"
    progress = json.loads((path / "progress.json").read_text("utf-8")) | change
    resign(path, "progress.json", json.dumps(progress).encode())
    with pytest.raises(SparkNetError) as error:
        resume(folder)
    assert only(error).startswith("R0046 ")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda record: record["score"]["metrics"].clear(), "its metrics are not those of the net"),
        (lambda record: record["train"]["metrics"].update(more=1.0), "its metrics are not those of the net"),
        (lambda record: record.update(learning_rate=float("nan")), "Input should be a finite number"),
        (lambda record: record["score"].update(more=1.0), "Unexpected keyword argument"),
    ],
)
def test_rounds_of_an_enemy(folder: Path, change: Callable[[dict[str, Any]], None], why: str) -> None:
    more = EVERY + "\n  early_stop = patience(9, metric: accuracy)"
    path = killed(folder, 1, more) / "round-1"
    record = json.loads((path / "metrics.jsonl").read_text("utf-8"))
    change(record)
    resign(path, "metrics.jsonl", json.dumps(record).encode() + b"\n")
    with pytest.raises(SparkNetError) as error:
        resume(folder, more)
    assert error.value.diagnostics[0].notes == (f"`{path / 'metrics.jsonl'}` is damaged: {why}",)


def test_vectors_larger_than_the_nets_are_not_read(folder: Path) -> None:
    path = killed(folder, 1) / "round-1"
    index = json.loads((path / "checkpoint.json").read_text("utf-8"))
    index["files"]["vectors.safetensors"]["bytes"] = 1 << 40
    (path / "checkpoint.json").write_text(json.dumps(index), "utf-8")
    with (path / "vectors.safetensors").open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(SparkNetError) as error:
        resume(folder)
    assert "its 1,099,511,627,776 bytes are more than the" in error.value.diagnostics[0].notes[0]


def test_a_damaged_one_is_not_kept_in_the_place_of_the_one_before(folder: Path) -> None:
    checkpoints = killed(folder, 4)
    (checkpoints / "round-3").rename(checkpoints / "round-9")
    truncate(checkpoints / "round-9" / "vectors.safetensors")
    with pytest.raises(KilledError):
        run_local(net_of(folder), folder / "run", dies_after(5), resume=True)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["round-4", "round-5"]


# ----- another run -----


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"batch": 16}, "`batch` of the `train` section was 8 and is 16"),
        ({"epochs": 9}, "`epochs` of the `train` section was 6 and is 9"),
        (
            {"more": EVERY + "\n  sync = average(every: 3)"},
            "`sync` of the `train` section was `average` and is `average(every: 3)`",
        ),
        ({"more": EVERY.replace("2", "3")}, "`workers` was 2 and is 3"),
        ({"more": EVERY + "\n  clip = norm(1)"}, "`clip` of the `train` section was `none` and is `norm(1)`"),
        (
            {"more": EVERY + "\n  early_stop = patience(3, min_delta: 0.01)"},
            "`early_stop` of the `train` section was `none` and is `patience(3, min_delta: 0.01)`",
        ),
    ],
)
def test_another_net(folder: Path, change: dict[str, object], why: str) -> None:
    killed(folder, 2)
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(folder, **change), folder / "run", resume=True)
    assert only(error) == f"R0047 the run cannot be resumed: {why}"
    assert essence(resume(folder)[0]) == essence(run_local(net_of(folder)))


def test_another_layer(folder: Path) -> None:
    killed(folder, 2)
    file = folder / "small.net"
    file.write_text(net_of(folder).source.text.replace("dense(8, relu)", "dense(8, tanh)"))
    with pytest.raises(SparkNetError) as error:
        run_local(sparknet.compile(file), folder / "run", resume=True)
    assert only(error) == "R0047 the run cannot be resumed: the net is not the one it began with"


def test_another_end_of_a_long_schedule(folder: Path) -> None:
    more = f"{EVERY}\n  schedule = [{'warmup(steps: 1), ' * 40}cosine(to: 0.0001)]"
    killed(folder, 2, more)
    with pytest.raises(SparkNetError) as error:
        resume(folder, more.replace("0.0001", "0.0002"))
    assert only(error).endswith(": `schedule` of the `train` section is not what it was")


def test_other_rows(folder: Path) -> None:
    killed(folder, 2)
    pq.write_table(rows(201), folder / "rows.parquet")
    with pytest.raises(SparkNetError) as error:
        resume(folder)
    assert only(error) == "R0047 the run cannot be resumed: the rows are not those that it was trained on"
    assert error.value.diagnostics[0].labels


def test_how_often_checkpoints_are_written_is_free_to_change(folder: Path) -> None:
    killed(folder, 2)
    trained, _ = resume(folder, EVERY.replace("rounds(1)", "minutes(5)"))
    assert essence(trained) == essence(run_local(net_of(folder)))


# ----- the folder -----


def test_what_cannot_be_written_is_told_and_the_run_goes_on(folder: Path) -> None:
    (folder / "run.checkpoints").write_text("in the way")
    events: list[Event] = []
    trained = run_local(net_of(folder), folder / "run", events.append)
    assert essence(trained) == essence(run_local(net_of(folder)))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert len(notes) == ROUNDS
    assert notes[0].startswith("no checkpoint after round 1: ")
    assert (folder / "run.checkpoints").read_text() == "in the way"


def test_leftovers_are_removed_and_nothing_else(folder: Path) -> None:
    checkpoints = killed(folder, 2)
    (checkpoints / ".round-3.0a1b2c3d.partial").mkdir()
    (checkpoints / "mine").mkdir()
    (checkpoints / "round-2.txt").write_text("mine")
    resume(folder)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["mine", "round-2.txt"]
