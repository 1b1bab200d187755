"""The driver killed at any moment of its writing, and full disks: the same bytes, or one error and nothing lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import pytest

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError
from sparknet.runtime import room
from sparknet.runtime.room import check_room
from sparknet.runtime.run_folder import load
from sparknet.runtime.runs import run_local
from tests.runtime.conftest import only, small_net

ROOT = Path(__file__).parents[2]
BYTES = ("parameters.safetensors", "optimizer_state.safetensors", "inference.onnx", "bindings.json")


@pytest.fixture
def net(folder: Path) -> CompiledNet:
    """Three rounds with a checkpoint after each: the last has an older one to remove."""
    more = "\n  workers = 2\n  checkpoint = rounds(1)"
    return small_net(folder, split="{train: 0.6, validation: 0.2, test: 0.2}", epochs=3, more=more)


def dying(folder: Path, into: Path, *most: int) -> list[str]:
    """What `tests.runtime.dying` says: in a process without threads, for it forks."""
    into.mkdir()
    command = [sys.executable, "-m", "tests.runtime.dying", str(folder / "small.net"), str(into), *map(str, most)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def contents(run: Path) -> dict[str, bytes]:
    """The files that say what a run came to; the others hold times."""
    load(run)
    return {name: (run / name).read_bytes() for name in BYTES}


def test_a_driver_killed_at_every_moment_of_its_writing(net: CompiledNet, folder: Path) -> None:
    """Slow, about 15 s: some fifty moments, for each a run that dies and one that goes on from there."""
    run_local(net, folder / "whole")
    whole = contents(folder / "whole")
    found = dying(folder, folder / "runs")
    # Before the first checkpoint has its name there is nothing; behind the rename of the run folder, all is there.
    over = ["R0046 the run in `.../run` is finished: there is nothing to resume"]
    over = [over[0].replace(":", ", and what was left of its checkpoints is removed:"), *over]
    assert [how for how, _ in groupby(found)] == ["begun anew", "resumed", *over]
    assert found.count("resumed") > 30
    for number in range(len(found)):
        place = folder / "runs" / str(number)
        assert contents(place / "run") == whole
        assert [path.name for path in place.iterdir()] == ["run"]


def test_a_disk_too_full_for_checkpoints(net: CompiledNet, folder: Path) -> None:
    """Each that could not be written is told; the run goes on, and its own folder does not fit either."""
    notes = dying(folder, folder / "full", 100)
    place = folder / "full" / "run"
    *checkpoints, last = notes
    assert last == f"E0601 `{place}` cannot be written: File too large"
    for number, note in enumerate(checkpoints, 1):
        path = f"{place}.checkpoints/round-{number}"
        assert note == f"no checkpoint after round {number}: `{path}` cannot be written: File too large"
    assert len(checkpoints) == 3
    assert [path.name for path in (folder / "full").rglob("*")] == ["run.checkpoints"]


def test_a_disk_too_full_for_the_run_folder(net: CompiledNet, folder: Path) -> None:
    """The checkpoints fit: they stay, and once there is room the run ends as it would have."""
    (said,) = dying(folder, folder / "full", 5000)
    assert re.fullmatch(r"E0601 `.*/run` cannot be written: File too large", said)
    assert sorted(path.name for path in (folder / "full").iterdir()) == ["run.checkpoints"]
    run_local(net, folder / "full" / "run", resume=True)
    run_local(net, folder / "whole")
    assert contents(folder / "full" / "run") == contents(folder / "whole")


@pytest.mark.parametrize(("more", "said"), [("", ""), ("\n  checkpoint = rounds(5)", ", its checkpoints included")])
def test_a_disk_too_small_for_a_run_is_told_before_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, more: str, said: str
) -> None:
    """The answer of the kernel is made up: only an administrator can make a small disk."""
    path = folder / "small.net"
    small_net(folder, more=more)
    path.write_text(path.read_text("utf-8").replace("dense(8, relu)", "dense(200000, relu)"), "utf-8")
    net = sparknet.compile(path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=25 << 20 if more else 15 << 20))
    with pytest.raises(SparkNetError) as error:
        run_local(net, folder / "run")
    wanted = 135 if more else 25
    free = 25 if more else 15
    text = f"R0049 the disk of `{folder}` has {free} MiB free, and the run writes up to {wanted} MiB{said}"
    assert only(error) == text
    if more:
        check_room(net, folder / "run", None)  # they lie elsewhere


def test_what_checkpoints_take_where_they_lie(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The momentum of `outer` counts, and so does a place that the user named, on another disk perhaps."""
    more = "\n  checkpoint = rounds(5)"
    path = folder / "small.net"

    def net_of(sync: str) -> CompiledNet:
        small_net(folder, more=more + sync)
        path.write_text(path.read_text("utf-8").replace("dense(8, relu)", "dense(200000, relu)"), "utf-8")
        return sparknet.compile(path)

    def said(net: CompiledNet, output: Path | None, place: str) -> str:
        with pytest.raises(SparkNetError) as error:
            run_local(net, output, checkpoint_place=place)
        return only(error)

    (folder / "disk").mkdir()
    free = {folder: 1 << 40, folder / "disk": 1 << 20}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[path]))
    monkeypatch.setattr(room, "_device", lambda path: path == folder / "run")
    plain, outer = net_of(""), net_of("\n  workers = 2\n  sync = outer(every: 5)")
    text = "R0049 the disk of `{}` has 1 MiB free, and the run writes up to {} MiB of checkpoints"
    assert said(plain, None, str(folder / "disk")) == text.format(folder / "disk", 110)
    assert said(outer, folder / "run", f"file://{folder}/disk") == text.format(folder / "disk", 129)
