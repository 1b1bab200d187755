"""Keys of the `train` section that may change in the course of a run: one value, or a list of phases.

A phase says how long it lasts, in steps or in epochs; the last one may leave that to the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Unit = Literal["steps", "epochs"]

_NEARLY = 1 - 1e-9
"""Parts of epochs, such as 0.1 and 0.2, do not sum to the last digit."""


class Phase(BaseModel):
    """Base of what may be one of several phases. An epoch need not be whole: half of one is `epochs: 0.5`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str]
    keyword_only: ClassVar[frozenset[str]] = frozenset({"steps", "epochs"})
    lasts: ClassVar[bool] = True
    """Whether `steps` and `epochs` say how long the phase lasts; else they are an interval in it."""
    timed: ClassVar[bool] = False
    """Whether one of them must be given."""

    steps: int | None = Field(None, ge=1, le=10**12)
    epochs: float | None = Field(None, gt=0, le=1_000_000)

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("takes `steps` or `epochs`, not both")
        if self.timed and self.unit is None:
            raise ValueError("needs `steps` or `epochs`")
        return self

    @property
    def unit(self) -> Unit | None:
        """The unit it is given in, if it is."""
        return "steps" if self.steps is not None else None if self.epochs is None else "epochs"

    def in_steps(self, epoch_steps: int) -> int | None:
        """What it is given as, in steps of at least one."""
        if self.epochs is not None:
            return max(1, round(self.epochs * epoch_steps))
        return self.steps


@dataclass(frozen=True)
class Misfit:
    """A phase, by its position, that the run has no room for, and why."""

    phase: int
    why: str


def unended(phases: Sequence[Phase]) -> Misfit | None:
    """The first phase before another that does not say how long it lasts."""
    for position, (phase, after) in enumerate(pairwise(phases)):
        if not phase.lasts or phase.unit is None:
            return Misfit(position, f"`{phase.name}` does not say when `{after.name}` begins")
    return None


def misfit(phases: Sequence[Phase], given: Sequence[float | None], run: float, unit: Unit) -> Misfit | None:
    """The first phase that does not fit into a run; `given` is what each says of itself, in the unit of the run."""
    begin = 0.0
    for position, (phase, length) in enumerate(zip(phases, given, strict=True)):
        has = f"the run has {run:g} {unit if run != 1 else unit[:-1]}"
        if begin >= run * _NEARLY:
            return Misfit(position, f"`{phase.name}` begins after {begin:g} {unit}, but {has}")
        if length is not None and phase.lasts:
            if begin + length > run / _NEARLY:
                return Misfit(position, f"`{phase.name}` ends after {begin + length:g} {unit}, but {has}")
            begin += length
        elif length is not None and begin + length >= run:
            return Misfit(position, f"`{phase.name}` changes nothing before {begin + length:g} {unit}, but {has}")
    return None
