"""A guard against work without an end. No test asserts how fast something is: `bench/` measures that."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SECONDS = 20.0
"""A hostile file is promised to be refused within one, and what is unbounded takes hours."""


@contextmanager
def deadline(seconds: float = _SECONDS) -> Iterator[None]:
    """Break off a body that takes so much time of the processor; how busy the machine is changes nothing.

    Raises:
        TimeoutError: In the midst of the body.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no end after {seconds:g} s of the processor's time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
