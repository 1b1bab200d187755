"""What the workers of a run do in a round, and what is made of their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

import numpy as np

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.exchange import ResetMoments
from sparknet.compiler.sections import OuterSync
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.backend import Backend
from sparknet.runtime.encoding.encode import Layout
from sparknet.runtime.engines.base import Floats, Graph, Sums
from sparknet.runtime.problems import problem
from sparknet.runtime.training.exchange import Exchange
from sparknet.runtime.training.records import Exchanging, Progress, Stepped
from sparknet.runtime.training.rounds import Evaluation, Plan, RoundResult, RoundTask, Scoring, Shard
from sparknet.runtime.training.standing import Standing, Weights

DIVERGED = ("lower `lr` of the optimizer", "scale the inputs, for example `column(...) / 255`")


@dataclass(frozen=True)
class Taken:
    """A round that was taken: `sums` in the order of steps and workers."""

    weights: Weights
    momentum: Floats
    sums: list[Sums]
    seconds: float
    """Those of the slowest worker."""
    seconds_exchange: float
    """Those in which one set of weights was made of the workers'."""
    bytes_down: int
    """What all workers together were handed."""
    bytes_up: int
    """What all workers together sent back."""


@dataclass(frozen=True)
class Along:
    """An evaluation of the weights that a round starts from, in the round's own job."""

    scoring: Scoring
    settle: Callable[[Sequence[Evaluation]], bool]
    """Told what came of it before the round is looked at; whether the run goes on with that."""


@dataclass(frozen=True)
class Workers:
    """The workers of a run."""

    net: CompiledNet
    backend: Backend
    layout: Layout
    shards: Sequence[Shard]
    step: Graph
    """What the engine takes whole steps with."""
    progress: Progress

    def together(self, plan: Plan) -> bool:
        """Whether the workers take every step of a round together, each of which is a job."""
        return plan.synchronous and len(self.shards) > 1

    def take(self, plan: Plan, standing: Standing, along: Along | None = None) -> Taken | None:
        """A round, or None where the run ends with what came `along`, which it can where no steps are taken together.

        Raises SparkNetError where a worker does not answer or its numbers are not finite.
        """
        if self.together(plan):
            return self._together(plan, standing)
        start, sync, momentum = standing.weights, self.net.train.sync, standing.momentum
        task = self._task(replace(plan, synchronous=False), start)
        found = self.backend.train(replace(task, scoring=None if along is None else along.scoring), self.shards)
        if along is not None and not along.settle(found.evaluations):
            return None
        self._check_answers(plan, found)
        began, parameters = perf_counter(), found.parameters
        if isinstance(sync, OuterSync):
            parameters, momentum = outer_step(sync, start.parameters, parameters, momentum)
        state = found.optimizer_state if task.exchange.state else start.optimizer_state
        weights = Weights(parameters, state)
        _check_finite(weights, plan, "the average of the workers", plan.position + plan.steps - 1)
        return Taken(
            weights, momentum, *_seen(found), found.seconds + perf_counter() - began, *task.traffic(self.shards)
        )

    def exchanging(self, plan: Plan, standing: Standing) -> Exchanging | None:
        """How what the workers send comes to the driver; None where nothing travels."""
        task = self._task(plan, standing.weights)
        if plan.synchronous:
            task = replace(task, exchange=Exchange(state=False))
        slices = self.backend.slices(task, self.shards)
        return None if slices is None or len(self.shards) == 1 else Exchanging(slices, task.traffic(self.shards)[1])

    def _task(self, plan: Plan, start: Weights) -> RoundTask:
        """A round of local steps; one worker alone has nothing to exchange, so it keeps all that it has."""
        train, net = self.net.train, self.net
        task = RoundTask(self.step, self.layout, plan, start.parameters, start.optimizer_state)
        if len(self.shards) == 1:
            return task
        exchange = Exchange(
            precision=train.exchange,
            trained=net.trained_count,
            state=not isinstance(train.moments, ResetMoments) and plan.round % train.moments.every == 0,
            scalars=tuple(slot.offset for slot in net.optimizer_state if slot.size == 1),
        )
        if isinstance(train.moments, ResetMoments):
            nothing = np.zeros(0, np.float32)
            return replace(task, exchange=exchange, optimizer_state=nothing, fresh_state=net.optimizer_state_size)
        return replace(task, exchange=exchange)

    def _together(self, plan: Plan, standing: Standing) -> Taken:
        """Step by step: the mean of the workers' gradients, then the optimizer, here."""
        weights, seconds, exchange, down, up = standing.weights, 0.0, 0.0, 0, 0
        sums: list[Sums] = []
        for position in range(plan.position, plan.position + plan.steps):
            step = replace(plan, position=position, steps=1)
            task = RoundTask(self._gradient, self.layout, step, weights.parameters, np.zeros(0, np.float32))
            found = self.backend.train(task, self.shards)
            self._check_answers(step, found)
            began = perf_counter()
            weights = self._updated(weights, found.parameters, plan.rates.at(position))
            _check_finite(weights, plan, f"step {position + 1}", position)
            exchange += found.seconds + perf_counter() - began
            seen, longest = _seen(found)
            sums += seen
            seconds += longest
            self.progress(Stepped(len(found.reports)))
            moved = task.traffic(self.shards)
            down, up = down + moved[0], up + moved[1]
        return Taken(weights, standing.momentum, sums, seconds, exchange, down, up)

    def _updated(self, weights: Weights, mean: Floats, rate: float) -> Weights:
        """The weights after a step with a mean gradient, behind which the untrained parameters lie."""
        trained = self.net.trained_count
        feeds = {
            "trained": weights.parameters[:trained],
            "gradient": mean[:trained],
            "optimizer_state": weights.optimizer_state,
            "learning_rate": np.asarray(rate, np.float32),
        }
        found = self.backend.engine.infer(self._update, feeds)
        return Weights(np.concatenate([found["new_trained"], mean[trained:]]), found["new_optimizer_state"])

    def _check_answers(self, plan: Plan, found: RoundResult) -> None:
        """Raise SparkNetError where a worker is missing or broken."""
        missing = {shard.worker for shard in self.shards} - {report.worker for report in found.reports}
        if missing:
            count = len(self.shards)
            raise problem("R0031", f"round {plan.round + 1}: no answer from worker {min(missing) + 1} of {count}")
        for report in found.reports:
            if report.broken is not None:
                where = f"worker {report.worker + 1}, step {report.broken + 1}"
                raise _diverged("the loss is", plan, where, report.broken)

    # ----- graphs -----

    @cached_property
    def _gradient(self) -> Graph:
        return Graph.of("gradient", self.net.gradient(), self.net.statistics_size)

    @cached_property
    def _update(self) -> Graph:
        model = self.net.update().SerializeToString(deterministic=True)
        return Graph("update", model, self.net.statistics_size)


