"""Drawings as SVG: no scripts, no fonts or files from elsewhere; reads on white and in print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from sparknet.compiler.drawing.graph import Box, Drawing
from sparknet.compiler.drawing.layered import lay_out

_CHARACTER = 7.3
"""Width of a character; the font is monospaced so that this holds everywhere."""
_SMALL = 6.1
"""Width of a character of a frame's text."""
_LONGEST = 44
_HEIGHT, _DOWN = 40.0, 70.0
"""Height of a box, and from one layer to the next."""
_GAP, _BEND, _MARGIN = 24.0, 6.0, 24.0
_SIDE, _HEAD = 8.0, 14.0
"""What a frame adds beside and below the boxes inside, and above them, where its text stands."""
_FILLS = {
    "port": ("#e7f3ea", "#4b8b5f"),
    "weights": ("#e6eefb", "#4a72b0"),
    "join": ("#fdf0dc", "#b9822b"),
    "plain": ("#f5f5f5", "#8a8a8a"),
    "block": ("#efe9f9", "#7a5fae"),
}
_STYLE = (
    "text{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:12px;fill:#222;"
    "text-anchor:middle}.s{font-size:10.5px;fill:#666}.f{font-size:10px;fill:#7a5fae;text-anchor:start}"
    ".e{fill:none;stroke:#777;stroke-width:1.3;marker-end:url(#a)}"
)


