"""The folder that a run leaves: written whole or not at all, without pickle, read back as if an enemy had made it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.encoders import AnyEncoder, SavedBindings
from sparknet.compiler.folder import (
    EVALUATION,
    FORMAT,
    INFERENCE,
    MANIFEST,
    MODEL,
    NET,
    PARAMETERS,
    STEP,
    NetManifest,
    SavedSlot,
    digests,
    manifest_bytes,
    tensor_bytes,
    write_folder,
)
from sparknet.compiler.foreign.safety import UnsafeModelError
from sparknet.runtime.engines.base import Floats
from sparknet.runtime.evaluation.errors import Errors, misfit
from sparknet.runtime.hostile import damaged, explain, read_file
from sparknet.runtime.manifest import Manifest, describe, describe_bindings, fits_port
from sparknet.runtime.onnx_check import Interface, Signature, check_model
from sparknet.runtime.problems import problem
from sparknet.runtime.training.records import RoundRecord, read_history, write_history
from sparknet.runtime.training.trainer import TrainedNet

STATE, METRICS = "optimizer_state.safetensors", "metrics.jsonl"
BINDINGS, ERRORS, REPORT = "bindings.json", "errors.json", "report.html"

CAPS = {
    MANIFEST: 64 << 20,
    NET: 16 << 20,
    METRICS: 1 << 30,
    BINDINGS: 256 << 20,
    ERRORS: 256 << 20,
    REPORT: 16 << 20,
    INFERENCE: 2**31 - 1,
    STEP: 2**31 - 1,
    EVALUATION: 2**31 - 1,
    PARAMETERS: 16 << 30,
    STATE: 64 << 30,
}
"""The files of every run folder, beside which there may be copies of foreign models, and the most bytes of each."""


@dataclass(frozen=True)
class SavedRun:
    """A finished run, or a run folder that was read and verified; the graphs are serialized ONNX."""

    folder: Path | None
    """None where the run has just been trained and not been written."""
    manifest: Manifest
    net: str
    inference: bytes
    step: bytes
    evaluation: bytes
    parameters: Floats
    optimizer_state: Floats
    history: tuple[RoundRecord, ...]
    errors: Errors | None
    """None where no rows were held out."""
    encoders: Mapping[str, AnyEncoder]
    """What encodes columns that hold no numbers, by the names of the ports that they feed."""
    report: bytes | None = None
    """That of a folder that was read; a run that has just been trained gets one when it is written."""


# ----- writing -----


def finished(net: CompiledNet, trained: TrainedNet) -> SavedRun:
    """A run as training left it; its manifest lists no files until they are written."""
    bindings = describe_bindings(trained)
    inference = net.inference(trained.parameters, bindings.model_dump_json(indent=2))
    return SavedRun(
        folder=None,
        manifest=describe(net, trained),
        net=net.source.text,
        inference=inference.SerializeToString(deterministic=True),
        step=net.step.SerializeToString(deterministic=True),
        evaluation=net.evaluation.SerializeToString(deterministic=True),
        parameters=trained.parameters,
        optimizer_state=trained.optimizer_state,
        history=trained.history,
        errors=trained.errors,
        encoders=bindings.encoders,
    )


def save(folder: Path, run: SavedRun, net: CompiledNet) -> None:
    """Write a run of `net`, whole or not at all; raises SparkNetError.

    A run that was read gives the bytes of the folder that it was read from.
    """
    contents = _contents(run, net)
    manifest = run.manifest.model_copy(update={"files": digests(contents)})
    contents[REPORT] = run.report or _report(run, net, manifest)
    manifest = run.manifest.model_copy(update={"files": digests(contents)})
    write_folder(folder, {**contents, MANIFEST: manifest_bytes(manifest)})


def report_of(run: SavedRun, net: CompiledNet) -> bytes:
    """The report of a run of `net`, written anew."""
    manifest = run.manifest.model_copy(update={"files": digests(_contents(run, net))})
    return _report(run, net, manifest)


def _report(run: SavedRun, net: CompiledNet, manifest: Manifest) -> bytes:
    from sparknet.runtime.report.page import report  # templates and drawings, which no run needs before its end

    return report(net, manifest, run.history, run.errors, run.encoders)


def _contents(run: SavedRun, net: CompiledNet) -> dict[str, bytes]:
    """All files that the report tells of."""
    return {
        NET: run.net.encode(),
        INFERENCE: run.inference,
        STEP: run.step,
        EVALUATION: run.evaluation,
        PARAMETERS: tensor_bytes(run.parameters, run.manifest.parameters),
        **net.models,
        BINDINGS: f"{SavedBindings(encoders=dict(run.encoders)).model_dump_json(indent=2)}\n".encode(),
        STATE: tensor_bytes(run.optimizer_state, run.manifest.optimizer_state),
        METRICS: write_history(run.history),
        ERRORS: b"null\n" if run.errors is None else f"{run.errors.model_dump_json()}\n".encode(),
    }


# ----- reading -----


def load(folder: Path) -> SavedRun:
    """Read and verify a run folder; raises SparkNetError that names the file at fault."""
    if not folder.is_dir():
        raise problem("R0041", f"there is no run folder at `{folder}`", helps=["`sparknet run` makes one"])
    if not os.path.lexists(folder / MANIFEST):
        message = f"`{folder}` is no run folder: there is no `{MANIFEST}` in it"
        raise problem("R0041", message, helps=["name the folder of one run, such as `runs/digits`"])
    manifest = _read_manifest(folder)
    # Copies of foreign models serve to compile the net again; nothing of a run reads them.
    if {name for name in manifest.files if not MODEL.fullmatch(name)} != set(CAPS) - {MANIFEST}:
        raise damaged(folder / MANIFEST, "it does not list the files of a run folder")
    data = {name: read_file(folder / name, CAPS[name], manifest.files[name]) for name in CAPS if name != MANIFEST}
    for name, interface in _interfaces(manifest).items():
        _check_graph(folder / name, data[name], interface)
    return SavedRun(
        folder=folder,
        manifest=manifest,
        net=_text(folder / NET, data[NET]),
        inference=data[INFERENCE],
        step=data[STEP],
        evaluation=data[EVALUATION],
        parameters=_join(folder / PARAMETERS, data[PARAMETERS], manifest.parameters),
        optimizer_state=_join(folder / STATE, data[STATE], manifest.optimizer_state),
        history=_history(folder / METRICS, data[METRICS]),
        errors=_errors(folder / ERRORS, data[ERRORS], manifest),
        encoders=_encoders(folder / BINDINGS, data[BINDINGS], manifest),
        report=data[REPORT],
    )


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    data = read_file(path, CAPS[MANIFEST])
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        if _is_compiled(data):
            raise problem(
                "R0044", f"`{folder}` was compiled, not trained", helps=["`sparknet run` trains it"]
            ) from error
        if error.errors()[0]["loc"] == ("format",):
            raise problem(
                "R0043",
                f"`{path}` is of another format than {FORMAT}",
                helps=["read it with the version of sparknet that `versions` in it names"],
            ) from error
        raise damaged(path, explain(error)) from error


def _is_compiled(data: bytes) -> bool:
    """Whether this is the manifest that `sparknet compile` writes."""
    try:
        NetManifest.model_validate_json(data)
    except ValidationError:
        return False
    return True


def _interfaces(manifest: Manifest) -> dict[str, Interface]:
    """What the graphs of a folder take and give, as its manifest says. The compiler's contract is in `CompiledNet`."""
    rows = {p.name: (p.dtype, (None, *p.shape)) for p in manifest.inputs}
    targets = {p.name: (p.dtype, (None, *p.shape)) for p in manifest.targets}
    scored = rows | {p.name: targets[p.name] for p in manifest.targets if p.kind != "weight"}
    parameters, state = (
        ("float32", (sum(slot.size for slot in slots),)) for slots in (manifest.parameters, manifest.optimizer_state)
    )
    vector = {"parameters": parameters}
    steps = {**vector, "optimizer_state": state, "learning_rate": ("float32", ()), "seed": ("int64", ())}
    scores: Signature = {"loss": ("float32", ()), **{s.name: (s.dtype, s.shape) for s in manifest.statistics}}
    return {
        INFERENCE: Interface(rows, {p.name: (p.dtype, (None, *p.shape)) for p in manifest.predictions}),
        STEP: Interface(
            {**rows, **targets, **steps}, {**scores, "new_parameters": parameters, "new_optimizer_state": state}
        ),
        EVALUATION: Interface({**scored, **vector}, scores),
    }


