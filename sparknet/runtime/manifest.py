"""`manifest.json` of a run folder: that of a compiled net, and what training made of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from platform import python_version

from pydantic import ConfigDict

from sparknet.compiler.compiled import CompiledNet, Port
from sparknet.compiler.folder import Count, Entry, NetManifest, SavedFile, SavedPort, Text, describe_net
from sparknet.compiler.types import TensorType
from sparknet.runtime.profile import BoundPort
from sparknet.runtime.trainer import TrainedNet


class SavedScore(Entry):
    """The last evaluation on a split."""

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
    seconds: float
    scores: dict[Text, SavedScore]


def describe(net: CompiledNet, trained: TrainedNet, files: Mapping[str, SavedFile]) -> Manifest:
    """The manifest of a finished run."""
    scores = {s.split: SavedScore(rows=s.rows, loss=s.loss, metrics=s.metrics) for s in trained.scores.values()}
    return Manifest.model_validate(
        {
            **describe_net(net),
            "files": dict(files),
            "versions": versions(),
            "workers": trained.workers,
            "rows": trained.rows,
            "rounds": len(trained.history),
            "seconds": trained.seconds,
            "scores": scores,
        }
    )


def bound_port(saved: SavedPort) -> BoundPort:
    """A saved port as the runtime uses it; a run was trained, so every port has its column."""
    port = Port(saved.name, saved.kind, TensorType(saved.dtype, saved.shape), saved.classes)
    return BoundPort(port, saved.column or saved.name)


def versions() -> dict[str, str]:
    """Versions of what a run's numbers depend on."""
    found = {"python": python_version()}
    for package in ("sparknet", "numpy", "onnx", "onnxruntime", "pyspark"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a source tree, or `--local` without pyspark
            found[package] = "not installed"
    return found
