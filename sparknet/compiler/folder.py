"""Folders of compiled nets: written whole or not at all, readable without this project, free of pickle."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.numpy import save as save_tensors

from sparknet.compiler.compiled import CompiledNet, Port, PortKind, Prediction
from sparknet.compiler.layout import Slot, SlotKind
from sparknet.compiler.ports import LENGTHS
from sparknet.compiler.types import DType
from sparknet.grammar.diagnostics import Diagnostic, SparkNetError

FORMAT: Literal[1] = 1
MANIFEST, NET = "manifest.json", "net.net"
INFERENCE, STEP, EVALUATION = "inference.onnx", "step.onnx", "evaluation.onnx"
PARAMETERS = "parameters.safetensors"
MODEL = re.compile(r"model_[0-9a-f]{16}\.onnx")
"""What copies of foreign models are called, by their digests."""

Text = Annotated[str, Field(max_length=1000)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Shape = Annotated[tuple[Count, ...], Field(max_length=16)]
Columns = Annotated[tuple[Text, ...], Field(max_length=1_000_000)]


class Entry(BaseModel):
    """Base of all parts of a manifest: frozen, strict, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="constants")


class SavedFile(Entry):
    """Size and digest of a file of the folder."""

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SavedPort(Entry):
    """An input or output of the net, batch first in the graphs, and the columns that it is bound to, if any."""

    name: Text
    kind: PortKind
    dtype: DType
    shape: Shape
    classes: Count | None
    columns: Columns


class SavedPrediction(Entry):
    """An output of the inference graph, batch first."""

    name: Text
    dtype: DType
    shape: Shape


class SavedStatistic(Entry):
    """An output of the step and evaluation graphs behind the loss: a mean over the rows of a batch."""

    name: Text
    dtype: Literal["float32", "float64"]
    shape: Shape


class SavedSlot(Entry):
    """A named tensor of a flat float32 vector: elements `offset` to `offset + size`."""

    name: Text
    shape: Shape
    offset: Count
    size: Count
    kind: SlotKind


class NetManifest(Entry):
    """What the graphs of a folder take and give. `format` decides whether the folder can be read."""

    format: Literal[1] = FORMAT
    net: Text
    seed: Count
    learning_rate: float
    inputs: tuple[SavedPort, ...]
    targets: tuple[SavedPort, ...]
    predictions: tuple[SavedPrediction, ...]
    metrics: tuple[Text, ...]
    statistics: tuple[SavedStatistic, ...]
    parameters: tuple[SavedSlot, ...]
    optimizer_state: tuple[SavedSlot, ...]
    files: dict[Text, SavedFile]

    @model_validator(mode="after")
    def _measured(self) -> Self:
        """Lengths are those of another input."""
        measurable: set[str] = set()
        for port in self.inputs:
            if port.kind == "length" and port.name not in measurable:
                raise ValueError("lengths of an input that is not there")
            if port.kind != "length" and port.shape and all(port.shape):
                measurable.add(f"{port.name}{LENGTHS}")
        return self


def write_compiled(net: CompiledNet, folder: Path) -> dict[str, int]:
    """Write a net as compiled, with fresh parameters; gives the size of each file. Raises SparkNetError.

    The folder holds the source, the foreign models that it names, the three graphs, `parameters.safetensors` and
    `manifest.json`.
    """
    contents = net_contents(net, net.initial_parameters())
    columns = {b.port: b.columns for b in net.data.bindings} if net.data else {}
    columns |= {i.type.lengths: columns[i.name] for i in net.inputs if i.type.lengths and i.name in columns}
    manifest = NetManifest.model_validate({**describe_net(net, columns), "files": digests(contents)})
    contents[MANIFEST] = manifest_bytes(manifest)
    write_folder(folder, contents)
    return {name: len(data) for name, data in contents.items()}


def net_contents(net: CompiledNet, parameters: NDArray[np.float32]) -> dict[str, bytes]:
    """The files that say what a net is and computes, with `parameters` float32[P] in the inference graph."""
    return {
        NET: net.source.text.encode(),
        INFERENCE: net.inference(parameters).SerializeToString(deterministic=True),
        STEP: net.step.SerializeToString(deterministic=True),
        EVALUATION: net.evaluation.SerializeToString(deterministic=True),
        PARAMETERS: tensor_bytes(parameters, net.parameters),
        **net.models,
    }


