"""Where each tensor lies in the flat vectors of parameters and optimizer state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from sparknet.compiler.layers import ParameterSpec
from sparknet.compiler.net import TypedNet

SlotKind = Literal["trained", "frozen", "buffer", "state"]
"""As `ParameterKind`; `state` is the optimizer's."""


@dataclass(frozen=True)
class Slot:
    """The place of one named tensor in a flat float32 vector: elements `offset` to `offset + size`."""

    name: str
    shape: tuple[int, ...]
    offset: int
    size: int
    kind: SlotKind


def named_specs(typed: TypedNet) -> tuple[tuple[str, ParameterSpec], ...]:
    """Every tensor that the net keeps, by its full name, in the order of the flat vector.

    The trained ones come first, layer by layer in the order of the net: `conv1.weight`, `conv1.bias`, ...; then, in
    that order again, those that the optimizer leaves alone. So the optimizer works on a prefix of the vector.
    """
    specs = [(f"{layer}.{p.name}", p) for layer, ps in typed.parameters.items() for p in ps]
    return tuple(sorted(specs, key=lambda named: named[1].kind != "trained"))


def parameter_slots(typed: TypedNet) -> tuple[Slot, ...]:
    """The places of `named_specs` in the flat parameter vector."""
    specs = named_specs(typed)
    offsets = accumulate((p.size for _, p in specs), initial=0)
    return tuple(Slot(name, p.shape, offset, p.size, p.kind) for (name, p), offset in zip(specs, offsets, strict=False))


def trained_size(slots: Sequence[Slot]) -> int:
    """Length of the prefix that the optimizer trains."""
    return sum(s.size for s in slots if s.kind == "trained")


def state_slots(typed: TypedNet) -> tuple[Slot, ...]:
    """The parts of the optimizer's state, as the optimizer of the `train` section names them."""
    parts = typed.net.train.optimizer.state(trained_size(parameter_slots(typed)))
    offsets = accumulate((size for _, size in parts), initial=0)
    return tuple(
        Slot(name, (size,), offset, size, "state") for (name, size), offset in zip(parts, offsets, strict=False)
    )
