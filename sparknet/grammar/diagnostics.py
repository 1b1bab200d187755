"""Diagnostics: what went wrong, where, and what to try.

A diagnostic is plain data. Every pass makes them the same way and `render` in `sparknet.grammar.render` shows them the
same way, whether the cause lies in the text, in a shape or in the data that a binding names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sparknet.grammar.source import Source
from sparknet.grammar.syntax import Span


@dataclass(frozen=True)
class Label:
    """A marked range of a source, with an optional text beside the carets."""

    source: Source
    span: Span
    text: str = ""


@dataclass(frozen=True)
class Diagnostic:
    """One error: `message` says what, `helps` say how to mend it (lower case, no full stop).

    `labels[0]` is the place of the error; the others mark code that contributed to it.
    `notes` add facts, such as the chain of shapes that led to a mismatch.
    """

    code: str
    message: str
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()


@dataclass
class SparkNetError(Exception):
    """Every failure that a user can mend, as one or more diagnostics."""

    diagnostics: Sequence[Diagnostic] = field(default_factory=tuple)

    def __str__(self) -> str:
        from sparknet.grammar.render import render

        return "\n\n".join(render(d) for d in self.diagnostics)
