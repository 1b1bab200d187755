"""The rounds of a run, one after the other: train, score, judge, keep.

Where rounds are short, the job of each also scores the weights that it starts from, those of the round before: one job
in the place of two. What comes of a run does not depend on that, only when it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from time import perf_counter

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.sections import SplitName
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.problems import LATE
from sparknet.runtime.training.checkpoints import Checkpoints
from sparknet.runtime.training.course import Course
from sparknet.runtime.training.records import Callback, Progress, RoundRecord, Score
from sparknet.runtime.training.rounds import Evaluation, Plan
from sparknet.runtime.training.scores import Scorer, score_of
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
        sequence = _Sequence(self, standing)
        plans = self.course.plans[len(standing.history) :]
        if not sequence.is_over():
            for plan, following in zip_longest(plans, plans[1:]):
                if not sequence.take(plan, following):
                    break
        return sequence.standing


@dataclass
class _Sequence:
    rounds: Rounds
    standing: Standing
    """Behind the last round that has been scored."""
    waiting: Trained | None = None
    """The round behind that, to be scored along with the next one."""
    aside: float = 0.0
    """Seconds of checkpoints, trackers and the callback, which are not the round's."""

    def is_over(self) -> bool:
        """Whether the run ends early here."""
        return is_over(self.standing.history, self.rounds.net.judge, self.rounds.net.train.early_stop)

    def take(self, plan: Plan, following: Plan | None) -> bool:
        """A round, scored if it does not wait for the `following` one; whether the run goes on."""
        began, self.aside = perf_counter(), 0.0
        if self.waiting is None or self.rounds.split is None:
            taken = self.rounds.workers.take(plan, self.standing)
        else:
            taken = self._take_along(plan, self.waiting, self.rounds.split)
        if taken is None:
            return False
        trained = Trained(plan, taken, perf_counter() - began - self.aside)
        if self._may_wait(trained, following):
            self.waiting = trained
            return True
        return self._score(trained)

    def _take_along(self, plan: Plan, waiting: Trained, split: SplitName) -> Taken | None:
        """A round whose job scores the one before; None where the run ends with that."""
        scorer, start = self.rounds.scorer, waiting.taken

        def settle(found: Sequence[Evaluation]) -> bool:
            return self._settle(waiting, *scorer.score(split, found, waiting.plan.round + 1))

        try:
            weights = replace(self.standing, weights=start.weights, momentum=start.momentum)
            return self.rounds.workers.take(plan, weights, Along(scorer.scoring(split), settle))
        except SparkNetError as error:
            if self.waiting is None or error.diagnostics[0].code == LATE:  # another job would be waited for as long
                raise
            if self._counts(waiting, error):  # the run may end with the round before, whatever became of this one
                raise
            return None

    def _counts(self, waiting: Trained, error: SparkNetError) -> bool:
        """Score the round before one that failed; whether the run would go on."""
        try:
            return self._score(waiting)
        except SparkNetError:
            raise error from None

    def _may_wait(self, trained: Trained, following: Plan | None) -> bool:
        together = self.rounds.workers.together
        if self.rounds.split is None or following is None or together(trained.plan) or together(following):
            return False
        return trained.seconds < LONG * self.rounds.workers.backend.job_overhead_seconds

    def _score(self, trained: Trained) -> bool:
        """Score a round in a job of its own; whether the run goes on."""
        if self.rounds.split is None:
            return self._settle(trained, None, 0.0)
        began, parameters = perf_counter(), trained.taken.weights.parameters
        score, evaluating = self.rounds.scorer.evaluate(self.rounds.split, parameters, trained.plan.round + 1)
        return self._settle(replace(trained, seconds=trained.seconds + perf_counter() - began), score, evaluating)

    def _settle(self, trained: Trained, score: Score | None, evaluating: float) -> bool:
        """Make a round part of the run, with its score; whether the run goes on."""
        self.waiting, began = None, perf_counter()
        record = self._record(trained, score, evaluating)
        weights, history = trained.taken.weights, (*self.standing.history, record)
        self.standing = replace(self.standing, weights=weights, momentum=trained.taken.momentum, history=history)
        if is_best(history, self.rounds.net.judge):
            self.standing = replace(self.standing, kept=weights, kept_round=record.round)
        if self.rounds.checkpoints is not None:
            self.rounds.checkpoints.after(self.standing, self.rounds.seconds())
        self.rounds.progress(record)
        stops = self.rounds.callback is not None and asks_to_stop(self.rounds.callback, record)
        self.aside += perf_counter() - began
        return not stops and not self.is_over()

    def _record(self, trained: Trained, score: Score | None, evaluating: float) -> RoundRecord:
        plan, taken = trained.plan, trained.taken
        return RoundRecord(
            round=plan.round + 1,
            epoch=self.rounds.course.epoch(plan),
            steps=plan.position + plan.steps,
            learning_rate=plan.rates.at(plan.position + plan.steps - 1),
            train=score_of(self.rounds.net, "train", taken.sums),
            score=score,
            seconds_compute=taken.seconds,
            seconds_exchange=taken.seconds_exchange,
            seconds_evaluation=evaluating,
            seconds_total=trained.seconds,
            bytes_down=taken.bytes_down,
            bytes_up=taken.bytes_up,
        )