def _check_finite(weights: Weights, plan: Plan, where: str, step: int) -> None:
    """Raise SparkNetError for weights that are no numbers any more; the workers have checked what they gave."""
    if not (np.isfinite(weights.parameters).all() and np.isfinite(weights.optimizer_state).all()):
        raise _diverged("the weights are", plan, where, step)


def _diverged(what: str, plan: Plan, where: str, step: int) -> SparkNetError:
    notes = [f"the learning rate is {plan.rates.at(step):g}"]
    return problem("R0030", f"{what} not finite: round {plan.round + 1}, {where}", notes=notes, helps=DIVERGED)


def outer_step(sync: OuterSync, start: Floats, mean: Floats, momentum: Floats) -> tuple[Floats, Floats]:
    """Nesterov momentum on what a round changed, as PyTorch's SGD computes it, in float64 (DiLoCo, algorithm 1).

    Args:
        sync: Learning rate and momentum.
        start: The parameters that the round started from, float32[P].
        mean: Those of the workers after it, averaged; behind the trained ones they stay as they are.
        momentum: float32[trained], zeros before the first round.

    Returns:
        New parameters and momentum.
    """
    trained = len(momentum)
    change = start[:trained].astype(np.float64) - mean[:trained]
    new = sync.momentum * momentum + change
    stepped = start[:trained] - sync.lr * (sync.momentum * new + change)
    with np.errstate(over="ignore"):  # what does not fit into a float32 becomes infinite, which `take` looks for
        return np.concatenate([stepped.astype(np.float32), mean[trained:]]), new.astype(np.float32)


def _seen(found: RoundResult) -> tuple[list[Sums], float]:
    return [report.sums for report in found.reports], max(report.seconds for report in found.reports)
