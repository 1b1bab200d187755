"""Scores of weights on the rows of a split, from the sums of all workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import isfinite

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.sections import SplitName
from sparknet.runtime.backend import Backend
from sparknet.runtime.encoding.encode import Layout
from sparknet.runtime.engines.base import Floats, Graph, Sums
from sparknet.runtime.problems import problem
from sparknet.runtime.training.records import Score
from sparknet.runtime.training.rounds import Evaluation, EvaluationTask, Scoring
from sparknet.runtime.training.workers import DIVERGED


@dataclass(frozen=True)
class Scorer:
    """Scores the weights of a net on encoded data."""

    net: CompiledNet
    backend: Backend
    layout: Layout

    def scoring(self, split: SplitName) -> Scoring:
        """The evaluation that a round takes along."""
        return Scoring(self._graph, split)

    def evaluate(self, split: SplitName, parameters: Floats, of_round: int) -> tuple[Score, float]:
        """As `score`, of weights that are evaluated for it."""
        task = EvaluationTask(self._graph, self.layout, split, parameters)
        return self.score(split, self.backend.evaluate(task), of_round)

    def score(self, split: SplitName, results: Sequence[Evaluation], of_round: int) -> tuple[Score, float]:
        """The score of weights, and the slowest worker's time; raises SparkNetError for one that is not finite."""
        score = score_of(self.net, split, in_worker_order(results))
        if not all(map(isfinite, (score.loss, *score.metrics.values()))):
            raise problem(
                "R0030",
                f"the loss is not finite: round {of_round}, on `{split}`",
                notes=[f"the learning rate is {self.net.train.optimizer.lr:g}"],
                helps=DIVERGED,
            )
        return score, max(result.seconds for result in results)

    @cached_property
    def _graph(self) -> Graph:
        return Graph.of("evaluation", self.net.evaluation, self.net.statistics_size)


def in_worker_order(results: Sequence[Evaluation]) -> list[Sums]:
    """The sums of an evaluation, worker by worker."""
    return [result.sums for result in sorted(results, key=lambda result: result.worker)]


def score_of(net: CompiledNet, split: str, parts: Sequence[Sums]) -> Score:
    """The score of sums, added in the order given."""
    total = reduce(Sums.add, parts, Sums())
    return Score(split, total.rows, total.mean_loss, net.scores(total.mean_metrics))
