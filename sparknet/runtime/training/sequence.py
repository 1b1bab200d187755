"""The rounds of a run, one after the other: train, score, judge, keep.

Where rounds are short, the job of each also scores the weights that it starts from, those of the round before: one job
in the place of two. What comes of a run does not depend on that, only when it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.sections import SplitName
from sparknet.runtime.training.checkpoints import Checkpoints
from sparknet.runtime.training.course import Course
from sparknet.runtime.training.records import Callback, Progress, RoundRecord
from sparknet.runtime.training.rounds import Evaluation, Plan
from sparknet.runtime.training.scores import Scorer
from sparknet.runtime.training.standing import Standing
from sparknet.runtime.training.stopping import asks_to_stop, is_best, is_over
from sparknet.runtime.training.workers import Along, Taken, Workers

SCORED: tuple[SplitName, ...] = ("validation", "test")
"""The split whose rows are scored after each round is the first of these that the data has."""
LONG = 20
"""A round of so many times what a job costs is scored at once: to wait for the next one would save less than 5 %."""


@dataclass(frozen=True)
class Trained:
    """A round whose weights have no score yet."""

    plan: Plan
    taken: Taken
    seconds: float


@dataclass(frozen=True)
class Rounds:
    """All that the rounds of a run need, but where it stands."""

    net: CompiledNet
    workers: Workers
    scorer: Scorer
    split: SplitName | None
    """Whose rows are scored."""
    course: Course
    checkpoints: Checkpoints | None
    progress: Progress
    callback: Callback | None
    seconds: Callable[[], float]
    """What the run took until now."""

    def run(self, standing: Standing) -> Standing:
        """All rounds that are left; raises SparkNetError where one fails or its numbers are not finite."""
        exchanging = self.workers.exchanging(self.course.plans[0], standing)
        if exchanging is not None:
            self.progress(exchanging)
        run = _Run(self, standing)
        plans = self.course.plans[len(standing.history) :]
        if not run.is_over():
            for plan, following in zip(plans, [*plans[1:], None], strict=True):
                if not run.take(plan, following):
                    break
        return run.standing


@dataclass
class _Run:
    rounds: Rounds
    standing: Standing
    """Behind the last round that has been scored."""
    waiting: Trained | None = None
    """The round behind that, to be scored along with the next one."""

    def is_over(self) -> bool:
        """Whether the run ends early here."""
        return is_over(self.standing.history, self.rounds.net.judge, self.rounds.net.train.early_stop)

    def take(self, plan: Plan, following: Plan | None) -> bool:
        """A round, scored if it does not wait for the `following` one; whether the run goes on."""
        began, workers, waiting = perf_counter(), self.rounds.workers, self.waiting
        if waiting is None or self.rounds.split is None:
            taken = workers.take(plan, self.standing)
        else:
            start = replace(self.standing, weights=waiting.taken.weights, momentum=waiting.taken.momentum)
            along = Along(self.rounds.scorer.scoring(self.rounds.split), partial(self._settle, waiting))
            taken = workers.take(plan, start, along)
        if taken is None:
            return False
        trained = Trained(plan, taken, perf_counter() - began)
        self.waiting = trained if self._may_wait(trained, following) else None
        return self.waiting is not None or self._score(trained)

    def _may_wait(self, trained: Trained, following: Plan | None) -> bool:
        together = self.rounds.workers.together
        if self.rounds.split is None or following is None or together(trained.plan) or together(following):
            return False
        return trained.seconds < LONG * self.rounds.workers.backend.job_seconds

    def _score(self, trained: Trained) -> bool:
        """Score a round in a job of its own; whether the run goes on."""
        began = perf_counter()
        if self.rounds.split is None:
            return self._settle(trained, ())
        found = self.rounds.scorer.backend.evaluate(
            self.rounds.scorer.task(self.rounds.split, trained.taken.weights.parameters)
        )
        return self._settle(replace(trained, seconds=trained.seconds + perf_counter() - began), found)

    def _settle(self, trained: Trained, found: Sequence[Evaluation]) -> bool:
        """Make a round part of the run, with what came of its evaluation; whether the run goes on."""
        record = self._record(trained, found)
        weights, history = trained.taken.weights, (*self.standing.history, record)
        self.standing = replace(self.standing, weights=weights, momentum=trained.taken.momentum, history=history)
        if is_best(history, self.rounds.net.judge):
            self.standing = replace(self.standing, kept=weights, kept_round=record.round)
        if self.rounds.checkpoints is not None:
            self.rounds.checkpoints.after(self.standing, self.rounds.seconds())
        self.rounds.progress(record)
        if self.rounds.callback is not None and asks_to_stop(self.rounds.callback, record):
            return False
        return not self.is_over()

    def _record(self, trained: Trained, found: Sequence[Evaluation]) -> RoundRecord:
        plan, taken, scorer = trained.plan, trained.taken, self.rounds.scorer
        score, evaluating = None, 0.0
        if self.rounds.split is not None:
            score, evaluating = scorer.score(self.rounds.split, found, plan.round + 1)
        return RoundRecord(
            round=plan.round + 1,
            epoch=self.rounds.course.epoch(plan),
            steps=plan.position + plan.steps,
            learning_rate=plan.rates.at(plan.position + plan.steps - 1),
            train=scorer.total("train", taken.sums),
            score=score,
            seconds_compute=taken.seconds,
            seconds_exchange=taken.seconds_exchange,
            seconds_evaluation=evaluating,
            seconds_total=trained.seconds,
            bytes_down=taken.bytes_down,
            bytes_up=taken.bytes_up,
        )
