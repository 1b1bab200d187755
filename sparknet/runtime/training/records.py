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
    """The data is encoded and training begins; `rows` by split, `steps` of every worker in all."""

    rows: dict[str, int]
    workers: int
    rounds: int
    steps: int
    row_bytes: int
    seconds: float


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
    seconds_total: float
    """Wall time of the round: steps, moving the parameters, averaging, evaluation."""

    @property
    def scores(self) -> tuple[Score, ...]:
        """All that are there."""
        return (self.train,) if self.score is None else (self.train, self.score)


Event = Note | Prepared | RoundRecord
Progress = Callable[[Event], None]
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