def _check_graph(path: Path, data: bytes, expected: Interface) -> None:
    try:
        found = check_model(data, step=path.name == STEP)
    except UnsafeModelError as error:
        raise damaged(path, str(error)) from error
    if found != expected or list(found.outputs) != list(expected.outputs):  # the engine goes by the order of outputs
        raise damaged(path, "its inputs and outputs are not those that the manifest lists")


def _join(path: Path, data: bytes, slots: Sequence[SavedSlot]) -> Floats:
    """The flat vector whose parts the slots name; every tensor must be there, float32, of its shape, and finite."""
    try:
        tensors = load_tensors(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"it is not a safetensors file ({error})") from error
    if set(tensors) != {slot.name for slot in slots}:
        raise damaged(path, "its tensors are not those that the manifest lists")
    offset = 0
    for slot in slots:
        tensor = tensors[slot.name]
        fits = tensor.dtype == np.float32 and tensor.shape == slot.shape
        if not fits or (slot.offset, slot.size) != (offset, tensor.size):
            raise damaged(path, f"tensor `{slot.name}` is not float32{list(slot.shape)} at {slot.offset}")
        if not np.isfinite(tensor).all():
            raise damaged(path, f"tensor `{slot.name}` holds NaN or infinity")
        offset += slot.size
    parts = [tensors[slot.name].ravel() for slot in slots]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise damaged(path, "it is not UTF-8 text") from error


def _encoders(path: Path, data: bytes, manifest: Manifest) -> Mapping[str, AnyEncoder]:
    """What `bindings.json` holds, each encoder taught and of the size of its port."""
    try:
        encoders = SavedBindings.model_validate_json(data).encoders
    except ValidationError as error:
        raise damaged(path, explain(error)) from error
    ports = {port.name: port for port in (*manifest.inputs, *manifest.targets)}
    for name, encoder in encoders.items():
        if name not in ports or not fits_port(encoder, ports[name]):
            raise damaged(path, f"what it says of `{name[:40]}` is not what the manifest says")
    return encoders


def _errors(path: Path, data: bytes, manifest: Manifest) -> Errors | None:
    """What `errors.json` holds, of outputs that the manifest lists."""
    try:
        errors = TypeAdapter(Errors | None).validate_json(data)
    except ValidationError as error:
        raise damaged(path, explain(error)) from error
    if errors is not None:
        classes = {p.name: 0 for p in manifest.predictions} | {t.name: t.classes or 0 for t in manifest.targets}
        why = misfit(errors, classes)
        if why is not None:
            raise damaged(path, why)
    return errors


def _history(path: Path, data: bytes) -> tuple[RoundRecord, ...]:
    try:
        return read_history(data)
    except ValueError as error:
        raise damaged(path, str(error)) from error
