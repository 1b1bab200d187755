"""`sparknet fmt`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path
from secrets import token_hex

import click

from sparknet.cli.files import STDIN, net_files, read
from sparknet.cli.report import Report
from sparknet.grammar import Diagnostic, SparkNetError, format_source


def format_files(paths: Sequence[Path], check: bool, diff: bool) -> int:
    """Format files in place, or show what would change; gives the exit status."""
    report = Report()
    changed = 0
    for path in net_files(paths):
        try:
            source = read(path)
            text = format_source(source)
            if not (check or diff) and path != STDIN and text != source.text:
                _replace(path, text)
        except SparkNetError as error:
            report.add(error)
            continue
        changed += text != source.text
        if diff:
            click.echo(_diff(source.name, source.text, text), nl=False)
        elif path == STDIN and not check:
            click.echo(text, nl=False)
        elif text != source.text:
            click.echo(f"{'would format' if check else 'formatted'} {path}")
    report.show()
    return 1 if report.diagnostics or (check and changed) else 0


def _diff(name: str, before: str, after: str) -> str:
    lines = unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} formatted")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ no line end at the end of the file\n" for line in lines
    )


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all; behind a link, the file that it leads to."""
    real = Path(os.path.realpath(path))
    partial = real.with_name(f".{real.name}.{token_hex(4)}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        shutil.copymode(real, partial)
        partial.replace(real)
    except OSError as error:
        partial.unlink(missing_ok=True)
        message = f"`{path}` cannot be written: {(error.strerror or str(error)).lower()}"
        raise SparkNetError([Diagnostic("E0127", message)]) from None
