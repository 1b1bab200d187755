"""`sparknet plot`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from sparknet.cli.files import read
from sparknet.compiler.checking import check
from sparknet.compiler.drawing import draw, to_mermaid, to_svg
from sparknet.grammar import Diagnostic, SparkNetError


def plot_file(
    file: Path, output: Path | None, style: str | None, fold: bool, settings: Sequence[str], root: Path | None
) -> None:
    """Draw the net in `file`, to the standard output or to a file; raises SparkNetError."""
    drawing = draw(check(read(file), settings=settings, root=root), fold)
    is_mermaid = style == "mermaid" or (style is None and output is not None and output.suffix in {".mmd", ".mermaid"})
    text = to_mermaid(drawing) if is_mermaid else to_svg(drawing)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"`{output}` cannot be written: {(error.strerror or str(error)).lower()}"
        raise SparkNetError([Diagnostic("E0127", message)]) from None
    click.echo(f"wrote {output}", err=True)
