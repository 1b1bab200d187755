"""How far a run has come and when it will be over, also within a round: numbers for a progress bar."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sparknet.runtime.training.records import Prepared, RoundRecord

_ROUNDS_SEEN = 5
"""The pace is that of so many rounds, the newest."""
_ALMOST = 0.95
"""What a round whose steps nobody counts comes to at most until it is done, as a share of the rounds before."""


@dataclass
class Pace:
    """The steps of a worker in a run; times are those of one clock, in seconds."""

    prepared: Prepared
    began: float
    """When the round that is under way began."""
    done: int = field(init=False)
    """Steps of the rounds that are done."""
    _rounds: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_ROUNDS_SEEN))
    _counted: int = 0
    _first: bool = True

    def __post_init__(self) -> None:
        self.done = self.prepared.steps_done

    def stepped(self, steps: int) -> None:
        """Some worker has taken `steps` steps. Threads may lose a count here, which no one sees in a bar."""
        self._counted += steps

    def finished(self, record: RoundRecord, now: float) -> None:
        """A round is done."""
        if self._first and self._rounds:
            self._rounds.clear()  # the first round starts what all later ones use
            self._first = False
        self._rounds.append((record.steps - self.done, record.seconds_total))
        self.done, self.began, self._counted = record.steps, now, 0

    def position(self, now: float) -> float | None:
        """Steps taken until now, counted or else by the pace of the rounds before; None where nothing is known yet."""
        if self._counted:
            return min(self.done + self._counted / self.prepared.workers, self.prepared.steps)
        pace = self._seconds_a_step(now)
        if pace is None:
            return float(self.done) if self.done > self.prepared.steps_done else None
        last = self._rounds[-1][0]
        return min(self.done + min((now - self.began) / max(pace, 1e-9), _ALMOST * last), self.prepared.steps)

    def left(self, now: float) -> float | None:
        """Seconds until the last step of the run, if no round is stopped early; None where nothing is known yet."""
        pace, position = self._seconds_a_step(now), self.position(now)
        return None if pace is None or position is None else pace * (self.prepared.steps - position)

    def rows_a_second(self, now: float, step_rows: int) -> float | None:
        """Rows trained on by all workers, of `step_rows` a step each; None where nothing is known yet."""
        pace = self._seconds_a_step(now)
        return None if pace is None else step_rows * self.prepared.workers / max(pace, 1e-9)

    def _seconds_a_step(self, now: float) -> float | None:
        if self._rounds:
            return sum(seconds for _, seconds in self._rounds) / sum(steps for steps, _ in self._rounds)
        if self._counted:
            return (now - self.began) * self.prepared.workers / self._counted
        return None
