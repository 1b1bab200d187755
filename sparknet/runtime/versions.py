"""Versions of what a run's numbers depend on."""

from __future__ import annotations

from importlib import metadata
from platform import python_version


def versions() -> dict[str, str]:
    """Those of Python and of the packages, by name."""
    found = {"python": python_version()}
    for package in ("sparknet", "numpy", "onnx", "onnxruntime", "onnxruntime-training-cpu", "pyspark"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a source tree, or `--local` without pyspark
            found[package] = "not installed"
    return found
