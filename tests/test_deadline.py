"""The guard ends what does not end."""

from __future__ import annotations

import signal

import pytest

from tests.deadline import deadline


def for_ever() -> None:
    while True:
        pass


def test_work_without_an_end_is_broken_off() -> None:
    with pytest.raises(TimeoutError, match=r"no end after 0\.05 s"), deadline(0.05):
        for_ever()
    assert signal.getitimer(signal.ITIMER_PROF)[0] == 0


def test_what_ends_is_left_alone() -> None:
    with deadline():
        found = sum(range(10))
    assert found == 45
    assert signal.getitimer(signal.ITIMER_PROF)[0] == 0
