"""What workers hand each other between rounds: `moments` and `exchange` of the `train` section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sparknet.compiler.scope import Scope
from sparknet.compiler.sources import Setting
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic

if TYPE_CHECKING:
    from sparknet.compiler.sections import TrainSection


class AverageMoments(Setting):
    """The optimizer's state is averaged like the weights: in the first round and every `every`-th one after it.

    In the rounds between, every worker starts from the last average and sends none of its own back.
    """

    name: ClassVar[str] = "average"
    every: int = Field(1, ge=1, le=1_000_000)


class ResetMoments(Setting):
    """Every worker starts every round with an optimizer that has seen nothing."""

    name: ClassVar[str] = "reset"


Moments = AverageMoments | ResetMoments
MOMENTS: dict[str, type[Moments]] = {moments.name: moments for moments in (AverageMoments, ResetMoments)}

Precision = Literal["float32", "float16", "int8"]
"""The numbers in which what a worker changed in a round travels."""


def check_exchange(train: TrainSection, entries: Mapping[str, syntax.Entry], scope: Scope) -> Iterator[Diagnostic]:
    """What is written about rounds of local steps where there are none, or about moments that no optimizer keeps."""
    if train.sync.name == "step":
        for key, why in (
            ("moments", "one optimizer steps for all workers"),
            ("exchange", "workers send whole gradients"),
        ):
            if key in entries:
                message = f"`{key}` is about rounds of steps that each worker takes alone: with `sync = step` {why}"
                help = "remove this line, or write `sync = average(every: 50)`"
                yield from scope.error("E0502", message, entries[key].key, help).diagnostics
    elif "moments" in entries and not train.optimizer.state(1):
        message = f"`{train.optimizer.name}` keeps no moments"
        help = f"remove this line, or give it some: `optimizer = {train.optimizer.name}(momentum: 0.9)`"
        yield from scope.error("E0502", message, entries["moments"].key, help).diagnostics
