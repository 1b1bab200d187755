"""Drawings of nets: the graph of what is drawn, its layout in layers, and SVG and Mermaid to show it."""

from sparknet.compiler.drawing.graph import Drawing, draw
from sparknet.compiler.drawing.mermaid import to_mermaid
from sparknet.compiler.drawing.svg import to_svg

__all__ = ["Drawing", "draw", "to_mermaid", "to_svg"]
