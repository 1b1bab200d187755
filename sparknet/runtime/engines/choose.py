"""The engines by name, and whether what they need is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

from sparknet.compiler.sections import EngineName
from sparknet.runtime.engines.base import Engine, OnnxRuntimeEngine
from sparknet.runtime.problems import problem

STOCK = "onnxruntime"
TRAINING = "onnxruntime-training-cpu"
"""Packages that both install a module `onnxruntime`, so an environment can hold but one of them."""

INSTALL: dict[EngineName, str] = {
    "onnxruntime": f"pip install '{STOCK}>=1.26'",
    "onnxruntime-training": f"pip install {TRAINING}==1.19.2",
}


def engine_for(name: EngineName) -> Engine:
    """The engine; raises SparkNetError where the package installed is not the one that it needs."""
    check_packages(name, installed())
    if name == "onnxruntime":
        return OnnxRuntimeEngine()
    from sparknet.runtime.engines.training import OnnxRuntimeTrainingEngine

    return OnnxRuntimeTrainingEngine()


def installed() -> dict[str, str]:
    """The versions of those of the two packages that are installed."""
    found = {}
    for package in (STOCK, TRAINING):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def check_packages(name: EngineName, found: Mapping[str, str]) -> None:
    """Raise SparkNetError unless what is installed is what the engine needs, and nothing else is in its way.

    Other builds of stock ONNX Runtime bear other names, so without either package the stock engine is not refused.
    """
    wanted, other = (STOCK, TRAINING) if name == "onnxruntime" else (TRAINING, STOCK)
    if other not in found and (wanted in found or wanted == STOCK):
        return
    versions = " and ".join(f"{package} {version}" for package, version in found.items()) or "neither of the two"
    notes = ["both are the module `onnxruntime`, so an environment holds one of them"] if len(found) > 1 else []
    if wanted == TRAINING:
        notes.append("it comes for Python 3.9 to 3.12")
    uninstall = f"pip uninstall -y {' '.join(found)} && " if found else ""
    raise problem(
        "R0070",
        f"the engine `{name}` needs the package {wanted}, and this environment has {versions}",
        notes=notes,
        helps=[uninstall + INSTALL[name], f"or train with `engine = {next(each for each in INSTALL if each != name)}`"],
    )
