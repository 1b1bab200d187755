"""`sparknet check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from sparknet.cli.files import net_files, read
from sparknet.cli.report import Format, Report
from sparknet.compiler.checking import diagnose, is_library
from sparknet.grammar import Diagnostic, SparkNetError, parse
from sparknet.grammar.collector import collector_paused


def check_files(paths: Sequence[Path], settings: Sequence[str], root: Path | None, style: Format) -> int:
    """Report everything that is wrong with the files; gives the exit status.

    A file of blocks and lets without a net is one to import: it is in order if its definitions are.
    """
    report = Report(style)
    files = 0
    for path in net_files(paths):
        files += 1
        try:
            report.add(SparkNetError(_problems(path, settings, root)))
        except SparkNetError as error:
            report.add(error)
    report.show()
    if style == "text":
        errors = len(report.diagnostics)
        found = f"{errors:,} error{'s' * (errors != 1)}" if errors else "no errors"
        click.echo(("\n" if errors else "") + f"{files:,} file{'s' * (files != 1)} checked, {found}", err=True)
    return 1 if report.diagnostics else 0


def _problems(path: Path, settings: Sequence[str], root: Path | None) -> Sequence[Diagnostic]:
    source = read(path)
    with collector_paused():
        file = parse(source)
        _, problems = diagnose(file, source, settings, root)
    if is_library(file):
        problems = [d for d in problems if d.code != "E0203"]
    return problems
