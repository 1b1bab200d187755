"""The lets and blocks of a file and of all that it imports, each with the text where it stands.

An import reaches files below one folder only: the root that was given, or else the folder of the file that is compiled.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparknet.compiler.choices import Choice, choose_let
from sparknet.compiler.reach import IMPORT, Reach
from sparknet.compiler.scope import BROKEN, Scope, Word, evaluate, unknown_word
from sparknet.compiler.settings import Settings
from sparknet.compiler.words import layer_words
from sparknet.grammar import limits, syntax
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.parse import parse
from sparknet.grammar.reading import load
from sparknet.grammar.source import Source
from sparknet.grammar.suggest import closest

MAX_FILES = 64


@dataclass(frozen=True)
class Definition:
    """A `let` or a `block`, its text, and the imports that led there."""

    item: syntax.Let | syntax.Block
    source: Source
    imports: tuple[Label, ...] = ()

    @property
    def name(self) -> str:
        """What it defines."""
        return self.item.name.text


@dataclass(frozen=True)
class _Loading:
    """A file whose imports are being followed."""

    source: Source
    real: str
    imports: tuple[Label, ...]


def definitions(
    file: syntax.File, source: Source, root: Path | None, problems: list[Diagnostic]
) -> tuple[list[Definition], bool]:
    """All lets and blocks in the order in which they are defined, imported ones where the import stands.

    The second value says whether every import could be followed; if not, unknown names say nothing.
    """
    gathering = _Gathering(source, root, problems)
    gathering.add(file, _Loading(source, gathering.real(source), ()))
    found: list[Definition] = []
    first: dict[str, Definition] = {}
    for definition in gathering.found:
        if definition.name in first:
            if len(problems) < limits.ERRORS:
                problems.append(_twice(definition, first[definition.name]))
        else:
            first[definition.name] = definition
            found.append(definition)
    return found, gathering.complete


def _twice(again: Definition, first: Definition) -> Diagnostic:
    labels = (
        Label(again.source, again.item.name.span, "given again here"),
        Label(first.source, first.item.name.span, "first given here"),
        *again.imports,
    )
    is_same = first.item.kind == again.item.kind
    message = f"`{again.name}` is " + ("defined twice" if is_same else f"the name of a {first.item.kind} already")
    return Diagnostic("E0205", message, labels, helps=("give one of them another name",))


def let_values(
    found: Iterable[Definition], given: Settings, problems: list[Diagnostic], choices: list[Choice]
) -> dict[str, Any]:
    """Values of the lets, each allowed to use those above it; a setting takes the place of what the file says.

    A `let` that is a choice is added to `choices`, and has the default of that.
    """
    values: dict[str, Any] = {}
    for definition in found:
        if not isinstance(definition.item, syntax.Let):
            continue
        if len(problems) >= limits.ERRORS:
            values[definition.name] = BROKEN
            continue
        setting = given.lets.get(definition.name)
        expr, source = (setting.value, setting.source) if setting else (definition.item.value, definition.source)
        scope = Scope(source, values)
        try:
            value = evaluate(choose_let(definition.name, expr, scope, choices), scope)
            if isinstance(value, Word) and value.text not in layer_words():
                if setting and isinstance(definition.item.value, syntax.Number) and not closest(value.text, values):
                    help = f"`{definition.name}` is a number: write `--set {definition.name}=32`"
                    raise scope.error("E0202", f"unknown name `{value.text}`", expr, help)
                raise unknown_word(value.text, expr, scope)
        except SparkNetError as error:
            behind = () if setting else definition.imports
            problems.extend(replace(d, labels=(*d.labels, *behind)) for d in error.diagnostics)
            value = BROKEN
        values[definition.name] = value
    return values


class _Gathering:
    """Follows imports, each file once."""

    def __init__(self, source: Source, root: Path | None, problems: list[Diagnostic]) -> None:
        self.found: list[Definition] = []
        self.complete = True
        self._reach = Reach(source, root)
        self._problems = problems
        self._seen: set[str] = set()
        self._open: list[_Loading] = []
        self._bytes = 0

    @staticmethod
    def real(source: Source) -> str:
        """What tells a file from others, whatever links lead to it."""
        return os.path.realpath(source.name) if source.folder is not None else ""

    def add(self, file: syntax.File, loading: _Loading) -> None:
        """Take in the definitions of a file and, where they stand, those of its imports."""
        self._seen.add(loading.real)
        self._open.append(loading)
        for item in file.items:
            if isinstance(item, syntax.Import):
                try:
                    self._import(item, loading)
                except SparkNetError as error:
                    self.complete = False
                    self._problems.extend(error.diagnostics)
            elif isinstance(item, syntax.Let | syntax.Block):
                self.found.append(Definition(item, loading.source, loading.imports))
        self._open.pop()

    def _import(self, item: syntax.Import, by: _Loading) -> None:
        here = Label(by.source, item.path.span)
        labels = (here, *by.imports)
        path = self._reach.find(item.path.value, by.source, IMPORT, labels)
        real = os.path.realpath(path)
        circle = [loading.real for loading in self._open]
        if real in circle:
            names = [loading.source.name for loading in self._open[circle.index(real) :]]
            steps = [f"`{a}` imports `{b}`" for a, b in zip(names, [*names[1:], names[0]], strict=True)]
            raise _error("E0211", "this import leads back to where it came from", labels, *steps)
        if real in self._seen:
            return
        if len(self._seen) > MAX_FILES:
            raise _error("E0208", f"more than {MAX_FILES} files are imported", labels)
        imports = (replace(here, text="imported here"), *by.imports)
        try:
            source = load(path)
            self._bytes += len(source.text)
            if self._bytes > limits.TEXT_BYTES:
                raise _error("E0208", f"the imported files hold more than {limits.TEXT_BYTES >> 10:,} KiB", labels)
            file = parse(source)
        except SparkNetError as error:
            self._seen.add(real)
            raise SparkNetError([_led(d, labels, imports) for d in error.diagnostics]) from None
        self.add(file, _Loading(source, real, imports))


def _error(code: str, message: str, labels: tuple[Label, ...], *notes: str) -> SparkNetError:
    return SparkNetError([Diagnostic(code, message, labels, notes)])


def _led(diagnostic: Diagnostic, labels: tuple[Label, ...], imports: tuple[Label, ...]) -> Diagnostic:
    """What is wrong with an imported file, with the import behind it; a file that cannot be read, at the import."""
    if diagnostic.labels == labels:
        return diagnostic
    if diagnostic.labels:
        return replace(diagnostic, labels=(*diagnostic.labels, *imports))
    return replace(diagnostic, code="E0210" if diagnostic.code == "E0125" else diagnostic.code, labels=labels)
