"""One open file as the server sees it: its text, its tree if it parses, its types if it checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sparknet.compiler.checking import diagnose, is_library
from sparknet.compiler.definitions import Definition, definitions
from sparknet.compiler.net import LayerUse, TypedNet
from sparknet.grammar import Diagnostic, File, Source, SparkNetError, parse, syntax


@dataclass(frozen=True)
class Place:
    """A range of some file."""

    source: Source
    span: syntax.Span


class Document:
    """A text and what is known about it; made anew for every change, and cheap until asked."""

    def __init__(self, path: Path | None, text: str) -> None:
        self.path = path
        self.source = Source(str(path) if path else "<untitled>", text, path.parent if path else None)

    @cached_property
    def _parsed(self) -> tuple[File | None, list[Diagnostic]]:
        try:
            return parse(self.source), []
        except SparkNetError as error:
            return None, list(error.diagnostics)

    @property
    def tree(self) -> File | None:
        """The tree, if the text parses."""
        return self._parsed[0]

    @cached_property
    def _checked(self) -> tuple[TypedNet | None, list[Diagnostic]]:
        tree, problems = self._parsed
        if tree is None:
            return None, problems
        typed, problems = diagnose(tree, self.source)
        if is_library(tree):
            problems = [d for d in problems if d.code != "E0203"]
        return typed, problems

    @property
    def typed(self) -> TypedNet | None:
        """The types, if the net checks."""
        return self._checked[0]

    @property
    def problems(self) -> list[Diagnostic]:
        """Everything that is wrong."""
        return self._checked[1]

    @cached_property
    def definitions(self) -> dict[str, Definition]:
        """The lets and blocks of this file and of what it imports."""
        if self.tree is None:
            return {}
        return {d.name: d for d in definitions(self.tree, self.source, None, [])[0]}

    # ----- what stands at a place -----

    def nodes_at(self, offset: int) -> list[syntax.Node]:
        """The nodes around a place, outermost first."""
        found: list[syntax.Node] = []
        node: syntax.Node | None = self.tree
        while node is not None:
            found.append(node)
            node = next((c for c in _children(node) if c.span.start <= offset <= c.span.end), None)
        return found

    def uses_at(self, offset: int) -> list[LayerUse]:
        """The layers that the innermost layer at a place stands for: several, inside blocks and repeats."""
        if self.typed is None:
            return []
        around = [
            use
            for use in self.typed.net.layers
            if use.labels[0].source is self.source and use.labels[0].span.start <= offset <= use.labels[0].span.end
        ]
        shortest = min((use.labels[0].span.end - use.labels[0].span.start for use in around), default=0)
        return [use for use in around if use.labels[0].span.end - use.labels[0].span.start == shortest]

    def definition_at(self, offset: int) -> Place | None:
        """Where what is named at a place is defined: a block, a let, a value, an imported file."""
        nodes = self.nodes_at(offset)
        if not nodes:
            return None
        if any(isinstance(node, syntax.Import) for node in nodes):
            return self._imported(nodes)
        name = name_of(nodes[-1])
        if name is None:
            return None
        body = next((node for node in nodes if isinstance(node, syntax.Net | syntax.Block)), None)
        if body is not None and (local := _local(body, name, offset)):
            return Place(self.source, local.span)
        definition = self.definitions.get(name)
        return Place(definition.source, definition.item.name.span) if definition else None

    def _imported(self, nodes: list[syntax.Node]) -> Place | None:
        item = next(node for node in nodes if isinstance(node, syntax.Import))
        if self.path is None:
            return None
        path = self.path.parent / item.path.value
        return Place(Source(str(path), ""), syntax.Span(start=0, end=0)) if path.is_file() else None


def name_of(node: syntax.Node) -> str | None:
    """The name that an innermost node is."""
    return node.text if isinstance(node, syntax.Identifier | syntax.Name) else None


def _local(body: syntax.Net | syntax.Block, name: str, offset: int) -> syntax.Identifier | None:
    """The parameter, input or value of this name that is nearest above a place."""
    found = [p.name for p in body.parameters if p.name.text == name] if isinstance(body, syntax.Block) else []
    for statement in _statements(body.body):
        if statement.name.text == name and statement.name.span.start <= offset:
            found.append(statement.name)
    return found[-1] if found else None


def _statements(body: tuple[syntax.Statement, ...]) -> Iterator[syntax.Assign | syntax.Input]:
    for statement in body:
        match statement:
            case syntax.Assign() | syntax.Input():
                yield statement
            case syntax.Repeat() | syntax.Part():
                yield from _statements(statement.body)
            case syntax.If():
                yield from _statements((*statement.then, *statement.orelse))


def _children(node: syntax.Node) -> Iterator[syntax.Node]:
    for value in node.__dict__.values():
        parts = value if isinstance(value, tuple) else (value,)
        yield from (part for part in parts if isinstance(part, syntax.Node))
