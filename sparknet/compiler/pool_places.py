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

_FEW_CHANNELS = 8
"""Of more, the gradient of the weight is fast as it is."""

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
    pools = [node for node in g.nodes if node.op == "MaxPool" and _convolved(g, node) is not None]
    if not pools:
        return []
    g.infer()
    readers: dict[Value, list[Node]] = defaultdict(list)
    for node in g.live(targets):
        for value in node.reads:
            readers[value].append(node)
    choices: list[Value] = []
    for pool in pools:
        pooled = _Pooled.of(g, pool)
        if pooled is None or readers[pooled.convolution.output] != [pool] or pooled.convolution.output in targets:
            continue
        data, convolved = pooled.convolution.inputs[0], pooled.convolution.output
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


def _convolved(g: GraphBuilder, pool: Node) -> Node | None:
    """The convolution that a pooling reads."""
    node = g.producer(pool.inputs[0])
    return node if node is not None and node.op == "Conv" else None


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
        convolution = _convolved(g, pool)
        if convolution is None:
            return None
        slides, tiles = Geometry.of(convolution), Geometry.of(pool)
        filters, channels, *_ = g.shape(convolution.inputs[1])
        sides = [side for side in g.shape(convolution.output)[2:] if isinstance(side, int)]
        if not isinstance(filters, int) or not isinstance(channels, int) or len(sides) != len(tiles.kernel):
            return None
        met = channels * prod(slides.kernel)
        if slides.group > 1 or channels >= _FEW_CHANNELS or met > _MOST_COPIES * filters:
            return None
        if not tiles.tiles(sides) or prod(tiles.kernel) > _MOST_PLACES:
            return None
        windows = [side // size for side, size in zip(sides, tiles.kernel, strict=True)]
        return cls(convolution, pool, filters, channels, slides, tiles.kernel, windows)


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


def _first_largest(g: GraphBuilder, values: Sequence[Value], choices: list[Value]) -> Value:
    """The largest of values, number by number; the gradient goes to the first that holds it, as in PyTorch."""
    if len(values) == 1:
        return values[0]
    half = (len(values) + 1) // 2
    first, second = (_first_largest(g, part, choices) for part in (values[:half], values[half:]))
    choices.append(g.op("Where", g.op("GreaterOrEqual", first, second), first, second))
    return choices[-1]
