"""`early_stop`: which score of a round counts, and how long a run waits for a better one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NewType

from pydantic import BaseModel, ConfigDict, Field

ScoreName = NewType("ScoreName", str)
"""`loss`, or the name of a metric."""


class Patience(BaseModel):
    """`early_stop = patience(5)`: the run ends when so many rounds in a row brought no better score on `validation`.

    A score counts as better where it is by more than `min_delta`, as in Keras's `EarlyStopping`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str] = "patience"

    rounds: int = Field(5, ge=1, le=1_000_000)
    metric: ScoreName = ScoreName("loss")
    min_delta: float = Field(0.0, ge=0, allow_inf_nan=False)


STOPS: dict[str, type[Patience]] = {Patience.name: Patience}


@dataclass(frozen=True)
class Judge:
    """The score by which rounds are compared, `loss` or the name of a metric, and which way it goes."""

    metric: str
    lower_is_better: bool

    def gain(self, score: float, over: float) -> float:
        """By how much a score is better than another; negative where it is worse."""
        return over - score if self.lower_is_better else score - over
