"""Checkpoints at URIs: places without an atomic rename, where the list of files is written last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
from pyarrow.fs import LocalFileSystem

from sparknet.compiler.sections import EveryRounds
from sparknet.grammar import SparkNetError
from sparknet.runtime.problems import problem
from sparknet.runtime.runs import run_local
from sparknet.runtime.training import checkpoints, stores
from sparknet.runtime.training.records import Event, Note
from sparknet.runtime.training.standing import Standing, Weights
from sparknet.runtime.training.stores import LocalStore, RemoteStore, open_store
from tests.runtime.conftest import only
from tests.runtime.test_checkpoints import EVERY, ROOT, KilledError, dies_after, essence, flip, net_of, truncate

INDEX = "checkpoint.json"
DEADLINE = 120.0


@pytest.fixture(params=["local", "memory", "file", "path"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place of pyarrow, one of fsspec, a folder as a URI and a folder."""
    if request.param == "memory":
        return f"memory:/{tmp_path}/at/here"
    return f"{tmp_path}/at/here" if request.param == "path" else f"{request.param}://{tmp_path}/at/here"


def notes_of(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


@pytest.mark.parametrize("after", [1, 3])
def test_what_is_resumed_is_what_was_never_killed(folder: Path, uri: str, after: int) -> None:
    net = net_of(folder)
    undisturbed = run_local(net)
    with pytest.raises(KilledError):
        run_local(net, folder / "run", dies_after(after), checkpoint_place=uri)
    assert not (folder / "run.checkpoints").exists()
    with pytest.raises(SparkNetError) as error:
        run_local(net, folder / "run", checkpoint_place=uri)
    assert only(error).startswith("R0045 ")
    events: list[Event] = []
    resumed = run_local(net, folder / "run", events.append, resume=True, checkpoint_place=uri)
    assert essence(resumed) == essence(undisturbed)
    assert notes_of(events)[0].startswith(f"resuming after round {after}, from `")
    assert open_store(uri, INDEX).names() == []
    run_local(net, folder / "again", checkpoint_place=uri)  # nothing is in the way any more


@pytest.mark.parametrize("file", [INDEX, "progress.json", "vectors.safetensors", "metrics.jsonl"])
@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_the_one_before_takes_the_place_of_a_damaged_one(
    folder: Path, file: str, damage: Callable[[Path], None]
) -> None:
    net, place = net_of(folder), folder / "there"
    with pytest.raises(KilledError):
        run_local(net, folder / "run", dies_after(3), checkpoint_place=f"local://{place}")
    assert sorted(path.name for path in place.iterdir()) == ["round-2", "round-3"]
    damage(place / "round-3" / file)
    events: list[Event] = []
    resumed = run_local(net, folder / "run", events.append, resume=True, checkpoint_place=f"local://{place}")
    assert essence(resumed) == essence(run_local(net))
    *faults, last = notes_of(events)
    assert last == f"resuming after round 2, from `local://{place}/round-2`"
    assert len(faults) == (0 if (file, damage) == (INDEX, Path.unlink) else 1)  # no list, no checkpoint


def test_more_bytes_than_are_listed_are_not_read(folder: Path) -> None:
    net, place = net_of(folder), folder / "there"
    with pytest.raises(KilledError):
        run_local(net, folder / "run", dies_after(1), checkpoint_place=f"local://{place}")
    vectors = place / "round-1" / "vectors.safetensors"
    listed = json.loads((place / "round-1" / INDEX).read_text("utf-8"))
    listed["files"]["vectors.safetensors"]["bytes"] = 1 << 40
    (place / "round-1" / INDEX).write_text(json.dumps(listed), "utf-8")
    with vectors.open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(SparkNetError) as error:
        run_local(net, folder / "run", resume=True, checkpoint_place=f"local://{place}")
    assert "its 1,099,511,627,776 bytes are more than the" in error.value.diagnostics[0].notes[0]


def test_a_process_that_is_killed(folder: Path) -> None:
    """Killed while it writes: each file is held back until the process is gone."""
    net, place = net_of(folder), folder / "there"
    script = (
        "import sys, time, sparknet\n"
        "from pathlib import Path\n"
        "from sparknet.runtime.runs import run_local\n"
        "from sparknet.runtime.training.stores import RemoteStore\n"
        "path, count = RemoteStore._path, 0\n"
        "def slow(self, name, file=''):\n"
        "    global count\n"
        "    count += file == sys.argv[3] and name == 'round-3'\n"
        "    if count == 2:\n"  # the first time, it is asked whether the file is there
        "        Path('now').touch()\n"
        "        time.sleep(60)\n"
        "    return path(self, name, file)\n"
        "RemoteStore._path = slow\n"
        "run_local(sparknet.compile(sys.argv[1]), 'run', checkpoint_place=sys.argv[2])\n"
    )
    command = [sys.executable, "-c", script, "small.net", f"local://{place}", INDEX]
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        while not (folder / "now").exists():
            assert process.poll() is None
            sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert sorted(path.name for path in (place / "round-3").iterdir()) == [
        "metrics.jsonl",
        "progress.json",
        "vectors.safetensors",
    ]
    events: list[Event] = []
    resumed = run_local(net, folder / "run", events.append, resume=True, checkpoint_place=f"local://{place}")
    assert notes_of(events) == [f"resuming after round 2, from `local://{place}/round-2`"]
    assert essence(resumed) == essence(run_local(net))
    assert list(place.iterdir()) == []


class HeldBack:
    """A filesystem that makes a list of files, but does not come back from it before it is let go."""

    def __init__(self) -> None:
        self.files = LocalFileSystem()
        self.go = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)

    def open_output_stream(self, path: str) -> Any:
        stream = self.files.open_output_stream(path)
        if path.endswith(INDEX):
            self.go.wait(DEADLINE)
        return stream

    def let_go(self) -> None:
        """Come back, and wait until all that was left behind is done."""
        self.go.set()
        for thread in threading.enumerate():
            if thread.name == "sparknet-wait":
                thread.join(DEADLINE)


