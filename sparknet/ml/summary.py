"""What a trained stage tells of its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparknet.runtime.model import Model

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainingSummary:
    """The course of a training, in pyspark's words."""

    objectiveHistory: list[float]
    """The mean training loss of each round."""
    totalIterations: int
    """Passes over the training rows, the last one counted though it was not finished."""
    bestRound: int
    """The round whose weights the model has, counted from 1: the best on the validation rows, else the last one."""
    rounds: pd.DataFrame
    """A row for each round: `round`, `epoch`, `train.loss`, `train.metrics.accuracy`, `score.loss` and so on."""
    scores: dict[str, dict[str, float]]
    """Loss and metrics on the rows that training did not see: of `validation`, where there were some."""

    @classmethod
    def of(cls, model: Model) -> TrainingSummary:
        """The summary of a trained net."""
        history = model.run.history
        return cls(
            objectiveHistory=[record.train.loss for record in history],
            totalIterations=history[-1].epoch,
            bestRound=model.run.manifest.kept_round,
            rounds=model.metrics,
            scores=model.scores,
        )
