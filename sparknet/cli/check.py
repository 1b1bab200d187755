"""`sparknet check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from sparknet.cli.files import net_files, read
from sparknet.cli.report import Format, Report
from sparknet.compiler.checking import diagnose, is_library
from sparknet.compiler.net import TypedNet
from sparknet.grammar import Diagnostic, SparkNetError, parse
from sparknet.grammar.collector import collector_paused


def check_files(paths: Sequence[Path], settings: Sequence[str], root: Path | None, style: Format) -> int:
    """Report everything that is wrong with the files; gives the exit status.

    A file of blocks and lets without a net is one to import: it is in order if its definitions are.
    """
    report = Report(style)
    files, notes = 0, list[str]()
    for path in net_files(paths):
        files += 1
        try:
            problems, choices = _problems(path, settings, root)
            report.add(SparkNetError(problems))
            notes += [f"{path}: {choices}"] if choices else []
        except SparkNetError as error:
            report.add(error)
    report.show()
    if style == "text":
        for note in notes:
            click.echo(note, err=True)
        errors = len(report.diagnostics)
        found = f"{errors:,} error{'s' * (errors != 1)}" if errors else "no errors"
        click.echo(("\n" if errors else "") + f"{files:,} file{'s' * (files != 1)} checked, {found}", err=True)
    return 1 if report.diagnostics else 0


def _problems(path: Path, settings: Sequence[str], root: Path | None) -> tuple[Sequence[Diagnostic], str]:
    """What is wrong with a file, and what is said about its choices."""
    source = read(path)
    with collector_paused():
        file = parse(source)
        typed, problems = diagnose(file, source, settings, root)
    if is_library(file):
        problems = [d for d in problems if d.code != "E0203"]
    choices = "" if typed is None or problems else defaults_of(typed)
    return problems, choices


def defaults_of(typed: TypedNet) -> str:
    """What is taken of the choices where none is searched, in one line; nothing without choices."""
    choices = typed.net.choices
    return f"{choices.describe()}; `sparknet tune` searches" if choices.every else ""
