"""Where each tensor lies in the flat vectors of parameters and optimizer state."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from sparknet.compiler.net import TypedNet


@dataclass(frozen=True)
class Slot:
    """The place of one named tensor in a flat float32 vector: elements `offset` to `offset + size`."""

    name: str
    shape: tuple[int, ...]
    offset: int
    size: int


def parameter_slots(typed: TypedNet) -> tuple[Slot, ...]:
    """The parameters, layer by layer in the order of the net: `conv1.weight`, `conv1.bias`, ..."""
    specs = [(f"{layer}.{p.name}", p) for layer, ps in typed.parameters.items() for p in ps]
    offsets = accumulate((p.size for _, p in specs), initial=0)
    return tuple(Slot(name, p.shape, offset, p.size) for (name, p), offset in zip(specs, offsets, strict=False))


def state_slots(typed: TypedNet) -> tuple[Slot, ...]:
    """The parts of the optimizer's state, as the optimizer of the `train` section names them."""
    total = sum(s.size for s in parameter_slots(typed))
    parts = typed.net.train.optimizer.state(total)
    offsets = accumulate((size for _, size in parts), initial=0)
    return tuple(Slot(name, (size,), offset, size) for (name, size), offset in zip(parts, offsets, strict=False))
