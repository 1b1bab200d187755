"""The maxima of a convolution of the data, by the places of their windows.

The largest number of a window is the largest of the products of the filters with what they meet at each of its places.
So each place has a matrix of its own, filters by windows, and comparing them two by two says both which number is the
largest and where the gradient goes. The places of a `MaxPool` have to be searched for: with few channels that takes
longer than the convolution.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod

from sparknet.compiler.differentiate import path
from sparknet.compiler.graph import GraphBuilder, Node, Value
from sparknet.compiler.sliding import Geometry, cut

_FEW_CHANNELS, _MOST_MET = 8, 128
"""Fewer channels than these, and no more numbers that a filter meets, are faster so (measured): what filters meet is
laid out for all windows, a copy of the data for each kernel position."""

_MOST_PLACES = 9
"""Of a window; each is a matrix of its own."""


def pool_by_places(g: GraphBuilder, targets: Sequence[Value], trained: Sequence[Value]) -> None:
    """Write each `MaxPool` that alone reads a convolution of few channels with the maximum of products.

    Where windows neither overlap nor leave a rest, and no gradient goes to what is convolved: none of `trained` reaches
    it. A `Relu` behind comes along, so that it works on the same layout. `targets` are all that is wanted of the graph.
    Call before gradients are derived.
    """
    pools = [node for node in g.nodes if node.op == "MaxPool"]
    if not pools:
        return
    g.infer()
    readers: dict[Value, list[Node]] = defaultdict(list)
    for node in g.live(targets):
        for value in node.reads:
            readers[value].append(node)
    for pool in pools:
        found = _Pooled.of(g, pool)
        if found is None or readers[found.convolution.output] != [pool] or found.convolution.output in targets:
            continue
        if not path(g, [found.convolution.inputs[0]], trained):
            behind = readers[pool.output]
            rectified = len(behind) == 1 and behind[0].op == "Relu" and pool.output not in targets
            last = behind[0] if rectified else pool
            shape = g.shape(pool.output)
            g.recompute(last, partial(_maxima, g, found, rectified))
            g.stated[last.output] = shape


@dataclass(frozen=True)
class _Pooled:
    """A convolution, its pooling, and how both slide; `windows` are how many there are along each side."""

    convolution: Node
    pool: Node
    filters: int
    channels: int
    slides: Geometry
    window: list[int]
    windows: list[int]

    @classmethod
    def of(cls, g: GraphBuilder, pool: Node) -> _Pooled | None:
        """That of a pooling, if it reads a convolution and both have a form that can be written so."""
        convolution = g.producer(pool.inputs[0])
        if convolution is None or convolution.op != "Conv":
            return None
        slides, tiles = Geometry.of(convolution), Geometry.of(pool)
        filters, channels, *_ = g.shape(convolution.inputs[1])
        sides = [side for side in g.shape(convolution.output)[2:] if isinstance(side, int)]
        if not isinstance(filters, int) or not isinstance(channels, int) or len(sides) != len(tiles.kernel):
            return None
        if slides.group > 1 or channels >= _FEW_CHANNELS or channels * prod(slides.kernel) > _MOST_MET:
            return None
        if not tiles.tiles(sides) or prod(tiles.kernel) > _MOST_PLACES:
            return None
        windows = [side // size for side, size in zip(sides, tiles.kernel, strict=True)]
        return cls(convolution, pool, filters, channels, slides, tiles.kernel, windows)


def _maxima(g: GraphBuilder, found: _Pooled, rectified: bool) -> Value:
    """The bias comes behind the maximum, a number for each window: `max(a + c, b + c)` is `max(a, b) + c`."""
    weight, *bias = found.convolution.inputs[1:]
    filters = g.op("Reshape", weight, g.ints(found.filters, -1))
    largest = _first_largest(g, [g.op("Gemm", filters, patches) for patches in _patches(g, found)])
    if bias:
        largest = g.op("Add", largest, g.op("Reshape", bias[0], g.ints(-1, 1)))
    if rectified:
        largest = g.op("Relu", largest)
    batch_last = g.op("Reshape", largest, g.ints(found.filters, *found.windows, -1))
    count = len(found.windows)
    return g.op("Transpose", batch_last, perm=[count + 1, *range(count + 1)])


def _patches(g: GraphBuilder, found: _Pooled) -> list[Value]:
    """What a filter meets at each place of a window: [channels and kernel positions, windows and rows of the batch].

    With the batch behind the sides, what a kernel position meets is cut out in long pieces, once for all places.
    """
    s, count = found.slides, len(found.windows)
    turned = g.op("Transpose", found.convolution.inputs[0], perm=[*range(1, count + 2), 0])
    if any(s.pads):
        turned = g.op("Pad", turned, g.ints(0, *s.pads[:count], 0, 0, *s.pads[count:], 0))
    steps = [stride * size for stride, size in zip(s.strides, found.window, strict=True)]
    pieces: dict[tuple[int, ...], Value] = {}

    def piece(place: tuple[int, ...], at: tuple[int, ...]) -> Value:
        starts = tuple(p * step + a * gap for p, step, a, gap in zip(place, s.strides, at, s.dilations, strict=True))
        if starts not in pieces:
            met = cut(g, turned, starts, found.windows, steps, first=1)
            pieces[starts] = g.op("Reshape", met, g.ints(found.channels, 1, -1))
        return pieces[starts]

    positions = list(product(*map(range, s.kernel)))
    patches = []
    for place in product(*map(range, found.window)):
        met = [piece(place, at) for at in positions]
        together = g.op("Concat", *met, axis=1) if len(met) > 1 else met[0]
        patches.append(g.op("Reshape", together, g.ints(found.channels * len(positions), -1)))
    return patches


def _first_largest(g: GraphBuilder, values: Sequence[Value]) -> Value:
    """The largest of values, number by number; the gradient goes to the first that holds it, as in PyTorch."""
    if len(values) == 1:
        return values[0]
    half = (len(values) + 1) // 2
    first, second = (_first_largest(g, part) for part in (values[:half], values[half:]))
    return g.op("Where", g.op("GreaterOrEqual", first, second), first, second)
