"""Choices: what `sparknet tune` searches, `let lr = choose(0.1, 0.01)` and `let width = range(16, 256, log: true)`.

A choice is the whole of a `let`, which names it, or stands in a key of `data` or `train`. Everything but a search takes
its default, the first of `choose` and the middle of `range`, in its place, so that nothing behind knows of choices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from sparknet.compiler.arguments import bind
from sparknet.compiler.scope import RANGE, Scope, Word, describe, evaluate, is_choice, unknown_word
from sparknet.compiler.words import layer_words
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.parse import parse
from sparknet.grammar.source import Source
from sparknet.grammar.spell import Speller, number
from sparknet.grammar.tree import make

MAX_OPTIONS = 1000
_LARGEST = 10**15

_FIXED = {
    **dict.fromkeys(("data.source", "data.split", "data.train"), "all trials are scored on the same rows"),
    **dict.fromkeys(("data.validation", "data.test"), "all trials are scored on the same rows"),
    "train.metrics": "all trials are measured alike",
    "train.engine": "an environment has one engine",
}
"""Keys that hold no choice, and why."""

Tree = TypeVar("Tree")


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("float_type", "a number")
    return value


Number = Annotated[int | float, BeforeValidator(_number)]


class Range(BaseModel):
    """Numbers between two ends, whole ones where both ends are; `log` draws their logarithms evenly."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str] = RANGE
    keyword_only: ClassVar[frozenset[str]] = frozenset({"log", "step"})

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    @property
    def whole(self) -> bool:
        """Whether all its numbers are whole."""
        return all(isinstance(each, int) for each in (self.low, self.high, self.step or 0))

    @property
    def count(self) -> int | None:
        """How many numbers there are; None for decimals without a step."""
        if self.step is None and not self.whole:
            return None
        return math.floor((self.high - self.low) / (self.step or 1) * (1 + 1e-12)) + 1

    def at(self, index: int) -> int | float:
        """The number at a place, for a range that can be counted: as exact as its step is."""
        value = self.low + index * (self.step or 1)
        return value if self.whole else min(float(f"{value:.12g}"), float(self.high))

    def rounded(self, value: float) -> int | float:
        """A number of the range as it is written: whole, or to four digits."""
        if self.whole:
            return min(max(math.floor(value + 0.5), int(self.low)), int(self.high))
        return min(max(float(f"{value:.4g}"), float(self.low)), float(self.high))

    @property
    def middle(self) -> int | float:
        """The default."""
        if self.step is not None and self.count is not None:
            return self.at(self.count // 2)
        return self.rounded(math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2)


@dataclass(frozen=True)
class Choice:
    """A choice by its name, `lr` or `train.optimizer.lr`; values are texts, as they are written in a file."""

    name: str
    label: Label
    default: str
    options: tuple[str, ...] = ()
    """Those of `choose`."""
    numbers: Range | None = None
    call: syntax.Call | None = field(default=None, repr=False)
    """As it stands in the file."""
    nodes: tuple[syntax.Expr, ...] = field(default=(), repr=False)
    """Its options, or the ends of its range."""
    key: str | None = None
    """The key that it stands in, `train.optimizer`; None for a `let`."""

    @property
    def count(self) -> int | None:
        """How many values it has; None where they cannot be counted."""
        return self.numbers.count if self.numbers is not None else len(self.options)

    def at(self, index: int) -> str:
        """The value at a place, where they can be counted."""
        return number(self.numbers.at(index)) if self.numbers is not None else self.options[index]


@dataclass(frozen=True)
class Choices:
    """All choices of a file, and the keys in whose values some of them stand."""

    every: tuple[Choice, ...] = ()
    keys: Mapping[str, syntax.Expr] = field(default_factory=dict)

    def settings(self, values: Mapping[str, str]) -> list[str]:
        """What `--set` takes to fix every choice at its value."""
        found = [f"{choice.name}={values[choice.name]}" for choice in self.every if choice.key is None]
        for key, expr in self.keys.items():
            chosen = {c.call.span: _parsed(values[c.name]) for c in self.every if c.key == key and c.call}
            found.append(f"{key}={Speller().expression(replaced(expr, chosen))}")
        return found

    def defaults(self) -> dict[str, str]:
        """What everything but a search takes."""
        return {choice.name: choice.default for choice in self.every}

    def describe(self) -> str:
        """What everything but a search takes, in one line."""
        return ", ".join(f"{name} = {value}" for name, value in self.defaults().items())


def choose_let(name: str, expr: syntax.Expr, scope: Scope, choices: list[Choice]) -> syntax.Expr:
    """What a `let` takes: its expression, or of a choice the default; the choice is noted. Raises SparkNetError."""
    if not is_choice(expr):
        return expr
    assert isinstance(expr, syntax.Call)  # noqa: S101 - a choice is one
    choice, default = _read(name, expr, scope)
    for argument in expr.arguments or () if choice.options else ():
        if isinstance(argument.value, syntax.Call):
            help = "choose where it is used: `optimizer = choose(adam(lr: 0.001), sgd(lr: 0.1))`"
            called = argument.value.name.text
            raise scope.error("E0215", f"a `let` holds no `{called}(...)`", argument.value, help)
        value = evaluate(argument.value, scope)
        if isinstance(value, Word) and value.text not in layer_words():
            raise unknown_word(value.text, argument.value, scope)
    choices.append(choice)
    return default


def choose_keys(
    section: syntax.Section, scope: Scope, choices: list[Choice], keys: dict[str, syntax.Expr]
) -> tuple[syntax.Section, list[Diagnostic]]:
    """The section with the defaults in the places of its choices, which are noted, and what is wrong with them.

    Where a choice is wrong, the first of what it holds stands in its place, or its entry is left out.
    """
    entries: list[syntax.Entry] = []
    problems: list[Diagnostic] = []
    for entry in section.entries:
        path = f"{section.name.text}.{entry.key.text}"
        found: dict[syntax.Span, syntax.Expr] = {}
        calls = list(_inside(entry.value, path))
        for name, call in calls:
            try:
                _check_place(section.name.text, entry.key.text, call, scope)
                if any(choice.name == name for choice in choices):
                    help = f"name one of them: `let ... = {call.name.text}(...)`"
                    raise scope.error("E0215", f"there is a choice `{name}` already", call, help)
                choice, default = _read(name, call, scope)
            except SparkNetError as error:
                problems += error.diagnostics
                for argument in (call.arguments or ())[:1]:
                    found[call.span] = argument.value
                continue
            choices.append(replace(choice, key=path))
            keys[path] = entry.value
            found[call.span] = default
        if len(found) == len(calls):
            entries.append(replaced(entry, found) if found else entry)
    return section.model_copy(update={"entries": tuple(entries)}), problems


def replaced(tree: Tree, by: Mapping[syntax.Span, syntax.Expr]) -> Tree:
    """The tree with the calls at some places replaced."""
    if isinstance(tree, tuple):
        return type(tree)(replaced(item, by) for item in tree)
    if not isinstance(tree, BaseModel) or isinstance(tree, syntax.Span):
        return tree
    if isinstance(tree, syntax.Call) and tree.span in by:
        return by[tree.span]  # type: ignore[return-value]  # an expression for an expression
    return tree.model_copy(update={name: replaced(value, by) for name, value in tree if name != "span"})


# ----- reading one -----


def _read(name: str, call: syntax.Call, scope: Scope) -> tuple[Choice, syntax.Expr]:
    """A choice and its default, at the place where that is written. Raises SparkNetError."""
    if call.name.text == RANGE:
        numbers = _range(call, scope)
        default, ends = _literal(numbers.middle, call), (_literal(numbers.low, call), _literal(numbers.high, call))
        return Choice(name, scope.label(call), number(numbers.middle), (), numbers, call, ends), default
    options = _options(call, scope)
    texts = tuple(map(Speller().expression, options))
    for position, text in enumerate(texts):
        if text in texts[:position]:
            raise scope.error("E0215", f"`{text}` is an option already", options[position], "remove it")
    return Choice(name, scope.label(call), texts[0], texts, None, call, tuple(options)), options[0]


def _options(call: syntax.Call, scope: Scope) -> list[syntax.Expr]:
    arguments = call.arguments or ()
    example = "write `choose(0.1, 0.01, 0.001)`"
    if not arguments:
        raise scope.error("E0302", "`choose` has nothing to choose from", call, example)
    for argument in arguments:
        if argument.key is not None:
            message = f"`choose` has no argument `{argument.key.text}`"
            raise scope.error("E0301", message, argument.key, f"its options have no names: {example}")
        if is_choice(argument.value):
            help = "give the one inside a name of its own, with `let`"
            raise scope.error("E0215", "a choice within a choice", argument.value, help)
    options = [argument.value for argument in arguments]
    if len(options) == 1:
        items = options[0].items if isinstance(options[0], syntax.ListExpr) else ()
        help = f"write `choose({', '.join(map(Speller().expression, items))})`" if len(items) > 1 else example
        raise scope.error("E0303", "`choose` has one option only", options[0], help)
    if len(options) > MAX_OPTIONS:
        raise scope.error("E0208", f"more than {MAX_OPTIONS:,} options", call)
    first = _kind(options[0], scope)
    for option in options[1:]:
        kind = _kind(option, scope)
        if kind != first:
            if isinstance(option, syntax.Name) and first != "a word":
                raise unknown_word(option.text, option, scope)
            labels = scope.label(option, f"this is {kind}"), scope.label(options[0], f"this is {first}")
            raise SparkNetError([Diagnostic("E0215", "the options of `choose` are of several kinds", labels)])
    return options


def _kind(option: syntax.Expr, scope: Scope) -> str:
    """What an option is, as messages call it; those of one choice are alike."""
    match option:
        case syntax.Call():
            return "a word"
        case syntax.ListExpr() | syntax.Dims():
            return "a list"
        case syntax.MapExpr():
            return "a map"
    value: Any = evaluate(option, scope)
    match value:
        case Word():
            return "a word"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case tuple():
            return "a list"
        case _:
            return "a number"


def _range(call: syntax.Call, scope: Scope) -> Range:
    for argument in call.arguments or ():
        value = argument.value.operand if isinstance(argument.value, syntax.Unary) else argument.value
        if not isinstance(value, syntax.Number | syntax.Boolean | syntax.String):
            computed = Speller().expression(argument.value)
            help = f"choose among what is computed: `choose({computed}, {computed} * 2)`"
            raise scope.error("E0303", f"a range holds plain numbers, found `{computed}`", argument.value, help)
    numbers = bind(Range, call, scope)
    fault = next(_faults(numbers), None)
    if fault is not None:
        raise scope.error("E0215", fault[0], call, fault[1])
    return numbers


def _faults(numbers: Range) -> Iterator[tuple[str, str | None]]:
    """What is wrong with a range as a whole, and what to write."""
    low, high, step = numbers.low, numbers.high, numbers.step
    if low == high:
        yield f"this range holds {describe(low)} alone", f"write `{number(low)}`"
    if low > high:
        options = ", log: true" * numbers.log + (f", step: {number(step)}" if step is not None else "")
        message = f"this range goes from {describe(low)} down to {describe(high)}"
        yield message, f"write `range({number(high)}, {number(low)}{options})`"
    if numbers.log and low <= 0:
        yield f"a range of logarithms begins above 0, found {describe(low)}", "leave out `log`"
    if numbers.log and step is not None:
        yield "a range takes `log` or `step`, not both", "leave out one of them"
    if step is not None and not 0 < step <= high - low:
        yield f"a step of {describe(step)} leads nowhere in this range", f"write one from 0 to {number(high - low)}"
    if max(abs(low), abs(high)) > _LARGEST:
        yield f"the numbers of a range are at most {_LARGEST:,}", None


def _literal(value: float, place: syntax.Node) -> syntax.Expr:
    """A number as an expression at a place."""
    positive = make(syntax.Number, span=place.span, value=abs(value))
    return positive if value >= 0 else make(syntax.Unary, span=place.span, operator="-", operand=positive)


def _parsed(text: str) -> syntax.Expr:
    (item,) = parse(Source("choice", f"let value = {text}")).items
    assert isinstance(item, syntax.Let)  # noqa: S101 - that is what the text begins with
    return item.value


# ----- places -----


def _inside(expr: syntax.Expr, path: str) -> Iterator[tuple[str, syntax.Call]]:
    """The choices within the value of a key, each by what it is called there."""
    match expr:
        case syntax.Call():
            if is_choice(expr):
                yield path, expr
                return
            for argument in expr.arguments or ():
                yield from _inside(argument.value, f"{path}.{argument.key.text}" if argument.key else path)
        case syntax.ListExpr():
            for item in expr.items:
                yield from _inside(item, path)
        case syntax.MapExpr():
            for entry in expr.entries:
                yield from _inside(entry.value, f"{path}.{entry.key.text}")
        case syntax.Unary():
            yield from _inside(expr.operand, path)
        case syntax.Binary():
            yield from _inside(expr.left, path)
            yield from _inside(expr.right, path)


def _check_place(section: str, key: str, call: syntax.Call, scope: Scope) -> None:
    if section == "predict":
        raise scope.error("E0215", "`predict` holds no choices: they are made before", call, "write one of them")
    if why := _FIXED.get(f"{section}.{key}"):
        raise scope.error("E0215", f"`{key}` holds no choice: {why}", call, "write one of them")
