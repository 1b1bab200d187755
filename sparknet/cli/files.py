"""The files that a command is given: `-` is the standard input, a folder stands for the `.net` files below it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sparknet.grammar import Source, limits, load
from sparknet.grammar.reading import decode

STDIN = Path("-")


def net_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files one by one, in the order given and sorted inside folders; hidden folders are left out."""
    for path in paths:
        if path == STDIN or not path.is_dir():
            yield path
        else:
            inside = (p for p in path.rglob("*.net") if p.is_file())
            yield from sorted(p for p in inside if not any(x.startswith(".") for x in p.relative_to(path).parts))


def read(path: Path) -> Source:
    """The text of a file, or of the standard input; raises SparkNetError."""
    if path != STDIN:
        return load(path)
    return decode("<stdin>", sys.stdin.buffer.read(limits.TEXT_BYTES + 1))
