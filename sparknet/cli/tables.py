"""What every command prints: labelled lines, numbers as people read them, the table of layers."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparknet.compiler import CompiledNet
from sparknet.compiler.describe import count
from sparknet.compiler.summary import amount

__all__ = ["amount", "count", "layer_table", "line", "make_console"]


def make_console() -> Console:
    """A console that keeps texts as they are: no markup, no guessed colours, no wrapping in pipes."""
    return Console(highlight=False, markup=False, soft_wrap=True)


def layer_table(net: CompiledNet) -> Table:
    """One line a layer: as written, the shape of its result, its parameters; the total below."""
    table = Table(box=None, pad_edge=False, show_footer=True, header_style="bold", footer_style="bold")
    table.add_column("layer", footer=Text("total"), overflow="fold")
    table.add_column("output")
    table.add_column("parameters", justify="right", footer=f"{net.trained_count:,}")
    for declared in net.typed.net.inputs:
        table.add_row(Text(f"input {declared.name}"), Text(str(declared.type)), "")
    for row in net.layers:
        table.add_row(Text(row.text), Text(str(row.type)), f"{row.parameters:,}" if row.parameters else "")
    for output in net.typed.net.outputs:
        kind = f"like {output.like}" if output.like else f"{output.kind}[{output.size}]"
        table.add_row(Text(f"output {output.name}"), Text(kind), "")
    return table


def line(console: Console, label: str, text: str) -> None:
    """One labelled line, its label in a column of its own."""
    console.print(Text(f"{label:<11}", style="bold") + Text(text), soft_wrap=True)