def test_what_is_written_too_late_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run went on and is over by then: nothing must be left that the next one would stumble over."""
    files = HeldBack()
    store = RemoteStore(files, str(tmp_path), "there", INDEX)
    with monkeypatch.context() as patched:
        patched.setattr(stores, "STORE_SECONDS", 1.0)
        with pytest.raises(SparkNetError) as error:
            store.write("round-1", {"progress.json": b"{}", INDEX: b"{}"})
    assert only(error) == "R0048 checkpoints at `there`: it cannot be written: no answer in 1 s"
    files.let_go()
    assert list(tmp_path.iterdir()) == []
    store.write("round-2", {"progress.json": b"{}", INDEX: b"{}"})
    assert store.names() == ["round-2"]


class HeldBackAfter(HeldBack):
    """As `HeldBack`, when the list is written."""

    @contextmanager
    def open_output_stream(self, path: str) -> Iterator[Any]:
        with self.files.open_output_stream(path) as stream:
            yield stream
        if path.endswith(INDEX):
            self.go.wait(DEADLINE)


def test_what_another_wrote_since_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = HeldBackAfter()
    with monkeypatch.context() as patched:
        patched.setattr(stores, "STORE_SECONDS", 1.0)
        with pytest.raises(SparkNetError):
            RemoteStore(files, str(tmp_path), "there", INDEX).write("round-1", {INDEX: b"{}"})
    newer = RemoteStore(LocalFileSystem(), str(tmp_path), "there", INDEX)
    newer.write("round-1", {INDEX: b"{ }"})
    files.let_go()
    assert newer.read("round-1", INDEX, 10) == b"{ }"


class HeldBackBefore(HeldBack):
    """As `HeldBack`, when it is asked what there is of a list."""

    def get_file_info(self, what: Any) -> Any:
        found = self.files.get_file_info(what)
        if isinstance(what, str) and what.endswith(INDEX):
            self.go.wait(DEADLINE)
        return found


def test_what_is_removed_too_late_is_not_what_came_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = RemoteStore(LocalFileSystem(), str(tmp_path), "there", INDEX)
    newer.write("round-1", {INDEX: b"{}"})
    files = HeldBackBefore()
    with monkeypatch.context() as patched:
        patched.setattr(stores, "STORE_SECONDS", 1.0)
        RemoteStore(files, str(tmp_path), "there", INDEX).remove("round-1")
    newer.write("round-1", {INDEX: b"{ }"})
    files.let_go()
    assert newer.read("round-1", INDEX, 10) == b"{ }"
    newer.remove("round-1")
    assert list(tmp_path.iterdir()) == []


class ForgetfulStore(LocalStore):
    """One that cannot list what it holds."""

    def names(self) -> list[str]:
        raise problem("R0048", "checkpoints at `there`: it cannot be listed: gone")


def test_an_older_checkpoint_that_stays_is_no_failure_of_the_new_one(folder: Path) -> None:
    net, events = net_of(folder), list[Event]()
    place = ForgetfulStore(folder / "there")
    reached = checkpoints.describe_run(net, 2, "0" * 64)
    writer = checkpoints.Checkpoints(place, EveryRounds(every=1), reached, events.append)
    record = run_local(net).history[0]
    weights = Weights(net.initial_parameters(), net.initial_optimizer_state())
    writer.after(Standing(weights, weights, np.zeros(0, np.float32), 1, (record,)), 1.0)
    (note,) = notes_of(events)
    assert note == ("older checkpoints than that of round 1 stay: checkpoints at `there`: it cannot be listed: gone")
    assert LocalStore(folder / "there").names() == ["round-1"]


def test_a_folder_of_the_user_stays(folder: Path) -> None:
    place = folder / "mine"
    place.mkdir()
    run_local(net_of(folder), folder / "run", checkpoint_place=str(place))
    assert list(place.iterdir()) == []


# ----- places that will not do -----


def test_places_that_nothing_reaches() -> None:
    with pytest.raises(SparkNetError) as error:
        open_store("nope://x/y", INDEX)
    assert only(error) == "R0048 checkpoints at `nope://x/y`: Protocol not known: nope"


def test_hdfs_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_HOME", "JAVA_HOME", "CLASSPATH", "ARROW_LIBHDFS_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SparkNetError) as error:
        open_store("hdfs://user@host:1/x", INDEX)
    assert only(error).startswith("R0048 checkpoints at `hdfs://host:1/x`: ")
    assert "HADOOP_HOME" in error.value.diagnostics[0].helps[0]


def test_what_cannot_be_written_is_told_and_the_run_goes_on(folder: Path) -> None:
    (folder / "there").write_text("in the way")
    events: list[Event] = []
    net = net_of(folder)
    trained = run_local(net, folder / "run", events.append, checkpoint_place=f"local://{folder}/there/below")
    assert essence(trained) == essence(run_local(net))
    assert all(text.startswith("no checkpoint after round ") for text in notes_of(events))
    assert len(notes_of(events)) == len(trained.history)


def test_a_place_for_a_run_that_writes_none(folder: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(folder, EVERY.replace("checkpoint = rounds(1)", "")), checkpoint_place="s3a://bucket/run")
    assert only(error) == "R0048 there are no checkpoints for `s3a://bucket/run`: the net asks for none"


def test_messages_hold_no_password() -> None:
    store = open_store("memory://user:secret@box/run?token=more", INDEX)
    assert isinstance(store, RemoteStore)
    assert store.place("round-1", "x") == "memory://box/run/round-1/x"
    assert isinstance(open_store("C:/runs", INDEX), LocalStore)


def test_a_run_without_a_folder_says_that_it_writes_none(folder: Path) -> None:
    events: list[Event] = []
    run_local(net_of(folder), progress=events.append)
    (note,) = [event.text for event in events if isinstance(event, Note)]
    assert note.startswith("no checkpoints are written")
    assert sorted(path.name for path in folder.iterdir()) == ["rows.parquet", "small.net"]
