"""What training tells of itself while it runs, and what a run folder keeps of that."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from pydantic import ConfigDict, TypeAdapter, ValidationError

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""How records are read back."""


@dataclass(frozen=True)
class Note:
    """Something worth knowing that is no error."""

    text: str


@dataclass(frozen=True)
class Prepared:
    """The data is encoded and training begins; `rows` by split, `steps` of every worker in all.

    A run that goes on from a checkpoint has the `rounds_done` and `steps_done` behind it.
    """

    rows: dict[str, int]
    workers: int
    rounds: int
    steps: int
    row_bytes: int
    seconds: float
    rounds_done: int = 0
    steps_done: int = 0


@dataclass(frozen=True)
class Exchanging:
    """How what the workers send comes to the driver: averaged in `slices` by Spark's shuffle, straight where that is 0.

    `bytes_up` is what all of them together send in a round, the optimizer's state included.
    """

    slices: int
    bytes_up: int


@dataclass(frozen=True)
class Score:
    """Mean loss and metrics over `rows` rows of a split."""

    __pydantic_config__ = _STRICT

    split: str
    rows: int
    loss: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class RoundRecord:
    """One round, as in `metrics.jsonl`. `train` is measured while training, `score` with the averaged parameters."""

    __pydantic_config__ = _STRICT

    round: int
    epoch: int
    steps: int
    learning_rate: float
    """That of the round's last step."""
    train: Score
    score: Score | None
    seconds_compute: float
    """The slowest worker's own time in this round's steps."""
    seconds_exchange: float
    """What was spent on making one set of weights of those of all workers."""
    seconds_evaluation: float
    """The slowest worker's own time in the evaluation."""
    seconds_total: float
    """Wall time of its steps, moving and averaging, and of an evaluation: of the round before if scored along."""
    bytes_down: int
    """Parameters and optimizer state that all workers together were handed for their steps."""
    bytes_up: int
    """What all workers together sent back."""

    @property
    def seconds_rest(self) -> float:
        """What Spark took for planning, scheduling and moving; nearly nothing without Spark."""
        return max(0.0, self.seconds_total - self.seconds_compute - self.seconds_exchange - self.seconds_evaluation)

    @property
    def rows_a_second(self) -> float:
        """Rows that were trained on, of all workers, over the wall time of the round."""
        return self.train.rows / max(self.seconds_total, 1e-9)

    @property
    def scores(self) -> tuple[Score, ...]:
        """All that are there."""
        return (self.train,) if self.score is None else (self.train, self.score)


@dataclass(frozen=True)
class Stepped:
    """Workers have taken `steps` steps more of the round that is under way; not every backend tells."""

    steps: int


Event = Note | Prepared | Exchanging | Stepped | RoundRecord
Progress = Callable[[Event], None]
"""Told of each event as it comes; of `Stepped` by workers that are threads of this process, side by side."""
Callback = Callable[[RoundRecord], bool | None]
"""Called after each round; one that returns True ends the run there."""


def write_history(history: Sequence[RoundRecord]) -> bytes:
    """Rounds as JSON lines."""
    return "".join(json.dumps(asdict(record), allow_nan=False) + "\n" for record in history).encode()


def read_history(data: bytes) -> tuple[RoundRecord, ...]:
    """Rounds from JSON lines; raises ValueError that says what is wrong."""
    reader = TypeAdapter(RoundRecord)
    try:
        return tuple(reader.validate_json(line) for line in data.splitlines())
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"][:200]) from error
