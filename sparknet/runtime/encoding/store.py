"""The blocks of a run in this process: in memory up to a limit, the others in a temporary file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sparknet.compiler.sections import SplitName
from sparknet.runtime import spool
from sparknet.runtime.encoding.encode import Block

Place = tuple[SplitName, int]
"""A split and a worker."""


@dataclass(frozen=True)
class _Kept:
    """A block, its payload left out where that lies in the file, `size` bytes at `offset`."""

    block: Block
    size: int
    offset: int | None


class BlockStore:
    """Blocks by their places, each in the order in which it was added; threads may read them at the same time."""

    def __init__(self) -> None:
        self._blocks: dict[Place, list[_Kept]] = {}
        self._held = self._filed = 0
        self._file: spool.Scratch | None = None

    @property
    def spooled(self) -> bool:
        """Whether some of the blocks lie in a file."""
        return self._file is not None

    def add(self, block: Block) -> None:
        """Keep a block; raises SparkNetError where the disk has no room for it."""
        offset = None
        size = len(block.payload)
        if self._held + size <= spool.LOCAL_BYTES:
            self._held += size
        else:
            self._file = self._file or spool.Scratch()
            offset = self._filed
            self._file.write(np.frombuffer(block.payload, np.uint8), offset)
            block, self._filed = replace(block, payload=b""), offset + size
        self._blocks.setdefault((block.split, block.worker), []).append(_Kept(block, size, offset))

    def places(self) -> list[Place]:
        """Where blocks are, each place once."""
        return sorted(self._blocks)

    def rows(self) -> dict[Place, int]:
        """How many rows each place has."""
        return {place: sum(kept.block.rows for kept in blocks) for place, blocks in self._blocks.items()}

    def blocks(self, place: Place, indices: Collection[int] | None = None) -> Iterator[Block]:
        """The blocks of a place, or those of some indices."""
        for kept in self._blocks[place]:
            if indices is not None and kept.block.index not in indices:
                continue
            if kept.offset is None or self._file is None:
                yield kept.block
            else:
                yield replace(kept.block, payload=memoryview(self._file.read(kept.size, kept.offset)))

    def close(self) -> None:
        """Let go of all blocks."""
        self._blocks = {}
        if self._file is not None:
            self._file.close()
            self._file = None
