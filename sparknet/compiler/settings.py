"""Settings from the command line: `--set width=32 --set train.epochs=2`.

A setting is read and checked as if it stood in the file, and its text, `--set train.epochs=2`, is a source of its own
for messages. The keys of sections are put into the tree; there their spans lie behind the end of the file's text, and
`Placement` leads them back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.parse import parse
from sparknet.grammar.source import Source
from sparknet.grammar.suggest import closest
from sparknet.grammar.tree import shifted

SECTIONS = ("data", "train", "predict")

_OPTION = "--set "
_FORM = re.compile(r"(?:([A-Za-z_][A-Za-z0-9_]*)\s*\.\s*)?([A-Za-z_][A-Za-z0-9_]*)\s*=[^\r\n]*")


@dataclass(frozen=True)
class Setting:
    """One setting; the spans of its parts are places in `source`."""

    section: syntax.Identifier | None
    name: syntax.Identifier
    value: syntax.Expr
    source: Source

    @property
    def path(self) -> str:
        """`width` or `train.epochs`."""
        return f"{self.section.text}.{self.name.text}" if self.section else self.name.text

    def error(self, code: str, message: str, node: syntax.Node, *helps: str) -> Diagnostic:
        """A diagnostic at a part of this setting."""
        return Diagnostic(code, message, (Label(self.source, node.span),), helps=helps)


@dataclass(frozen=True)
class Placement:
    """Where spans behind the end of a text belong: the offset where each setting's text begins, last first."""

    begins: tuple[tuple[int, Source], ...] = ()

    def place(self, source: Source, span: syntax.Span) -> tuple[Source, syntax.Span]:
        """The source and the span in it."""
        for begin, option in self.begins:
            if span.start >= begin:
                return option, syntax.Span(start=span.start - begin, end=span.end - begin)
        return source, span


NOWHERE_ELSE = Placement()
"""All spans are places of the text itself."""


@dataclass
class Settings:
    """All settings of one run; those that a `let` or a section took are ticked off."""

    lets: dict[str, Setting] = field(default_factory=dict)
    keys: list[Setting] = field(default_factory=list)

    def unknown(self, lets: Iterable[str]) -> Iterable[Diagnostic]:
        """Complain about settings that name no let."""
        known = set(lets)
        for name, setting in self.lets.items():
            if name not in known:
                near = closest(name, known)
                help = f"did you mean `{near}`?" if near else "a key of a section is written `--set train.epochs=2`"
                yield setting.error("E0506", f"the file has no `let {name}`", setting.name, help)

    def put_into(self, file: syntax.File, source: Source) -> tuple[syntax.File, Placement]:
        """The file with the keys of its sections as they were set."""
        begin = len(source.text) + 1
        begins: list[tuple[int, Source]] = []
        for setting in self.keys:
            begins.append((begin, setting.source))
            file = _with_key(file, setting, begin)
            begin += len(setting.source.text) + 1
        return file, Placement(tuple(reversed(begins)))


def read_settings(texts: Sequence[str], problems: list[Diagnostic]) -> Settings:
    """What was given with `--set`; what cannot be read becomes a problem."""
    settings = Settings()
    seen: dict[str, Setting] = {}
    for text in texts:
        try:
            setting = _read(text)
        except SparkNetError as error:
            problems.extend(error.diagnostics)
            continue
        if setting.path in seen:
            places = Label(setting.source, setting.name.span), Label(seen[setting.path].source, setting.name.span)
            problems.append(Diagnostic("E0205", f"`{setting.path}` is set twice", places))
        elif setting.section is None:
            settings.lets[setting.name.text] = setting
        elif setting.section.text not in SECTIONS:
            near = closest(setting.section.text, SECTIONS)
            help = f"did you mean `{near}`?" if near else "sections are `data`, `train` and `predict`"
            message = f"unknown section `{setting.section.text}`"
            problems.append(setting.error("E0501", message, setting.section, help))
        else:
            settings.keys.append(setting)
        seen[setting.path] = setting
    return settings


def _read(text: str) -> Setting:
    source = Source("command line", _OPTION + text)
    match = _FORM.fullmatch(text)
    if not match:
        span = syntax.Span(start=len(_OPTION), end=len(source.text))
        help = "write `--set name=value` for a `let`, `--set section.key=value` for a key"
        raise SparkNetError(
            [Diagnostic("E0506", "a setting is a name, `=` and a value", (Label(source, span),), (), (help,))]
        )
    # Read as a `let` that is padded so that every character of the value keeps its place.
    begin = len(_OPTION) + match.start(2)
    let = Source(source.name, "let".ljust(begin) + source.text[begin:])
    try:
        items = parse(let).items
    except SparkNetError as error:
        raise SparkNetError([_moved(d, source) for d in error.diagnostics]) from None
    assert isinstance(items[0], syntax.Let)  # noqa: S101 - that is what the text begins with
    section = None
    if match[1]:
        at = len(_OPTION) + match.start(1)
        section = syntax.Identifier(span=syntax.Span(start=at, end=at + len(match[1])), text=match[1])
    return Setting(section, items[0].name, items[0].value, source)


def _moved(diagnostic: Diagnostic, source: Source) -> Diagnostic:
    return replace(diagnostic, labels=tuple(replace(label, source=source) for label in diagnostic.labels))


def _with_key(file: syntax.File, setting: Setting, begin: int) -> syntax.File:
    name: syntax.Identifier = shifted(setting.name, begin)
    value: syntax.Expr = shifted(setting.value, begin)
    entry = syntax.Entry(span=syntax.Span(start=name.span.start, end=value.span.end), key=name, value=value)
    section_name = shifted(setting.section, begin)
    for position, item in enumerate(file.items):
        if isinstance(item, syntax.Section) and item.name.text == section_name.text:
            entries = [entry if e.key.text == name.text else e for e in item.entries]
            entries += [] if entry in entries else [entry]
            section = item.model_copy(update={"entries": tuple(entries)})
            return file.model_copy(update={"items": (*file.items[:position], section, *file.items[position + 1 :])})
    section = syntax.Section(span=section_name.span, name=section_name, entries=(entry,))
    return file.model_copy(update={"items": (*file.items, section)})
