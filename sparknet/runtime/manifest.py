"""`manifest.json` of a run folder: that of a compiled net, and what training made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field

from sparknet.compiler.compiled import CompiledNet, Port
from sparknet.compiler.describe import describe_train
from sparknet.compiler.encoders import AnyEncoder, Pixels, SavedBindings, Spectrogram, Tokens
from sparknet.compiler.folder import Count, Entry, NetManifest, SavedPort, Text, describe_net
from sparknet.compiler.ports import LENGTHS
from sparknet.compiler.types import TensorType
from sparknet.runtime.encoding.binding import BoundPort
from sparknet.runtime.training.trainer import TrainedNet
from sparknet.runtime.versions import versions


class SavedScore(Entry):
    """The score of the kept weights on a split."""

    model_config = ConfigDict(allow_inf_nan=False)

    rows: Count
    loss: float
    metrics: dict[Text, float]


class Manifest(NetManifest):
    """The whole manifest. `versions` says what made the folder; `format` decides whether it can be read."""

    model_config = ConfigDict(allow_inf_nan=False)

    versions: dict[Text, Text]
    workers: Count
    rows: dict[Text, Count]
    rounds: Count
    kept_round: Annotated[int, Field(ge=1, le=2**53)]
    """The round whose weights the folder holds: the best on the validation rows, the last one where there are none."""
    stopped_early: bool
    training: Annotated[str, Field(max_length=10_000)]
    """The `train` section in a line."""
    began: Text
    """When, in UTC."""
    where: Text
    seconds: float
    """From the first look at the data to the last score."""
    seconds_start: float
    seconds_data: float
    scores: dict[Text, SavedScore]


def describe(net: CompiledNet, trained: TrainedNet) -> Manifest:
    """The manifest of a finished run, but for its files."""
    scores = {s.split: SavedScore(rows=s.rows, loss=s.loss, metrics=s.metrics) for s in trained.scores.values()}
    return Manifest.model_validate(
        {
            **describe_net(net, {each.port.name: each.columns for each in trained.bound}),
            "files": {},
            "versions": versions(),
            "workers": trained.workers,
            "rows": trained.rows,
            "rounds": len(trained.history),
            "kept_round": trained.kept_round,
            "stopped_early": len(trained.history) < trained.planned,
            "training": describe_train(net.train),
            "began": trained.origin.began,
            "where": trained.origin.where,
            "seconds": trained.seconds,
            "seconds_start": trained.origin.seconds_start,
            "seconds_data": trained.seconds_data,
            "scores": scores,
        }
    )


def describe_bindings(trained: TrainedNet) -> SavedBindings:
    """The encoders of a finished run, by port; lengths go by what they measure."""
    bound = [each for each in trained.bound if each.port.measures is None]
    return SavedBindings(encoders={each.port.name: each.encoder for each in bound if each.encoder is not None})


def fits_port(encoder: AnyEncoder, port: SavedPort) -> bool:
    """Whether an encoder has learnt what it has to, and gives what a port takes."""
    if isinstance(encoder, Pixels):
        return port.kind == "float" and port.shape == (encoder.channels, encoder.height, encoder.width)
    if isinstance(encoder, Spectrogram):
        return port.kind == "float" and port.shape == (encoder.frames, encoder.mel)
    if encoder.terms is None:
        return False
    if isinstance(encoder, Tokens):
        return port.kind == "token" and (port.shape, port.classes) == ((encoder.length,), encoder.vocabulary)
    if encoder.one_hot:
        return port.kind == "float" and port.shape == (encoder.size,)
    return port.kind == "class" and port.classes == encoder.size


def bound_inputs(manifest: NetManifest, encoders: Mapping[str, AnyEncoder]) -> tuple[BoundPort, ...]:
    """All inputs as the runtime uses them; a run was trained, so every one has its columns."""
    measured = {saved.name for saved in manifest.inputs if saved.kind == "length"}
    ports: dict[str, Port] = {}
    for saved in manifest.inputs:
        lengths = f"{saved.name}{LENGTHS}"
        found = TensorType(saved.dtype, saved.shape, lengths=lengths if lengths in measured else None)
        of = ports[saved.name.removesuffix(LENGTHS)] if saved.kind == "length" else None
        ports[saved.name] = Port(saved.name, saved.kind, found, saved.classes, of)
    return tuple(
        BoundPort(port, saved.columns, encoder=encoders.get((port.measures or port).name))
        for port, saved in zip(ports.values(), manifest.inputs, strict=True)
    )


def bound_targets(manifest: NetManifest, encoders: Mapping[str, AnyEncoder]) -> tuple[BoundPort, ...]:
    """All targets, with the columns that they were trained on; rows that are scored all count alike."""
    return tuple(
        BoundPort(
            Port(saved.name, saved.kind, TensorType(saved.dtype, saved.shape), saved.classes),
            saved.columns,
            encoder=encoders.get(saved.name),
        )
        for saved in manifest.targets
        if saved.kind != "weight"
    )
