"""When and where a run was made: what its report tells beside numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime


def now() -> str:
    """The time in UTC, to the second: `2026-01-31T12:30:00+00:00`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Origin:
    """Where a run was made, and how long it took until its training began."""

    where: str = "in one process"
    seconds_start: float = 0.0
    """Those in which Spark was started and the data opened."""
    began: str = field(default_factory=now)
