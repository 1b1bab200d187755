"""The maxima of a convolution of the data, by the places of their windows.

The largest number of a window is the largest of the products of the filters with what they meet at each of its places.
So each place has a matrix of its own, filters by windows, and comparing them two by two says both which number is the
largest and where the gradient goes. The places of a `MaxPool` have to be searched for: with few channels that takes
longer than the convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod

from sparknet.compiler.differentiate import path
from sparknet.compiler.gradients.convolution import MANY_CHANNELS
from sparknet.compiler.graph import GraphBuilder, Node, Value
from sparknet.compiler.sliding import Geometry, batch_last, cut

_MOST_COPIES = 8
"""Numbers that a filter meets, laid out for all windows: so many for each filter are worth it still (measured)."""

_MOST_PLACES = 9
"""Of a window; each is a matrix of its own."""


def pool_by_places(g: GraphBuilder, targets: Sequence[Value], trained: Sequence[Value]) -> list[Value]:
    """Write each `MaxPool` that alone reads a convolution of few channels with the maximum of products.

    Where windows neither overlap nor leave a rest, and a gradient goes to the filters and none to what is convolved, as
    `trained` reaches them. A `Relu` behind comes along, so that it works on the same layout. `targets` are all that is
    wanted of the graph. Call before gradients are derived, and `as_maxima` with what this gives behind.
    """
    pools = [(node, g.producer(node.inputs[0])) for node in g.nodes if node.op == "MaxPool"]
    found = [(pool, before) for pool, before in pools if before is not None and before.op == "Conv"]
    if not found:
        return []
    g.infer()
    readers = g.readers(g.live(targets))
    choices: list[Value] = []
    for pool, convolution in found:
        data, convolved = convolution.inputs[0], convolution.output
        pooled = _Pooled.of(g, pool, convolution)
        if pooled is None or readers[convolved] != [pool] or convolved in targets:
            continue
        if path(g, [convolved], trained) and not path(g, [data], trained):
            behind = readers[pool.output]
            rectified = len(behind) == 1 and behind[0].op == "Relu" and pool.output not in targets
            last, shape = behind[0] if rectified else pool, g.shape(pool.output)
            g.recompute(last, partial(_maxima, g, pooled, rectified, choices))
            g.stated[last.output] = shape
    return choices


def as_maxima(g: GraphBuilder, choices: Sequence[Value]) -> None:
    """Let `Max` choose the larger of two, a pass in place of three, once the gradient is derived from the choice.

    It also lets through numbers that are none, as `MaxPool` does.
    """
    for choice in choices:
        node = g.producer(choice)
        if node is None:
            raise AssertionError(f"`{choice}` is not chosen any more")
        g.recompute(node, partial(g.op, "Max", *node.inputs[1:]))


@dataclass(frozen=True)
class _Pooled:
    """A convolution and how it and its pooling slide; `windows` are how many there are along each side."""

    convolution: Node
    filters: int
    channels: int
    slides: Geometry
    window: list[int]
    windows: list[int]

    @classmethod
    def of(cls, g: GraphBuilder, pool: Node, convolution: Node) -> _Pooled | None:
        """That of a pooling and the convolution that it reads, if both have a form that can be written so."""
        slides, tiles = Geometry.of(convolution), Geometry.of(pool)
        filters, channels, *_ = g.shape(convolution.inputs[1])
        sides = [side for side in g.shape(convolution.output)[2:] if isinstance(side, int)]
        if not isinstance(filters, int) or not isinstance(channels, int) or len(sides) != len(tiles.kernel):
            return None
        met = channels * prod(slides.kernel)
        if slides.group > 1 or channels >= MANY_CHANNELS or met > _MOST_COPIES * filters:
            return None
        if not tiles.tiles(sides) or prod(tiles.kernel) > _MOST_PLACES:
            return None
        windows = [side // size for side, size in zip(sides, tiles.kernel, strict=True)]
        return cls(convolution, filters, channels, slides, tiles.kernel, windows)


def _maxima(g: GraphBuilder, found: _Pooled, rectified: bool, choices: list[Value]) -> Value:
    """Adds what is chosen of two to `choices`.

    The bias comes behind the maximum, a number for each window: `max(a + c, b + c)` is `max(a, b) + c`.
    """
    weight, *bias = found.convolution.inputs[1:]
    with g.layer(found.convolution.layer):
        filters = g.op("Reshape", weight, g.ints(found.filters, -1))
        products = [g.op("Gemm", filters, patches) for patches in _patches(g, found)]
    largest = _first_largest(g, products, choices)
    if bias:
        largest = g.op("Add", largest, g.op("Reshape", bias[0], g.ints(-1, 1)))
    if rectified:
        largest = g.op("Relu", largest)
    batch_last = g.op("Reshape", largest, g.ints(found.filters, *found.windows, -1))
    count = len(found.windows)
    return g.op("Transpose", batch_last, perm=[count + 1, *range(count + 1)])


def _patches(g: GraphBuilder, found: _Pooled) -> list[Value]:
    """What a filter meets at each place of a window: [channels and kernel positions, windows and rows of the batch].

    What a kernel position meets is cut out once for all places.
    """
    s = found.slides
    turned = batch_last(g, found.convolution.inputs[0], s.pads)
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


def _first_largest(g: GraphBuilder, values: Sequence[Value], choices: list[Value]) -> Value:
    """The largest of values, number by number; the gradient goes to the first that holds it, as in PyTorch."""
    if len(values) == 1:
        return values[0]
    half = (len(values) + 1) // 2
    first, second = (_first_largest(g, part, choices) for part in (values[:half], values[half:]))
    choices.append(g.op("Where", g.op("GreaterOrEqual", first, second), first, second))
    return choices[-1]
