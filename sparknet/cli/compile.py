"""`sparknet compile`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparknet.cli.check import defaults_of
from sparknet.cli.tables import amount, layer_table, line, make_console
from sparknet.compiler import compile
from sparknet.compiler.folder import check_output, write_compiled


def compile_file(file: Path, output: Path | None, settings: Sequence[str] = (), root: Path | None = None) -> None:
    """Compile the net in `file`, show its table and write the graphs to `output`, if any; raises SparkNetError."""
    console = make_console()
    net = compile(file, settings=settings, root=root)
    if output is not None:
        check_output(output)
    console.print(layer_table(net))
    if choices := defaults_of(net.typed):
        line(console, "choices", choices)
    if output is not None:
        files = write_compiled(net, output)
        console.print("")
        for name, size in files.items():
            line(console, "wrote", f"{output / name}  {amount(size)}")
