"""What is drawn of a net: boxes for inputs, layers and outputs, the edges between them, and frames around blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from sparknet.compiler.layers import Join
from sparknet.compiler.net import BlockUse, LayerUse, TypedNet, ValueId
from sparknet.grammar.diagnostics import Diagnostic, SparkNetError

MAX_BOXES = 1000

Kind = Literal["port", "weights", "join", "plain", "block"]


@dataclass(frozen=True)
class Box:
    """One node: what is written, and below it the shape of its result."""

    text: str
    shape: str
    kind: Kind
    parameters: int = 0
    frames: tuple[int, ...] = ()
    """The frames around it, outermost first."""


@dataclass
class Drawing:
    """Boxes in an order in which each comes after those it reads; edges are pairs of their numbers."""

    name: str
    boxes: list[Box] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    frames: dict[int, str] = field(default_factory=dict)
    """What is written on the frame of each use of a block."""


def draw(typed: TypedNet, fold: bool = False) -> Drawing:
    """The drawing of a net; with `fold` each use of a block is one box.

    Raises:
        SparkNetError: Where there would be too many boxes to read.
    """
    net = typed.net
    drawing = Drawing(net.name)
    homes: dict[ValueId, int] = {}
    for port in net.inputs:
        homes[port.name] = _add(drawing, Box(f"input {port.name}", str(port.type), "port"), ())
    for group in _groups(net.layers, fold):
        inside = {use.name for use in group}
        sources = [homes[v] for use in group for v in use.inputs if v not in inside]
        box = _layer(group[0], typed, drawing) if not fold or not group[0].blocks else _block(group, typed)
        number = _add(drawing, box, sources)
        homes.update(dict.fromkeys(inside, number))
        if len(drawing.boxes) > MAX_BOXES:
            message = f"net `{net.name}` has more than {MAX_BOXES:,} layers, too many to draw"
            helps = () if fold else ("`--fold` draws each use of a block as one box",)
            raise SparkNetError([Diagnostic("E0208", message, helps=helps)])
    for output in net.outputs:
        box = Box(f"output {output.name}", output.type, "port")
        _add(drawing, box, [homes[output.value]])
    return drawing


def _groups(layers: Sequence[LayerUse], fold: bool) -> list[list[LayerUse]]:
    """Layers that share a box, in order: with `fold` those of a use of a block, and of a `repeat` of it alone."""
    if not fold:
        return [[use] for use in layers]
    return [list(group) for _, group in groupby(layers, lambda use: use.blocks[0].label if use.blocks else use.name)]


def _add(drawing: Drawing, box: Box, sources: Sequence[int]) -> int:
    number = len(drawing.boxes)
    drawing.boxes.append(box)
    drawing.edges += [(source, number) for source in dict.fromkeys(sources)]
    return number


def _layer(use: LayerUse, typed: TypedNet, drawing: Drawing) -> Box:
    parameters = sum(p.size for p in typed.parameters[use.name])
    kind: Kind = "join" if isinstance(use.layer, Join) else "weights" if parameters else "plain"
    drawing.frames.update({block.number: block.text for block in use.blocks})
    return Box(use.text, str(typed.types[use.name]), kind, parameters, _numbers(use.blocks))


def _block(group: Sequence[LayerUse], typed: TypedNet) -> Box:
    parameters = sum(p.size for use in group for p in typed.parameters[use.name])
    times, text = len({use.blocks[0].number for use in group}), group[0].blocks[0].text
    return Box(f"{times} x {text}" if times > 1 else text, str(typed.types[group[-1].name]), "block", parameters)


def _numbers(blocks: Sequence[BlockUse]) -> tuple[int, ...]:
    return tuple(block.number for block in blocks)
