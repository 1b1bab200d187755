"""How long to wait for Spark; these times change nothing of what comes out, so no `.net` file holds them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")

JOB_SECONDS = 3600.0
START_SECONDS = 300.0
CALL_SECONDS = 20.0
"""For a call to Spark that starts no job, where what comes of it is not waited for longer."""
LONGER = "if it only needs longer, raise `--start-timeout`, or `start_timeout=` in Python"


@dataclass(frozen=True)
class Waits:
    """Seconds. No wait for Spark is without one of these limits, and its message says which."""

    job: float = JOB_SECONDS
    """For one job: a pass over the data, a round, an evaluation."""
    start: float = START_SECONDS
    """For the session, and then until an executor has done its first task."""


DEFAULT_WAITS = Waits()


class LateError(Exception):
    """There was no answer in the time that was given."""

    called_off = False
    """Whether what was waited for has been ended."""


def in_time(
    seconds: float,
    work: Callable[[], Result],
    thread: Callable[..., threading.Thread] = threading.Thread,
    undo: Callable[[Result], object] = lambda result: None,
) -> Result:
    """What `work` gives, or raises, in a thread of its own; raises LateError after `seconds` and leaves it behind.

    Work that was left behind, because of Ctrl-C too, and comes to its end all the same is followed by `undo` of its
    result, in that thread.
    """
    found: list[Result] = []
    failed: list[BaseException] = []
    left, over = False, threading.Lock()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # whoever waits is the one to end for it, by `sys.exit` too
            failed.append(error)
            return
        with over:  # either it is in time, or it is undone
            if not left:
                found.append(result)
                return
        undo(result)

    worker = thread(target=run, name="sparknet-wait", daemon=True)
    try:
        worker.start()
        worker.join(seconds)
    finally:  # at Ctrl-C too nobody waits any more
        with over:
            left = not found and not failed
    if left:
        raise LateError(f"no answer in {seconds:,.0f} s")
    if failed:
        raise failed[0]
    return found[0]