def to_svg(drawing: Drawing) -> str:
    """The drawing as one SVG file."""
    widths = [max(len(_cut(box.text)), len(box.shape) * 0.9) * _CHARACTER + 24 for box in drawing.boxes]
    layout = lay_out(widths, drawing.edges, _GAP, _BEND)
    blocks = _blocks(drawing, layout.layer)
    left = min((x - w / 2 for x, w in zip(layout.x, widths, strict=False)), default=0.0)
    left -= _SIDE * max((block.levels for block in blocks.values()), default=0)
    xs = [x - left + _MARGIN for x in layout.x]
    rows = _rows(max(layout.layer, default=0) + 1, blocks.values())
    ys = [rows[layer] for layer in layout.layer]
    frames = _frames(drawing, blocks, xs, ys, widths)
    width = max([*(x + w / 2 for x, w in zip(xs, widths, strict=False)), *xs], default=0.0) + _MARGIN
    width += _SIDE * max((block.levels for block in blocks.values()), default=0)
    height = max(ys, default=0.0) + _HEIGHT / 2 + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img">',
        f"<title>net {escape(drawing.name)}</title><style>{_STYLE}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#777"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#fff"/>',
        *(shape for shape, _ in frames),
        *(_edge(path, xs, ys) for path in layout.paths),
        *(text for _, text in frames),
        *(_box(box, x, y, w) for box, x, y, w in zip(drawing.boxes, xs, ys, widths, strict=False)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(box: Box, x: float, y: float, width: float) -> str:
    fill, stroke = _FILLS[box.kind]
    radius = _HEIGHT / 2 if box.kind == "port" else 5
    more = f", {box.parameters:,} parameters" if box.parameters else ""
    return (
        f"<g><title>{escape(box.text + more)}</title>"
        f'<rect x="{x - width / 2:.1f}" y="{y - _HEIGHT / 2:.1f}" width="{width:.1f}" height="{_HEIGHT:.0f}" '
        f'rx="{radius:.0f}" fill="{fill}" stroke="{stroke}"/>'
        f'<text x="{x:.1f}" y="{y - 2:.1f}">{escape(_cut(box.text))}</text>'
        f'<text class="s" x="{x:.1f}" y="{y + 13:.1f}">{escape(box.shape)}</text></g>'
    )


def _edge(path: Sequence[int], xs: Sequence[float], ys: Sequence[float]) -> str:
    """A smooth line from the lower rim of the first box to the upper rim of the last, straight past boxes."""
    points = [(xs[path[0]], ys[path[0]] + _HEIGHT / 2)]
    for node in path[1:-1]:
        points += [(xs[node], ys[node] - _HEIGHT / 2), (xs[node], ys[node] + _HEIGHT / 2)]
    points.append((xs[path[-1]], ys[path[-1]] - _HEIGHT / 2))
    out = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for position, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        if position % 2 or abs(x0 - x1) < 0.5:
            out.append(f"L{x1:.1f} {y1:.1f}")
        else:
            middle = (y0 + y1) / 2
            out.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    return f'<path class="e" d="{"".join(out)}"/>'


@dataclass
class _Block:
    """The boxes of one use of a block, and how many frames, itself counted, lie between them and its own frame."""

    inside: list[int]
    first: int
    last: int
    depth: int
    levels: int = 1
    heads: int = 1
    """Frames, itself counted, that begin with it or inside it in its first layer, each with a line of text."""


def _blocks(drawing: Drawing, layer: Sequence[int]) -> dict[int, _Block]:
    blocks: dict[int, _Block] = {}
    for number, box in enumerate(drawing.boxes):
        for depth, frame in enumerate(box.frames):
            block = blocks.setdefault(frame, _Block([], layer[number], layer[number], depth))
            block.inside.append(number)
            block.first, block.last = min(block.first, layer[number]), max(block.last, layer[number])
    for box in drawing.boxes:
        for depth, frame in enumerate(box.frames):
            block = blocks[frame]
            block.levels = max(block.levels, len(box.frames) - depth)
            heads = sum(blocks[inner].first == block.first for inner in box.frames[depth:])
            block.heads = max(block.heads, heads)
    return blocks


def _rows(count: int, blocks: Iterable[_Block]) -> list[float]:
    """The centres of the layers, with room for the frames between them."""
    heads, feet = [0] * count, [0] * count
    for block in blocks:
        heads[block.first] = max(heads[block.first], block.heads)
        feet[block.last] = max(feet[block.last], block.levels)
    rows = []
    y = _MARGIN + _HEIGHT / 2
    for number in range(count):
        y += _HEAD * heads[number]
        rows.append(y)
        y += _DOWN + _SIDE * feet[number]
    return rows


def _frames(
    drawing: Drawing,
    blocks: Mapping[int, _Block],
    xs: Sequence[float],
    ys: Sequence[float],
    widths: Sequence[float],
) -> list[tuple[str, str]]:
    """A frame around the boxes of each block and its text, unless boxes of others would come to lie in it."""
    shapes: list[tuple[str, str]] = []
    for frame, block in sorted(blocks.items(), key=lambda item: item[1].depth):
        inside = block.inside
        left = min(xs[n] - widths[n] / 2 for n in inside) - _SIDE * block.levels
        right = max(xs[n] + widths[n] / 2 for n in inside) + _SIDE * block.levels
        top = min(ys[n] for n in inside) - _HEIGHT / 2 - _HEAD * block.heads - 4
        bottom = max(ys[n] for n in inside) + _HEIGHT / 2 + _SIDE * block.levels
        others = set(range(len(drawing.boxes))) - set(inside)
        if any(left < xs[n] + widths[n] / 2 and xs[n] - widths[n] / 2 < right and top < ys[n] < bottom for n in others):
            continue
        text = _cut(drawing.frames[frame])
        # On a ground of its own, for edges may run under it.
        shape = (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}" rx="8" '
            f'fill="#7a5fae" fill-opacity="0.06" stroke="#7a5fae" stroke-opacity="0.35"/>',
            f'<rect x="{left + 5:.1f}" y="{top + 2:.1f}" width="{len(text) * _SMALL + 6:.1f}" height="13" '
            f'fill="#f7f5fa"/>'
            f'<text class="f" x="{left + 8:.1f}" y="{top + 12:.1f}">{escape(text)}</text>',
        )
        shapes.append(shape)
    return shapes


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