def tensor_bytes(vector: NDArray[np.float32], slots: Sequence[Slot | SavedSlot]) -> bytes:
    """A flat vector as a safetensors file of its named tensors."""
    pieces = {s.name: vector[s.offset : s.offset + s.size].reshape(s.shape) for s in slots}
    return save_tensors({name: np.ascontiguousarray(piece) for name, piece in pieces.items()})


def describe_net(net: CompiledNet, columns: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    """The fields of a `NetManifest`, but for `files`; `columns` by the names of the ports that have some."""
    return {
        "net": net.name,
        "seed": net.train.seed,
        "learning_rate": net.train.optimizer.lr,
        "inputs": tuple(_saved_port(port, columns) for port in net.inputs),
        "targets": tuple(_saved_port(port, columns) for port in net.targets),
        "predictions": tuple(_saved_prediction(prediction) for prediction in net.predictions),
        "metrics": net.metrics,
        "statistics": tuple(SavedStatistic(name=s.name, dtype=s.dtype, shape=s.shape) for s in net.statistics),
        "parameters": _saved_slots(net.parameters),
        "optimizer_state": _saved_slots(net.optimizer_state),
    }


def digests(contents: Mapping[str, bytes]) -> dict[str, SavedFile]:
    """Size and digest of every file."""
    return {name: SavedFile(bytes=len(data), sha256=sha256(data).hexdigest()) for name, data in contents.items()}


def manifest_bytes(manifest: Entry) -> bytes:
    """A manifest as it is written."""
    return (manifest.model_dump_json(indent=2) + "\n").encode()


def _saved_port(port: Port, columns: Mapping[str, tuple[str, ...]]) -> SavedPort:
    return SavedPort(
        name=port.name,
        kind=port.kind,
        dtype=port.type.dtype,
        shape=port.type.shape,
        classes=port.classes,
        columns=columns.get(port.name, ()),
    )


def _saved_prediction(prediction: Prediction) -> SavedPrediction:
    return SavedPrediction(name=prediction.name, dtype=prediction.type.dtype, shape=prediction.type.shape)


def _saved_slots(slots: Sequence[Slot]) -> tuple[SavedSlot, ...]:
    return tuple(SavedSlot(name=s.name, shape=s.shape, offset=s.offset, size=s.size, kind=s.kind) for s in slots)


# ----- folders -----


def check_output(folder: Path) -> None:
    """Raise SparkNetError where a folder could not be written, which is best known before the work is done."""
    if folder.exists() or folder.is_symlink():
        raise _unwritable(
            folder,
            "exists already",
            "name another with `-o`, or `output=` in Python, or remove this one; nothing was changed",
        )
    parent = next(path for path in folder.absolute().parents if path.exists())
    if not parent.is_dir():
        raise _unwritable(folder, f"cannot be written: `{parent}` is a file, not a folder", "name another folder")
    if not os.access(parent, os.W_OK):
        raise _unwritable(folder, f"cannot be written: no folder may be made in `{parent}`", "name another folder")


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder of a temporary name, which then takes its own; raises SparkNetError."""
    check_output(folder)
    made = [parent for parent in folder.absolute().parents if not parent.exists()]
    with _partial(folder) as partial:
        for name, data in contents.items():
            _write_through(partial / name, data)
        _sync_folder(partial)
        check_output(folder)
        partial.rename(folder)
        for parent in (folder.parent, *(parent.parent for parent in made)):
            _sync_folder(parent)
    _remove_leftovers(folder)


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    partial = folder.parent / f".{folder.name}.{token_hex(4)}.partial"
    try:
        partial.mkdir(parents=True)
        yield partial
    except OSError as error:
        raise _unwritable(folder, f"cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed while they wrote the same folder have left."""
    name = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}\.partial")
    with suppress(OSError):
        for leftover in folder.parent.iterdir():
            if name.fullmatch(leftover.name) and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)


def _unwritable(folder: Path, why: str, *helps: str) -> SparkNetError:
    return SparkNetError([Diagnostic("E0601", f"`{folder}` {why}", helps=helps)])


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
