"""Files of run folders, read as if an enemy had made them: bounded, followed through no link, checked by digest."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from sparknet.compiler.folder import SavedFile
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.problems import problem

DAMAGED = "R0042"


def damaged(path: Path | str, why: str) -> SparkNetError:
    """The error for a file that is not what it should be."""
    return problem(DAMAGED, f"`{path}` is damaged: {why}", helps=["take the folder from a backup, or train again"])


def read_file(path: Path, cap: int, expected: SavedFile | None = None) -> bytes:
    """The bytes of a regular file, `cap` at most; a link is not followed. Raises SparkNetError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError as error:
        raise damaged(path, "it is missing") from error
    except OSError as error:
        why = "it is a link" if path.is_symlink() else str(error.strerror)
        raise damaged(path, why) from error
    with os.fdopen(descriptor, "rb") as file:
        if not path.is_file() or path.is_symlink():
            raise damaged(path, "it is not a regular file")
        size = os.fstat(descriptor).st_size
        check_size(path, size, cap, expected)
        data = file.read(size)
    return verified(path, data, expected)


def check_size(path: Path | str, size: int, cap: int, expected: SavedFile | None) -> None:
    """Raise SparkNetError for a file of more than `cap` bytes, or of others than `expected`, before it is read."""
    if size > cap:
        raise damaged(path, f"its {size:,} bytes are more than the {cap:,} allowed")
    if expected is not None and size != expected.bytes:
        raise damaged(path, f"it has {size:,} bytes, the manifest says {expected.bytes:,}")


def verified(path: Path | str, data: bytes, expected: SavedFile | None) -> bytes:
    """What was read of a file; raises SparkNetError where that is not what a manifest lists."""
    if expected is not None and sha256(data).hexdigest() != expected.sha256:
        raise damaged(path, "its contents are not those that the manifest lists")
    return data


def explain(error: ValidationError) -> str:
    """The first thing that is wrong with what was read, in one line."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place + ': ' if place else ''}{first['msg'][:200]}"
