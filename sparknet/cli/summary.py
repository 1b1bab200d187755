"""`sparknet summary`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from sparknet.cli.files import read
from sparknet.compiler.checking import check
from sparknet.compiler.summary import summarize


def summarize_file(file: Path, unfold: bool, style: str, settings: Sequence[str], root: Path | None) -> None:
    """Print what the net in `file` consists of; raises SparkNetError."""
    summary = summarize(check(read(file), settings=settings, root=root), unfold)
    click.echo(json.dumps(summary.to_dict(), indent=2) if style == "json" else str(summary))
