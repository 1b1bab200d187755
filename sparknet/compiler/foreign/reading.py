"""From the bytes of a file that another library wrote to a model that is worth looking at."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from math import prod
from pathlib import Path

from sparknet.compiler.foreign.file import ForeignModel, ModelError, shown
from sparknet.compiler.foreign.safety import UnsafeModelError, parsed

MOST_BYTES = 1 << 30
MOST_STRUCTURE = 32 << 20
MOST_NODES = 20_000
OLDEST, NEWEST = 7, 26
"""Operator sets that are understood, by ONNX's own conversion where they are not ours."""


def load_bytes(path: Path) -> bytes:
    """The bytes of a regular file of bounded size. Raises OSError and ModelError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError
        if not stat.S_ISREG(status.st_mode):
            raise ModelError("it is not a regular file")
        if status.st_size > MOST_BYTES:
            raise ModelError(f"it is larger than {MOST_BYTES >> 20:,} MiB")
        return file.read(MOST_BYTES)


def read_model(data: bytes) -> ForeignModel:
    """The model in `data`; raises ModelError. Reading the same bytes again, as editors do, costs a digest."""
    digest = sha256(data).hexdigest()
    return _read(digest, _Bytes(digest, data))


@dataclass(frozen=True)
class _Bytes:
    """Bytes that are told from others by their digest."""

    digest: str
    data: bytes = field(compare=False, repr=False)


@lru_cache(maxsize=4)
def _read(digest: str, given: _Bytes) -> ForeignModel:
    try:
        proto = parsed(given.data, MOST_NODES, MOST_STRUCTURE)
    except UnsafeModelError as error:
        raise ModelError(str(error), _HELPS.get(str(error))) from error
    for tensor in proto.graph.initializer:
        if any(d < 0 for d in tensor.dims) or prod(tensor.dims) > len(given.data):
            raise ModelError(f"its tensor `{shown(tensor.name)}` says to be larger than the file")
    model = ForeignModel(given.data, proto, digest)
    version = model.opsets.get("")
    if version is None or not OLDEST <= version <= NEWEST:
        found = "no operator set" if version is None else f"operator set {version}"
        message = f"it is of {found}; those from {OLDEST} to {NEWEST} are understood"
        raise ModelError(message, "export it with `opset_version=20`")
    return model


_HELPS = {
    "it defines functions of its own": "write them out before: `onnx.inliner.inline_local_functions(model)`",
    "it keeps weights in other files": "save it as one file: `onnx.save(onnx.load(path), path)`",
}
