"""The course of a run: its rounds and its learning rates, known before the first of them begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sparknet.compiler.phases import Phase, misfit
from sparknet.compiler.schedules import plan_rates
from sparknet.compiler.sections import AverageSync, StepSync, Sync, TrainSection
from sparknet.grammar import Source, syntax
from sparknet.grammar.diagnostics import Label
from sparknet.grammar.parse import parse
from sparknet.runtime.problems import problem
from sparknet.runtime.training.augment import Augmented
from sparknet.runtime.training.rounds import Plan


@dataclass(frozen=True)
class Course:
    """All rounds of a run; every worker takes `epoch_steps` steps an epoch."""

    plans: tuple[Plan, ...]
    epoch_steps: int

    @property
    def steps(self) -> int:
        """Steps of every worker in all."""
        return self.plans[-1].position + self.plans[-1].steps

    def epoch(self, plan: Plan) -> int:
        """The epoch of a round, counted from 1."""
        return plan.position // self.epoch_steps + 1


def plan_course(
    train: TrainSection,
    rows: int,
    workers: int,
    source: Source | None = None,
    augmented: tuple[Augmented, ...] = (),
) -> Course:
    """The rounds: each epoch's steps cut into the fewest equal stretches of at most `sync.every` steps.

    The last epoch of a run whose length is given in steps ends early, and so does the round in which workers cease to
    take every step together.

    Raises SparkNetError where a phase does not fit into the run, at its place in `source`, the text of the net.
    """
    epoch_steps = -(-rows // (workers * train.step_rows))
    total = train.epochs * epoch_steps if train.steps is None else train.steps
    _check_room("schedule", train.schedule, epoch_steps, total, source)
    rates = plan_rates(train.optimizer.lr, train.schedule, epoch_steps, total)
    together = _steps_together(train.sync, total, source)
    rounds = -(-epoch_steps // train.sync.every)
    edges = [epoch_steps * edge // rounds for edge in range(rounds + 1)]
    plans: list[Plan] = []
    for first in range(0, total, epoch_steps):
        stops = {min(first + edge, total) for edge in edges}
        if first < together < max(stops):
            stops.add(together)
        for start, stop in pairwise(sorted(stops)):
            common = start < together
            plans.append(Plan(len(plans), start, stop - start, train.step_rows, train.seed, rates, common, augmented))
    return Course(tuple(plans), epoch_steps)


def _steps_together(sync: Sync, total: int, source: Source | None) -> int:
    """How many steps of the run, its first ones, all workers take together."""
    if isinstance(sync, StepSync):
        return total
    after = sync.after if isinstance(sync, AverageSync) else 0
    if after >= total > 0:
        raise problem(
            "R0024",
            f"`sync` does not fit: `average` begins after {after:,} steps, but the run has {total:,} steps",
            label=_place("sync", source),
            helps=["lower `after`, or write `sync = step`"],
        )
    return after


def _check_room(key: str, phases: Sequence[Phase], epoch_steps: int, total: int, source: Source | None) -> None:
    found = misfit(phases, [phase.in_steps(epoch_steps) for phase in phases], total, "steps")
    if found is not None:
        raise problem(
            "R0024",
            f"`{key}` does not fit: {found.why}",
            label=_place(key, source),
            notes=[f"every worker takes {epoch_steps:,} steps an epoch"],
            helps=["shorten its phases, or give the run more `epochs` or `steps`"],
        )


def _place(key: str, source: Source | None) -> Label | None:
    """Where the value of a key of the `train` section stands."""
    if source is None:
        return None
    sections = (item for item in parse(source).items if isinstance(item, syntax.Section) and item.name.text == "train")
    entries = (entry for section in sections for entry in section.entries if entry.key.text == key)
    return next((Label(source, entry.value.span) for entry in entries), None)
