"""Checking: everything that compiling finds wrong, without a graph, and so without numpy and onnx."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sparknet.compiler.choices import replaced
from sparknet.compiler.engines import check_layers
from sparknet.compiler.examine import examine, in_order
from sparknet.compiler.infer import infer
from sparknet.compiler.net import TypedNet
from sparknet.grammar import limits, syntax
from sparknet.grammar.collector import collector_paused
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.format import write
from sparknet.grammar.parse import parse
from sparknet.grammar.reading import load
from sparknet.grammar.source import Source


def check(
    text_or_path: str | Path | Source | syntax.File, *, settings: Sequence[str] = (), root: str | Path | None = None
) -> TypedNet:
    """The net with a type on every value.

    Args:
        text_or_path: A path to a `.net` file, its text (anything with a line break or a brace in it), or its tree.
        settings: Lets and keys of sections to change, as `--set` takes them: `width=32`, `train.epochs=2`.
        root: The folder below which imports may reach; by default that of the file.

    Raises:
        SparkNetError: With everything that is wrong, in the order of the file.
    """
    source = read(text_or_path)
    with collector_paused():
        typed, problems = diagnose(parse(source), source, settings, root)
    if typed is None or problems:
        raise SparkNetError(problems)
    return typed


def diagnose(
    file: syntax.File, source: Source, settings: Sequence[str] = (), root: str | Path | None = None
) -> tuple[TypedNet | None, list[Diagnostic]]:
    """What is wrong with a file that parses, mistakes in shapes with all others; and its types, if they fit."""
    typed = None
    with collector_paused():
        net, problems = examine(file, source, settings, None if root is None else Path(root))
        if net is not None:
            try:
                typed = infer(net)
            except SparkNetError as error:
                problems.extend(error.diagnostics)
        if typed is not None and not problems:
            problems.extend(check_layers(typed))
        if typed is not None and not problems:
            problems.extend(_wrong_options(file, typed, settings, None if root is None else Path(root)))
    return typed, in_order(problems, source)[: limits.ERRORS]


_SHAPES = frozenset({"E0208", "E0401", "E0402", "E0403", "E0405"})
"""What one option of a choice may suffer from and another combination not: a search tells of it, and goes on."""

_MOST_OPTIONS = 100


def _wrong_options(file: syntax.File, typed: TypedNet, settings: Sequence[str], root: Path | None) -> list[Diagnostic]:
    """What is wrong with options that only a search would take, each looked at alone."""
    source, found = typed.net.source, list[Diagnostic]()
    own = [c for c in typed.net.choices.every if c.call is not None and c.label.source is source]
    for choice, node in [(c, node) for c in own for node in c.nodes if node is not c.nodes[0] or c.numbers][
        :_MOST_OPTIONS
    ]:
        assert choice.call is not None  # noqa: S101 - as all in `own`
        _, problems = examine(replaced(file, {choice.call.span: node}), source, settings, root)
        option = Label(source, node.span, "with this choice")
        found += [_led(problem, option) for problem in problems if problem.code not in _SHAPES]
    return found


def _led(problem: Diagnostic, option: Label) -> Diagnostic:
    """What is wrong with an option, which is shown too unless it is what is shown already."""
    begin, end = option.span.start, option.span.end
    shown = any(x.source is option.source and begin <= x.span.start < end for x in problem.labels)
    return problem if shown else replace(problem, labels=(*problem.labels, option))


def is_library(file: syntax.File) -> bool:
    """Whether a file has no net of its own, but blocks or lets for others to import."""
    kinds = {item.kind for item in file.items}
    return bool(kinds & {"block", "let"}) and not kinds & {"net", "section"}


def read(text_or_path: str | Path | Source | syntax.File) -> Source:
    """The text that a path, a text, a source or a tree stands for; a tree is written anew."""
    if isinstance(text_or_path, syntax.File):
        return Source("<tree>", write(text_or_path))
    if isinstance(text_or_path, Source):
        return text_or_path
    if isinstance(text_or_path, str) and any(c in text_or_path for c in "\n{"):
        return Source("<text>", text_or_path)
    return load(text_or_path)
