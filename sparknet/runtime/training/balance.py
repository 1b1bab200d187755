"""Examples of which each class is equally often one: a stream like that of `rounds`, but made of one for each class.

The stream of a worker goes in turns: in each turn every class that its shard has comes once, in a new random order. A
class takes its rows in epochs of its own, block after block where it has many. Any stretch of the stream can be found
directly from (seed, worker, position) and from how many rows of each class each block holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparknet.runtime.encoding.encode import Block, Layout
from sparknet.runtime.training.draws import permutation, permutations

Indices = NDArray[np.int64]

BlockClasses = tuple[int, Indices, Indices]
"""The index of a block, the classes that it holds and how many rows of each."""

_DRAWN = 4096
"""Numbers that are put in order at once; a class of fewer rows takes them without regard to blocks."""
_TURNS, _FEW, _BLOCKS, _ROWS = -7, -8, -9, -10
"""Set the draws for these apart."""


@dataclass(frozen=True)
class ClassCounts:
    """How many rows of a class the blocks hold, those that hold any: int64[blocks] each."""

    kind: int
    blocks: Indices
    counts: Indices

    @property
    def rows(self) -> int:
        """Rows of the class."""
        return int(self.counts.sum())


@dataclass(frozen=True)
class Classes:
    """The classes of a shard by the field of the layout that says them, those that no row has left out."""

    field: int
    counts: tuple[ClassCounts, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all counts."""
        return sum(each.blocks.nbytes + each.counts.nbytes for each in self.counts)

    def rows(self, block: Block, layout: Layout, kinds: Indices, ranks: Indices) -> Indices:
        """The rows of a block that are the `ranks`-th of their `kinds`, int64 like those."""
        labels = block.arrays(layout)[self.field].reshape(-1).astype(np.int64)
        order = np.argsort(labels, kind="stable")
        found: Indices = order[np.searchsorted(labels[order], kinds) + ranks]
        return found


def count_classes(blocks: Iterable[Block], layout: Layout, field: int) -> Iterator[BlockClasses]:
    """The classes of some blocks by a field of the layout."""
    for block in blocks:
        kinds, counts = np.unique(block.arrays(layout)[field], return_counts=True)
        yield block.index, kinds.astype(np.int64), counts.astype(np.int64)


def classes_of(field: int, found: Iterable[BlockClasses]) -> Classes:
    """What `count_classes` found in the blocks of a shard, in any order."""
    ordered = sorted(found, key=lambda each: each[0])
    blocks = np.concatenate([np.full(len(kinds), index, np.int64) for index, kinds, _ in ordered])
    every = np.concatenate([kinds for _, kinds, _ in ordered])
    counts = np.concatenate([counts for _, _, counts in ordered])
    return Classes(
        field,
        tuple(ClassCounts(int(k), blocks[every == k], counts[every == k]) for k in np.unique(every)),
    )


@dataclass(frozen=True)
class Picks:
    """Examples in order: each the `ranks`-th row of its block, or of those of its kind in it, int64 each."""

    blocks: Indices
    ranks: Indices
    kinds: Indices | None = None


def balanced(classes: Classes, seed: int, worker: int, start: int, stop: int) -> Picks:
    """A stretch of the stream of a worker."""
    places = np.arange(start, stop)
    turns, number = places // len(classes.counts), _turn_order(len(classes.counts), seed, worker, places)
    blocks, ranks, kinds = (np.empty(stop - start, np.int64) for _ in range(3))
    for index, each in enumerate(classes.counts):
        here = np.flatnonzero(number == index)
        if len(here):
            first, last = int(turns[here[0]]), int(turns[here[-1]]) + 1
            kinds[here] = each.kind
            blocks[here], ranks[here] = _stretch(each, (seed, worker, each.kind), first, last)
    return Picks(blocks, ranks, kinds)


def _turn_order(classes: int, seed: int, worker: int, places: Indices) -> Indices:
    """Which of the classes comes at each place."""
    at_once = max(1, _DRAWN // classes)
    groups = places // (at_once * classes)
    orders = [
        permutations(at_once, classes, seed, worker, int(group), _TURNS, 0).reshape(-1)
        for group in range(int(groups[0]), int(groups[-1]) + 1)
    ]
    found: Indices = np.concatenate(orders)[places - groups[0] * at_once * classes]
    return found


def _stretch(each: ClassCounts, salt: tuple[int, int, int], start: int, stop: int) -> tuple[Indices, Indices]:
    """Blocks and ranks of a stretch of the stream of one class."""
    rows = each.rows
    if rows <= _DRAWN:
        at_once = _DRAWN // rows
        groups = range(start // (rows * at_once), -(-stop // (rows * at_once)))
        orders = np.concatenate([permutations(at_once, rows, *salt, group, _FEW).reshape(-1) for group in groups])
        begin = groups[0] * rows * at_once
        return _located(each, orders[start - begin : stop - begin])
    parts = []
    for epoch in range(start // rows, -(-stop // rows)):
        before = epoch * rows
        parts.append(_epoch(each, (*salt, epoch), max(start - before, 0), min(stop - before, rows)))
    blocks, ranks = zip(*parts, strict=True)
    return np.concatenate(blocks), np.concatenate(ranks)


def _located(each: ClassCounts, rows: Indices) -> tuple[Indices, Indices]:
    """The block of each row of the class, and which of those in the block it is."""
    ends = np.cumsum(each.counts)
    at = np.searchsorted(ends, rows, side="right")
    return each.blocks[at], rows - (ends - each.counts)[at]


def _epoch(each: ClassCounts, salt: tuple[int, ...], start: int, stop: int) -> tuple[Indices, Indices]:
    """A stretch of an epoch of the class: its blocks in a random order, and of each its rows in one."""
    blocks, ranks, passed = [], [], 0
    for at in permutation(len(each.blocks), *salt, _BLOCKS):
        size = int(each.counts[at])
        if start < passed + size and passed < stop:
            block = int(each.blocks[at])
            order = permutation(size, *salt, block, _ROWS)[max(start - passed, 0) : stop - passed]
            blocks.append(np.full(len(order), block, np.int64))
            ranks.append(order)
        passed += size
    return np.concatenate(blocks), np.concatenate(ranks)
