"""A run that is killed just before it touches a file, for every such moment in turn, and one on a disk that is full.

An audit hook of Python sees each `open`, `mkdir`, `rename` and removal before it happens, so nothing is patched. Each
run has a process of its own, forked from one that has imported everything and started no thread: 0.2 s instead of 3.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnxruntime  # noqa: F401 - imported here, once, and not in every child
import pyarrow.dataset
import pyarrow.parquet  # noqa: F401

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError
from sparknet.runtime.runs import run_local
from sparknet.runtime.training.records import Event, Note

_SEEN = {"open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree"}


def in_a_child(work: Callable[[], str]) -> tuple[int, str]:
    """What a forked process ended with, and the text that its work gave."""
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(sink, work().encode())
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source) as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def die_before(touch: int, folder: Path) -> None:
    """Kill this process before its so-manyth touch of something in `folder`, counted from 0."""
    left = touch

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _SEEN and str(arguments[0]).startswith((str(folder / "run"), str(folder / ".run"))):
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(hook)


def finish(net: CompiledNet, folder: Path) -> str:
    """Bring a run that was killed to its end, as a user would: go on, or begin anew where there is nothing to go on."""
    try:
        run_local(net, folder / "run", resume=True)
        return "resumed"
    except SparkNetError as error:
        (diagnostic,) = error.diagnostics
        if diagnostic.message.endswith("there is no checkpoint of it"):
            run_local(net, folder / "run")
            return "begun anew"
        return f"{diagnostic.code} {diagnostic.message}".replace(str(folder), "...")


def every_moment(net: CompiledNet, folder: Path) -> list[str]:
    """How each run went on that was killed, in the order of the moments; each has a folder, named by its number."""
    found: list[str] = []
    while True:
        place = folder / str(len(found))
        place.mkdir()

        def dies(place: Path = place) -> str:
            die_before(len(found), place)
            run_local(net, place / "run")
            return "alive"

        if in_a_child(dies) == (0, "alive"):
            return found
        found.append(in_a_child(partial(finish, net, place))[1])


def on_a_full_disk(net: CompiledNet, folder: Path, most: int) -> list[str]:
    """The notes and the error of a run where no file can grow beyond `most` bytes."""
    notes: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    def run() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        try:
            run_local(net, folder / "run", watch)
        except SparkNetError as error:
            notes.extend(f"{each.code} {each.message}" for each in error.diagnostics)
        return json.dumps(notes)

    return json.loads(in_a_child(run)[1])


if __name__ == "__main__":
    given = sparknet.compile(sys.argv[1])
    into = Path(sys.argv[2])
    print(json.dumps(on_a_full_disk(given, into, int(sys.argv[3])) if sys.argv[3:] else every_moment(given, into)))
