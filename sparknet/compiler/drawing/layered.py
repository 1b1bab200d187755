"""A layered layout, after Sugiyama, Tagawa and Toda (1981): every box lies below those it reads.

1. The layer of a box is the longest way to it from a box that reads nothing.
2. An edge over several layers gets a bend in each, so that it can go round the boxes there.
3. Within a layer, boxes go where those above and below them are, on average, which leaves few crossings.
4. What follows each other without a branch, and the longer way through a branch, is one segment that stands upright;
   segments move to where their neighbours are, as far as those beside them let them.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

_ORDER_SWEEPS = 8
_PLACE_SWEEPS = 24
_MOST_BENDS = 3000
"""When there are so many, the longer edges are drawn straight across: no one could follow them anyway."""


@dataclass(frozen=True)
class Layout:
    """Centres of the nodes across, their layers down, and for each edge the nodes that it goes through."""

    x: list[float]
    layer: list[int]
    paths: list[list[int]]


def lay_out(widths: Sequence[float], edges: Sequence[tuple[int, int]], gap: float, bend: float) -> Layout:
    """Place boxes of these widths, numbered so that edges lead from lower to higher numbers.

    Args:
        widths: The widths of the boxes.
        edges: Pairs of their numbers.
        gap: The least distance between two boxes.
        bend: The width that an edge takes where it passes boxes.
    """
    layer = _layers(len(widths), edges)
    sizes, paths = list(widths), []
    for a, b in sorted(edges, key=lambda edge: layer[edge[1]] - layer[edge[0]]):
        bends = range(layer[a] + 1, layer[b]) if len(sizes) < len(widths) + _MOST_BENDS else range(0)
        path = [a, *range(len(sizes), len(sizes) + len(bends)), b]
        sizes += [bend] * len(bends)
        layer += bends
        paths.append(path)
    above: list[list[int]] = [[] for _ in sizes]
    below: list[list[int]] = [[] for _ in sizes]
    for path in paths:
        for a, b in pairwise(path):
            above[b].append(a)
            below[a].append(b)
    rows = _order(layer, above, below)
    straight = _straight(above, below, len(widths))
    try:
        x = _place(rows, sizes, above, below, straight, gap)
    except CycleError:
        # Two segments that cross can both be upright in no order; then none is.
        x = _place(rows, sizes, above, below, [], gap)
    return Layout(x, layer, paths)


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    layer = [0] * count
    for a, b in sorted(edges, key=lambda edge: edge[1]):
        layer[b] = max(layer[b], layer[a] + 1)
    # A box that reads nothing stands right above the first that reads it.
    sources = set(range(count)) - {b for _, b in edges}
    for source in sources:
        readers = [layer[b] for a, b in edges if a == source]
        layer[source] = min(readers) - 1 if readers else 0
    return layer


def _order(layer: Sequence[int], above: Sequence[list[int]], below: Sequence[list[int]]) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(max(layer, default=0) + 1)]
    for node, number in enumerate(layer):
        rows[number].append(node)
    place = [0.0] * len(layer)
    for row in rows:
        _number(row, place)
    best, fewest = rows, -1
    for sweep in range(_ORDER_SWEEPS):
        near = below if sweep % 2 else above
        for row in reversed(rows) if sweep % 2 else rows:
            # Nodes without neighbours on this side stay where they are.
            means = {node: _mean([place[n] for n in near[node]] or [place[node]]) for node in row}
            row.sort(key=means.__getitem__)
            _number(row, place)
        crossings = sum(_crossings(row, below, place) for row in rows)
        if fewest < 0 or crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
        if not fewest:
            break
    return best


def _number(row: Sequence[int], place: list[float]) -> None:
    for position, node in enumerate(row):
        place[node] = position - (len(row) - 1) / 2


def _crossings(row: Sequence[int], below: Sequence[list[int]], place: Sequence[float]) -> int:
    """Pairs of edges below a row that cross."""
    seen: list[float] = []
    crossings = 0
    for node in row:
        ends = sorted(place[n] for n in below[node])
        crossings += sum(len(seen) - bisect_right(seen, end) for end in ends)
        for end in ends:
            insort(seen, end)
    return crossings


def _straight(above: Sequence[list[int]], below: Sequence[list[int]], boxes: int) -> list[tuple[int, int]]:
    """The edges that should be upright: each end is what the other would rather have below or above it."""

    def first(nodes: Sequence[int], onwards: Sequence[list[int]]) -> int:
        # Boxes before bends, and boxes that lead to boxes before those that lead to bends: the longer way round.
        ranks = [(n < boxes, any(o < boxes for o in onwards[n])) for n in nodes]
        best = max(ranks, default=None)
        # Where two are alike, neither: a fork with two even arms.
        return nodes[ranks.index(best)] if best is not None and ranks.count(best) == 1 else -1

    down = [first(nodes, below) for nodes in below]
    up = [first(nodes, above) for nodes in above]
    return [(node, under) for node, under in enumerate(down) if under >= 0 and up[under] == node]


def _place(
    rows: Sequence[Sequence[int]],
    sizes: Sequence[float],
    above: Sequence[list[int]],
    below: Sequence[list[int]],
    straight: Iterable[tuple[int, int]],
    gap: float,
) -> list[float]:
    """Centres, by segments; raises CycleError where segments cross."""
    segment = list(range(len(sizes)))
    for node, under in straight:
        segment[under] = segment[node]
    members: dict[int, list[int]] = {}
    for node, of in enumerate(segment):
        members.setdefault(of, []).append(node)
    left: dict[int, dict[int, float]] = {s: {} for s in members}
    right: dict[int, dict[int, float]] = {s: {} for s in members}
    for row in rows:
        for a, b in pairwise(row):
            step = max((sizes[a] + sizes[b]) / 2 + gap, left[segment[b]].get(segment[a], 0.0))
            left[segment[b]][segment[a]] = right[segment[a]][segment[b]] = step
    order = list(TopologicalSorter({s: list(beside) for s, beside in left.items()}).static_order())
    x: dict[int, float] = {}
    for s in order:
        x[s] = max((x[o] + step for o, step in left[s].items()), default=0.0)
    for sweep in range(_PLACE_SWEEPS):
        for s in reversed(order) if sweep % 2 == 0 else order:
            near = [x[segment[n]] for m in members[s] for n in above[m] + below[m] if segment[n] != s]
            low = max((x[o] + step for o, step in left[s].items()), default=float("-inf"))
            high = min((x[o] - step for o, step in right[s].items()), default=float("inf"))
            x[s] = min(max(_mean(near) if near else x[s], low), high)
    return [x[of] for of in segment]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
