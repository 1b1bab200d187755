"""Diagnostics as the commands print them: for people, as JSON for editors, as annotations for GitHub."""

from __future__ import annotations

import json
import sys
from typing import Literal

import click

from sparknet.grammar import Diagnostic, SparkNetError, render, to_dict

Format = Literal["text", "json", "github"]
FORMATS: tuple[Format, ...] = ("text", "json", "github")


class Report:
    """The diagnostics of one run of a command."""

    def __init__(self, style: Format = "text") -> None:
        self.style = style
        self.diagnostics: list[Diagnostic] = []

    def add(self, error: SparkNetError) -> None:
        """Take in what one file has wrong; what several files share, such as an import, is said once."""
        self.diagnostics += [d for d in error.diagnostics if d not in self.diagnostics]

    def show(self) -> None:
        """Print: what people read goes to the standard error, what tools read to the standard output."""
        if self.style == "json":
            click.echo(json.dumps([to_dict(d) for d in self.diagnostics], indent=2))
        elif self.style == "github":
            for diagnostic in self.diagnostics:
                click.echo(github(diagnostic))
        elif self.diagnostics:
            color = sys.stderr.isatty()
            click.echo("\n\n".join(render(d, color=color) for d in self.diagnostics), err=True)


def github(diagnostic: Diagnostic) -> str:
    """A workflow command, which GitHub shows beside the line in a pull request."""
    place = to_dict(diagnostic)
    keys = {"file": "file", "line": "line", "column": "col", "end_line": "endLine", "end_column": "endColumn"}
    values = {name: place[key] for key, name in keys.items() if place[key] is not None} | {"title": diagnostic.code}
    properties = ",".join(f"{name}={_escape(str(value), ':,')}" for name, value in values.items())
    text = "\n".join([diagnostic.message, *diagnostic.notes, *(f"help: {h}" for h in diagnostic.helps)])
    return f"::error {properties}::{_escape(text)}"


def _escape(text: str, more: str = "") -> str:
    """As GitHub's toolkit does: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions."""
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
