"""Where a run stands between two rounds."""

from __future__ import annotations

from dataclasses import dataclass, field

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.sections import OuterSync
from sparknet.runtime.engines.base import Floats
from sparknet.runtime.training.records import RoundRecord


@dataclass(frozen=True)
class Weights:
    """What a round starts from and ends with, flat: float32[P] and float32[S]."""

    parameters: Floats = field(repr=False)
    optimizer_state: Floats = field(repr=False)


@dataclass(frozen=True)
class Standing:
    """All that the rest of a run depends on, and what has been seen of it."""

    weights: Weights
    kept: Weights
    """Those that the run would leave if it ended here."""
    momentum: Floats = field(repr=False)
    """That of the averages, of length `momentum_size`."""
    kept_round: int = 0
    """The round that `kept` are from, counted from 1."""
    history: tuple[RoundRecord, ...] = ()


def momentum_size(net: CompiledNet) -> int:
    """How many numbers the momentum of the averages of a net's workers has."""
    return net.trained_count if isinstance(net.train.sync, OuterSync) else 0
