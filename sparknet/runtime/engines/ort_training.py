"""The parts of the package onnxruntime-training that an engine needs, reached without its own `__init__`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from threading import Lock
from types import ModuleType
from typing import Any

from sparknet.runtime.engines.base import session_options

_BARE = ("onnxruntime.training", "onnxruntime.tools")
"""Packages whose `__init__` imports torch, which none of the modules used here needs."""

_lock = Lock()
_loaded: list[Package] = []


@dataclass(frozen=True)
class Package:
    """What is used of it; its modules have no types."""

    api: Any
    """`CheckpointState`, `Module` and `Optimizer`."""
    artifacts: Any
    onnxblock: Any
    checkpoint: Any
    """The class that reads the file of a `CheckpointState`."""


def load() -> Package:
    """The package; raises ImportError where another one is installed as `onnxruntime`."""
    with _lock:
        if not _loaded:
            import onnxruntime

            with _without_init(onnxruntime):
                schema = import_module("onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.Checkpoint")
                names = ("api", "artifacts", "onnxblock")
                modules = [import_module(f"onnxruntime.training.{name}") for name in names]
                building = import_module("onnxruntime.training.onnxblock._training_graph_utils")
            vars(building)["SessionOptions"] = session_options  # with those of its own it tells of every optimization
            _loaded.append(Package(modules[0], modules[1], modules[2], schema.Checkpoint))
        return _loaded[0]


@contextmanager
def _without_init(onnxruntime: ModuleType) -> Iterator[None]:
    """Within this, the packages are bare: their modules can be imported, their `__init__` has not run.

    Behind it they are as before, so that whoever else imports them gets them whole.
    """
    bare = []
    for name in _BARE:
        spec = PathFinder.find_spec(name, onnxruntime.__path__)
        if spec is None:
            raise ImportError(f"the package onnxruntime that is installed has no `{name}`")
        if name not in sys.modules:
            sys.modules[name] = module_from_spec(spec)
            bare.append(name)
    try:
        yield
    finally:
        for name in bare:
            del sys.modules[name]
