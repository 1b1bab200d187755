"""The file of onnxruntime-training's `CheckpointState`, through which alone an optimizer's state goes in and out."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sparknet.compiler.layout import Slot
from sparknet.runtime.engines.base import Floats

MOMENTS = {"gradients": "momentum0", "squares": "momentum1"}
"""What the package calls the parts of Adam's state. They are means there, sums in the step graph: a state of one engine
means nothing to the other."""

_STEP_FIELD = 6
"""Where the table of an `OptimizerGroup` says where its step lies (schema of the package's version 1.19)."""


class CheckpointFile:
    """A checkpoint with an optimizer's state, made after at least one step: one made before has no place for it.

    The numbers are read and written where they lie in the file, a flatbuffer; all else in it stays.
    """

    def __init__(self, data: bytes, schema: Any) -> None:
        """`schema` is the package's class for such a file. Raises ValueError where the numbers lie outside the file."""
        self.data = bytearray(data)
        checkpoint = schema.GetRootAs(self.data)
        module, self._group = checkpoint.ModuleState(), checkpoint.OptimizerGroups(0)
        self._tensors = {
            **_named(module.RequiresGradParams, module.RequiresGradParamsLength()),
            **_named(module.FrozenParams, module.FrozenParamsLength()),
        }
        self._moments = {
            state.ParamName().decode(): _named(state.Momentums, state.MomentumsLength())
            for state in _each(self._group.OptimizerStates, self._group.OptimizerStatesLength())
        }

    def write(self, parameters: Floats, optimizer_state: Floats, slots: Sequence[Slot], parts: Sequence[Slot]) -> None:
        """Put in flat vectors, of which `slots` and `parts` say what lies where."""
        for slot in slots:
            self._tensors[slot.name][:] = _piece(parameters, slot)
        for part in parts:
            piece = _piece(optimizer_state, part)
            if part.name == "step":
                place = self._group._tab.Pos + self._group._tab.Offset(_STEP_FIELD)
                struct.pack_into("<q", self.data, place, round(float(piece[0])))
                continue
            for slot in _trained(slots):
                self._moments[slot.name][MOMENTS[part.name]][:] = _piece(piece, slot)

    def read(self, slots: Sequence[Slot], parts: Sequence[Slot]) -> tuple[Floats, Floats]:
        """Parameters and optimizer state as flat vectors."""
        parameters = np.zeros(sum(slot.size for slot in slots), np.float32)
        optimizer_state = np.zeros(sum(part.size for part in parts), np.float32)
        for slot in slots:
            _piece(parameters, slot)[:] = self._tensors[slot.name]
        for part in parts:
            piece = _piece(optimizer_state, part)
            if part.name == "step":
                piece[:] = self._group.Step()
                continue
            for slot in _trained(slots):
                _piece(piece, slot)[:] = self._moments[slot.name][MOMENTS[part.name]]
        return parameters, optimizer_state


def _trained(slots: Sequence[Slot]) -> list[Slot]:
    """The slots that the optimizer has moments of; their places are the same in the vectors of moments."""
    return [slot for slot in slots if slot.kind == "trained"]


def _piece(flat: Floats, slot: Slot) -> Floats:
    return flat[slot.offset : slot.offset + slot.size]


def _each(get: Any, length: int) -> Iterator[Any]:
    return map(get, range(length))


def _named(get: Any, length: int) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for tensor in _each(get, length):
        if tensor.RawDataIsNone():  # the package keeps what a flatbuffer cannot hold, 2 GiB, beside it
            raise ValueError("a checkpoint of more than 2 GiB")
        found[tensor.Name().decode()] = tensor.RawDataAsNumpy().view(np.float32)
    return found
