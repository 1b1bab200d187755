"""Settings from the command line: `--set width=32 --set train.epochs=2`.

A setting is read and checked as if it stood in the file, and its text, `--set train.epochs=2`, is a source of its own
for messages. The keys of sections are put into the tree; there their spans lie behind the end of the file's text, and
`Placement` leads them back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sparknet.compiler.sources import reader
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.parse import parse
from sparknet.grammar.source import Source
from sparknet.grammar.suggest import closest
from sparknet.grammar.tree import shifted

SECTIONS = ("data", "train", "predict")

_OPTION = "--set "
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_FORM = re.compile(rf"(?:({_NAME})\s*\.\s*)?({_NAME})((?:\s*\.\s*{_NAME})*)\s*=[^\r\n]*")
_READ = frozenset({"data.source", "data.train", "data.validation", "data.test", "predict.input", "predict.output"})
_PATH = re.compile(r"[^\s\"'()\[\]{},]+")
"""The keys whose values name files, and what is a path and nothing else."""


@dataclass(frozen=True)
class Setting:
    """One setting; the spans of its parts are places in `source`."""

    section: syntax.Identifier | None
    name: syntax.Identifier
    value: syntax.Expr
    source: Source
    within: tuple[syntax.Identifier, ...] = ()
    """The names of arguments that lead to what is set, in the value of the key."""

    @property
    def path(self) -> str:
        """`width`, `train.epochs` or `train.optimizer.lr`."""
        names = (self.section, self.name, *self.within) if self.section else (self.name,)
        return ".".join(name.text for name in names)

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

    def put_into(self, file: syntax.File, source: Source, problems: list[Diagnostic]) -> tuple[syntax.File, Placement]:
        """The file with the keys of its sections as they were set; what cannot be set becomes a problem."""
        begin = len(source.text) + 1
        begins: list[tuple[int, Source]] = []
        for setting in self.keys:
            begins.append((begin, setting.source))
            changed = _with_key(file, setting, begin)
            if changed is None:
                key = f"{setting.section.text}.{setting.name.text}" if setting.section else ""
                what = "not in the file" if _value_of(file, setting) is None else "no call with arguments"
                message = f"`{key}` is {what}, so there is no argument to set"
                help = f"set all of it: `--set '{key}=...'`"
                problems.append(setting.error("E0506", message, setting.within[0], help))
            else:
                file = changed
            begin += len(setting.source.text) + 1
        return file, Placement(tuple(reversed(begins)))


def read_settings(texts: Sequence[str], problems: list[Diagnostic]) -> Settings:
    """What was given with `--set`; what cannot be read becomes a problem. Raises TypeError for one text alone."""
    if isinstance(texts, str):  # a sequence of texts, too, but one of single letters
        raise TypeError(f"`settings` is a sequence of texts, found one text: write [{texts!r}]")
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
    begin, stop = len(_OPTION) + match.start(2), len(_OPTION) + match.end(2)
    rest = len(_OPTION) + match.end(3)
    let = Source(source.name, "let".ljust(begin) + source.text[begin:stop].ljust(rest - begin) + source.text[rest:])
    try:
        items = parse(let).items
    except SparkNetError as error:
        key, value = f"{match[1]}.{match[2]}", text.partition("=")[2].strip()
        if key in _READ and _PATH.fullmatch(value):
            at = len(_OPTION) + text.rindex(value)
            label = Label(source, syntax.Span(start=at, end=at + len(value)))
            help = f"write `--set '{key}={reader(value)}'`"
            message = "a path stands in quotes, within what reads or writes it"
            raise SparkNetError([Diagnostic("E0506", message, (label,), (), (help,))]) from None
        raise SparkNetError([_moved(d, source) for d in error.diagnostics]) from None
    assert isinstance(items[0], syntax.Let)  # noqa: S101 - that is what the text begins with
    section = None
    if match[1]:
        at = len(_OPTION) + match.start(1)
        section = syntax.Identifier(span=syntax.Span(start=at, end=at + len(match[1])), text=match[1])
    within = tuple(_identifier(name, len(_OPTION) + match.start(3)) for name in re.finditer(_NAME, match[3]))
    return Setting(section, items[0].name, items[0].value, source, within)


def _identifier(name: re.Match[str], begin: int) -> syntax.Identifier:
    return syntax.Identifier(span=syntax.Span(start=begin + name.start(), end=begin + name.end()), text=name[0])


def _moved(diagnostic: Diagnostic, source: Source) -> Diagnostic:
    return replace(diagnostic, labels=tuple(replace(label, source=source) for label in diagnostic.labels))


def _with_key(file: syntax.File, setting: Setting, begin: int) -> syntax.File | None:
    """The file with a key set; None where an argument is to be set in what has none."""
    name: syntax.Identifier = shifted(setting.name, begin)
    value: syntax.Expr = shifted(setting.value, begin)
    if setting.within:
        found = _with_argument(_value_of(file, setting), shifted(setting.within, begin), value)
        if found is None:
            return None
        value = found
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


def _value_of(file: syntax.File, setting: Setting) -> syntax.Expr | None:
    """What a file says of the key that is set."""
    section = setting.section.text if setting.section else ""
    sections = (item for item in file.items if isinstance(item, syntax.Section) and item.name.text == section)
    return next((e.value for each in sections for e in each.entries if e.key.text == setting.name.text), None)


def _with_argument(
    call: syntax.Expr | None, names: Sequence[syntax.Identifier], value: syntax.Expr
) -> syntax.Expr | None:
    """A call with one of its arguments, or of the arguments of that, set; None where there is no call."""
    if isinstance(call, syntax.Name):  # `adam` for `adam()`
        call = syntax.Call(span=call.span, name=syntax.Identifier(span=call.span, text=call.text), arguments=())
    if not isinstance(call, syntax.Call):
        return None
    arguments, key = list(call.arguments or ()), names[0]
    before = next((a for a in arguments if a.key is not None and a.key.text == key.text), None)
    inner = value if len(names) == 1 else _with_argument(before.value if before else None, names[1:], value)
    if inner is None:
        return None
    argument = syntax.Argument(span=syntax.Span(start=key.span.start, end=inner.span.end), key=key, value=inner)
    arguments = [argument if a is before else a for a in arguments] if before else [*arguments, argument]
    return call.model_copy(update={"arguments": tuple(arguments)})
