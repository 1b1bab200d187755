"""`manifest.json` of a run folder: what the other files are, and what is needed to use them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from platform import python_version
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from sparknet.compiler.compiled import CompiledNet, Port, PortKind
from sparknet.compiler.layout import Slot
from sparknet.compiler.types import DType, TensorType
from sparknet.runtime.profile import BoundPort
from sparknet.runtime.trainer import TrainedNet, bound_ports

FORMAT: Final = 1

Name = Annotated[str, Field(max_length=1000)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Shape = Annotated[tuple[Count, ...], Field(max_length=16)]


class Entry(BaseModel):
    """Base of all parts: frozen, strict, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="constants")


class SavedFile(Entry):
    """Size and digest of a file of the folder."""

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SavedPort(Entry):
    """An input or output of the net and the column that it was bound to."""

    name: Name
    kind: PortKind
    dtype: DType
    shape: Shape
    classes: Count | None
    column: Name

    def bound(self) -> BoundPort:
        """As the runtime uses it."""
        return BoundPort(Port(self.name, self.kind, TensorType(self.dtype, self.shape), self.classes), self.column)


class SavedSlot(Entry):
    """A named tensor of a flat vector."""

    name: Name
    shape: Shape
    offset: Count
    size: Count


class SavedScore(Entry):
    """The last evaluation on a split."""

    rows: Count
    loss: float
    metrics: dict[Name, float]


class Manifest(Entry):
    """The whole manifest. `versions` says what made the folder; `format` decides whether it can be read."""

    format: Literal[1]
    net: Name
    versions: dict[Name, Name]
    seed: Count
    workers: Count
    rows: dict[Name, Count]
    rounds: Count
    seconds: float
    scores: dict[Name, SavedScore]
    inputs: tuple[SavedPort, ...]
    targets: tuple[SavedPort, ...]
    metrics: tuple[Name, ...]
    parameters: tuple[SavedSlot, ...]
    optimizer_state: tuple[SavedSlot, ...]
    files: dict[Name, SavedFile]


def describe(net: CompiledNet, trained: TrainedNet, files: dict[str, SavedFile]) -> Manifest:
    """The manifest of a finished run."""
    ports = tuple(_saved_port(bound) for bound in bound_ports(net))
    scores = {s.split: SavedScore(rows=s.rows, loss=s.loss, metrics=s.metrics) for s in trained.scores.values()}
    return Manifest(
        format=FORMAT,
        net=net.name,
        versions=versions(),
        seed=net.train.seed,
        workers=trained.workers,
        rows=trained.rows,
        rounds=len(trained.history),
        seconds=trained.seconds,
        scores=scores,
        inputs=ports[: len(net.inputs)],
        targets=ports[len(net.inputs) :],
        metrics=net.metrics,
        parameters=_saved_slots(net.parameters),
        optimizer_state=_saved_slots(net.optimizer_state),
        files=files,
    )


def versions() -> dict[str, str]:
    """Versions of what a run's numbers depend on."""
    found = {"python": python_version()}
    for package in ("sparknet", "numpy", "onnx", "onnxruntime", "pyspark"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a source tree, or `--local` without pyspark
            found[package] = "not installed"
    return found


def _saved_port(bound: BoundPort) -> SavedPort:
    port = bound.port
    return SavedPort(
        name=port.name,
        kind=port.kind,
        dtype=port.type.dtype,
        shape=port.type.shape,
        classes=port.classes,
        column=bound.column,
    )


def _saved_slots(slots: Sequence[Slot]) -> tuple[SavedSlot, ...]:
    return tuple(SavedSlot(name=s.name, shape=s.shape, offset=s.offset, size=s.size) for s in slots)
