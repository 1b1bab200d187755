"""Learning-rate schedules: the rate of a step as a pure function of how many steps came before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Annotated, ClassVar

from pydantic import Field

from sparknet.compiler.phases import Phase


class Cosine(Phase):
    """From the optimizer's `lr` along half a cosine to the rate `to` (Loshchilov & Hutter, 2017)."""

    name: ClassVar[str] = "cosine"

    to: Annotated[float, Field(ge=0)] = 0.0

    def rate(self, lr: float, step: int, length: int) -> float:
        """The rate at a step of a phase of `length` steps, or of this interval."""
        return self.to + (lr - self.to) * (1 + cos(pi * step / length)) / 2


class Step(Phase):
    """The rate times `factor`, again and again after so many steps or epochs."""

    name: ClassVar[str] = "step"
    lasts: ClassVar[bool] = False
    timed: ClassVar[bool] = True

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def rate(self, lr: float, step: int, length: int) -> float:
        """As `Cosine.rate`."""
        return lr * float(self.factor) ** (step // length)


class Warmup(Phase):
    """Up to the optimizer's `lr` in equal steps, which is reached behind the last one."""

    name: ClassVar[str] = "warmup"
    timed: ClassVar[bool] = True

    def rate(self, lr: float, step: int, length: int) -> float:
        """As `Cosine.rate`."""
        return lr * (step + 1) / (length + 1)


Schedule = Cosine | Step | Warmup
SCHEDULES: dict[str, type[Schedule]] = {s.name: s for s in (Cosine, Step, Warmup)}


@dataclass(frozen=True)
class Rates:
    """The learning rate of every step of a run; without a schedule it is always `lr`."""

    lr: float
    phases: tuple[tuple[int, int, Schedule], ...] = ()
    """The step with which each phase begins, its length or interval in steps, and what it does."""

    def at(self, step: int) -> float:
        """The rate of a step, counted from 0 over the whole run."""
        begun = [phase for phase in self.phases if phase[0] <= step]
        if not begun:
            return self.lr
        begin, length, schedule = begun[-1]
        passed = step - begin
        return schedule.rate(self.lr, min(passed, length) if schedule.lasts else passed, length)


def plan_rates(lr: float, schedule: Sequence[Schedule], epoch_steps: int, steps: int) -> Rates:
    """The rates of a run of `steps` steps in all, into which the schedule fits."""
    phases, begin = [], 0
    for each in schedule:
        length = each.in_steps(epoch_steps) or steps - begin
        phases.append((begin, length, each))
        begin += length
    return Rates(lr, tuple(phases))
