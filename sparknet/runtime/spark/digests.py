"""What tasks are told of the blocks that the encoding found, to know them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sparknet.compiler.sections import SplitName

BYTES = 8
"""Of each block's digest; a block that is another one has the same by a chance of 2^-64."""

BlockDigests = Mapping[SplitName, Mapping[int, bytes]]
"""For each split and worker the digests of its blocks, one behind the other in the order of their indices.

Every task gets those of all blocks, so they are small, and no object a block.
"""


def block_digests(blocks: Iterable[tuple[SplitName, int, int, bytes]]) -> BlockDigests:
    """Of blocks given by split, worker, index and digest, in any order; the indices of a place count from 0."""
    found: dict[SplitName, dict[int, bytearray]] = {}
    for split, worker, _, digest in sorted(blocks):
        found.setdefault(split, {}).setdefault(worker, bytearray()).extend(digest[:BYTES])
    return {split: {worker: bytes(own) for worker, own in of.items()} for split, of in found.items()}


def is_known(digests: BlockDigests, split: SplitName, worker: int, index: int, digest: bytes) -> bool:
    """Whether a block is the one that the encoding found at its place."""
    return digests.get(split, {}).get(worker, b"")[BYTES * index : BYTES * (index + 1)] == digest[:BYTES]
