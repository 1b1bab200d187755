"""What a net consists of, one line a layer: shapes, parameters, multiply-adds, memory; blocks folded or unfolded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from typing import Any

from sparknet.compiler.layers import Layer
from sparknet.compiler.net import LayerUse, TypedNet

_BYTES = {"float32": 4, "int64": 8}
_HEADS = ("layer", "output", "parameters", "multiply-adds", "activations")


@dataclass(frozen=True)
class Row:
    """One layer, one use of a block with the rows inside, or an input or output of the net."""

    text: str
    output: str
    parameters: int = 0
    multiply_adds: int = 0
    bytes: int = 0
    """Memory of the result, for one row of data."""
    rows: tuple[Row, ...] = ()
    times: int = 1
    """How often a block is used here in a row, by a `repeat`."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        rows = {"rows": [row.to_dict() for row in self.rows]} if self.rows else {}
        numbers = {"parameters": self.parameters, "multiply_adds": self.multiply_adds, "bytes": self.bytes}
        return {"layer": self.text, "output": self.output, "times": self.times, **numbers, **rows}


@dataclass(frozen=True)
class Summary:
    """The rows of a net and their totals; prints as a table, and shows as one in a notebook."""

    name: str
    inputs: tuple[Row, ...]
    layers: tuple[Row, ...]
    outputs: tuple[Row, ...]
    unfold: bool = False

    @property
    def total(self) -> Row:
        """The sums over all layers."""
        return replace(_sum("total", self.layers), output="", rows=())

    def lines(self) -> Iterator[tuple[int, Row]]:
        """Every line with its depth; what is inside blocks only where they are unfolded."""
        for group in (self.inputs, self.layers, self.outputs):
            yield from _walk(group, 0, self.unfold)

    def __str__(self) -> str:
        table = [_HEADS, *(_cells(row, "  " * depth) for depth, row in self.lines()), _cells(self.total)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join(_line(cells, widths) for cells in table)

    def _repr_html_(self) -> str:
        rows = "".join(_html(_cells(row), "td", depth) for depth, row in self.lines())
        return (
            f"<table><caption>net {escape(self.name)}</caption><thead>{_html(_HEADS, 'th')}</thead>"
            f"<tbody>{rows}</tbody><tfoot>{_html(_cells(self.total), 'th')}</tfoot></table>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, blocks with what is inside."""
        groups = {"inputs": self.inputs, "layers": self.layers, "outputs": self.outputs}
        listed = {name: [row.to_dict() for row in rows] for name, rows in groups.items()}
        return {"net": self.name, **listed, "total": self.total.to_dict()}


def summarize(typed: TypedNet, unfold: bool = False) -> Summary:
    """The summary of a net; with `unfold` what is inside blocks is listed too."""
    net = typed.net
    return Summary(
        name=net.name,
        inputs=tuple(Row(f"input {i.name}", str(i.type)) for i in net.inputs),
        layers=_grouped(net.layers, typed),
        outputs=tuple(Row(f"output {o.name}", o.type) for o in net.outputs),
        unfold=unfold,
    )


def _grouped(uses: Sequence[LayerUse], typed: TypedNet, depth: int = 0) -> tuple[Row, ...]:
    """Rows of layers, those inside a block at this depth as one."""
    rows: list[Row] = []
    for label, group in groupby(uses, lambda use: use.blocks[depth].label if len(use.blocks) > depth else None):
        inside = list(group)
        if label is None:
            rows += [_row(use, typed) for use in inside]
            continue
        times = len({use.blocks[depth].number for use in inside})
        text = inside[0].blocks[depth].text
        rows.append(_sum(f"{times} x {text}" if times > 1 else text, _grouped(inside, typed, depth + 1), times))
    return tuple(rows)


def _row(use: LayerUse, typed: TypedNet) -> Row:
    result, specs = typed.types[use.name], typed.parameters[use.name]
    return Row(
        use.text,
        str(result),
        sum(p.size for p in specs if p.kind == "trained"),
        products_of(use, typed),
        result.size * _BYTES[result.dtype],
    )


def products_of(use: LayerUse, typed: TypedNet) -> int:
    """The multiply-adds of a layer; what joins values multiplies by no weights."""
    return use.layer.multiply_adds(typed.types[use.inputs[0]]) if isinstance(use.layer, Layer) else 0


def _sum(text: str, rows: Sequence[Row], times: int = 1) -> Row:
    return Row(
        text,
        rows[-1].output if rows else "",
        sum(row.parameters for row in rows),
        sum(row.multiply_adds for row in rows),
        sum(row.bytes for row in rows),
        tuple(rows),
        times,
    )


# ----- printing -----


def _walk(rows: Iterable[Row], depth: int, unfold: bool) -> Iterator[tuple[int, Row]]:
    for row in rows:
        yield depth, row
        if unfold:
            yield from _walk(row.rows, depth + 1, unfold)


def _cells(row: Row, indent: str = "") -> tuple[str, ...]:
    numbers = (f"{row.parameters:,}", short(row.multiply_adds), amount(row.bytes))
    shown = (
        text if value else ""
        for text, value in zip(numbers, (row.parameters, row.multiply_adds, row.bytes), strict=True)
    )
    return (indent + row.text, row.output, *shown)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = [f"{cell:<{width}}" for cell, width in zip(cells[:2], widths[:2], strict=True)]
    right = [f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*left, *right]).rstrip()


def _html(cells: Sequence[str], tag: str, depth: int = 0) -> str:
    left, right = "text-align:left;padding-right:1em", "text-align:right;padding-left:1em"
    styles = [f"{left};padding-left:{depth + 0.5}em", left, *[right] * 3]
    inside = "".join(f'<{tag} style="{s}">{escape(c)}</{tag}>' for s, c in zip(styles, cells, strict=True))
    return f"<tr>{inside}</tr>"


def short(number: float) -> str:
    """A count as people read it: `640`, `12.5 k`, `1.15 G`."""
    for unit in ("", " k", " M", " G"):
        if number < 1000:
            return f"{number:.0f}" if not unit else f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} T"


def amount(size: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
