"""Completion: what may stand at a place, judged from the text before it, which seldom parses while one types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel

from sparknet.compiler.choices import Range
from sparknet.compiler.elaborate_sections import CALLS, PHASED
from sparknet.compiler.exchange import Precision
from sparknet.compiler.functions import FUNCTIONS, Standardize
from sparknet.compiler.layers import JOINS, LAYERS
from sparknet.compiler.layers.activation import ACTIVATIONS
from sparknet.compiler.ports import INPUT_KINDS, OUTPUT_KINDS
from sparknet.compiler.scope import CHOOSE, RANGE
from sparknet.compiler.sections import DATA_KEYS, EngineName, PredictSection, TrainSection

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"?|#[^\n]*|[A-Za-z_]\w*|[(){}\[\],:=\n]|->')
_BODIES = frozenset({"net", "block", "repeat", "if", "else", "encoder", "decoder"})
_STATEMENTS = ("input", "output", "repeat", "if", "encoder", "decoder")
_TOP = ("net", "block", "let", "import", "data", "train", "predict")
_VALUE = re.compile(r"^\s*(?:input\s+)?([A-Za-z_]\w*)\s*(?:=|:)", re.MULTILINE)
_BLOCK = re.compile(r"^\s*block\s+([A-Za-z_]\w*)", re.MULTILINE)
_LET = re.compile(r"^\s*let\s+([A-Za-z_]\w*)", re.MULTILINE)
_PORT = re.compile(r"^\s*(?:input|output)\s+([A-Za-z_]\w*)", re.MULTILINE)

_CHOICES = {"engine": EngineName, "exchange": Precision}
"""Keys of `train` whose values are one of a few words."""

Kind = Literal["keyword", "layer", "block", "value", "argument", "word", "key"]


@dataclass(frozen=True)
class Proposal:
    """One thing that may stand at the place; `insert` is what is typed, where that is more than the label."""

    label: str
    kind: Kind
    detail: str = ""
    insert: str = ""


CHOICES = (
    Proposal(CHOOSE, "word", "one of several values, for `sparknet tune` to choose", f"{CHOOSE}("),
    Proposal(RANGE, "word", "a number between two ends, for `sparknet tune` to choose", f"{RANGE}("),
)


@dataclass
class _Open:
    """An opening sign: the word before it and the first word of its entry; `entry` are the words of the one at hand."""

    sign: str
    word: str
    first: str
    entry: list[str]


def complete(text: str, offset: int, blocks: Mapping[str, str] | None = None) -> list[Proposal]:
    """What may stand at `offset`; `blocks` are those that imports bring, with their parameters."""
    before = text[:offset]
    if _in_comment_or_text(before):
        return []
    stack = _stack(before)
    top = stack[-1]
    known = dict(blocks or {}) | dict.fromkeys(_BLOCK.findall(text), "")
    if top.sign == "(":
        return list(_in_arguments(text, top, stack, known))
    if top.sign == "[" and _key(stack) in PHASED:
        return _calls(_key(stack))
    if top.sign == "[" or top.first in ("let", "import"):
        return _words(_LET.findall(text), "value")
    if top.sign == "" and top.entry[:1] == ["let"]:
        return [*CHOICES, *_words(_LET.findall(before), "value")] if top.entry[-1] == "=" else []
    if top.sign == "":
        return _words(_TOP, "keyword") if len(top.entry) <= 1 else []
    if top.first in _BODIES:
        return list(_in_body(text, top, known))
    return list(_in_section(text, top))


def _in_comment_or_text(before: str) -> bool:
    line = before.rpartition("\n")[2]
    for match in re.finditer(r'"(?:[^"\\\n]|\\.)*("?)|#.*', line):
        if match.end() == len(line) and (match[0][0] == "#" or not match[1]):
            return True
    return False


def _stack(before: str) -> list[_Open]:
    stack = [_Open("", "", "", [])]
    for match in _TOKEN.finditer(before):
        piece = match[0]
        top = stack[-1]
        if piece[0] in "#":
            continue
        if piece in "([{":
            # `top.entry` says what stands before the sign, and so what the sign opens.
            word = top.entry[-1] if top.entry else ""
            first = top.entry[0] if top.entry else ""
            stack.append(_Open(piece, word, first if piece == "{" and top.sign in ("", "{") else top.first, []))
        elif piece in ")]}":
            if len(stack) > 1:
                stack.pop()
        elif piece == "\n":
            if top.sign in ("", "{"):
                top.entry = []
        else:
            top.entry.append(piece)
    return stack


def _in_body(text: str, top: _Open, blocks: Mapping[str, str]) -> Iterator[Proposal]:
    entry = top.entry
    if entry and entry[0] in ("input", "output") and "=" not in entry:
        if ":" in entry:
            kinds = INPUT_KINDS if entry[0] == "input" else OUTPUT_KINDS
            yield from _words(kinds, "word")
        return
    for name, layer in {**LAYERS, **JOINS}.items():
        yield Proposal(name, "layer", _summary(layer))
    for name, parameters in blocks.items():
        yield Proposal(name, "block", parameters)
    if len([word for word in entry if word not in ("=",)]) <= 1:
        yield from _words(_STATEMENTS, "keyword")
    if "->" not in entry:
        values = [*_VALUE.findall(text), "in"]
        yield from _words(sorted({v for v in values if v not in LAYERS and v not in _STATEMENTS}), "value")


def _in_arguments(text: str, top: _Open, stack: list[_Open], blocks: Mapping[str, str]) -> Iterator[Proposal]:
    model = _called(top.word, stack)
    last = max((i for i, word in enumerate(top.entry) if word == ","), default=-1)
    entry = top.entry[last + 1 :]
    if ":" not in entry and model is not None:
        used = {a for a, b in zip(top.entry, top.entry[1:], strict=False) if b == ":"}
        for name, field in model.model_fields.items():
            if name not in used:
                default = "" if field.is_required() else f"default {field.default}".replace("True", "true")
                yield Proposal(name, "argument", default, f"{name}: ")
    if top.word in JOINS:
        yield from _words(sorted(set(_VALUE.findall(text))), "value")
        return
    if top.word in LAYERS:
        yield from _words(ACTIVATIONS, "word")
    yield from _words(_LET.findall(text), "value")


def _in_section(text: str, top: _Open) -> Iterator[Proposal]:
    entry = top.entry
    if "=" not in entry:
        ports = _PORT.findall(text)
        keys: Mapping[str, Iterable[str]] = {
            "data": [*DATA_KEYS, *ports],
            "train": TrainSection.model_fields,
            "predict": PredictSection.model_fields,
        }
        for key in keys.get(top.first, ()):
            yield Proposal(key, "key", "", f"{key} = ")
        return
    if entry[0] in CALLS:
        yield from _calls(entry[0])
    elif top.first == "train" and entry[0] in _CHOICES:
        yield from _words(get_args(_CHOICES[entry[0]]), "word")
    elif top.first == "data" and entry[0] != "split":
        yield Proposal("column", "word", "a column of the source", 'column("')
        yield Proposal("columns", "word", "several columns, one number from each", 'columns("')
        functions: dict[str, type[BaseModel]] = {**FUNCTIONS, Standardize.name: Standardize}
        for name, function in functions.items():
            yield Proposal(name, "word", _summary(function), f"{name}(")
    if top.first == "train" and entry[0] != "engine":
        yield from CHOICES
    yield from _words(_LET.findall(text), "value")


def _called(name: str, stack: list[_Open]) -> type[BaseModel] | None:
    """The model of what is called, in a body, in a section or in a `let`."""
    if name == RANGE:
        return Range
    if name in LAYERS:
        return LAYERS[name]
    if name in JOINS:
        return JOINS[name]
    return CALLS.get(_key(stack), {}).get(name)


def _key(stack: list[_Open]) -> str:
    """The key of the entry in whose value the innermost bracket stands, also if that is in a list."""
    entry = next(opened.entry for opened in reversed(stack[:-1]) if opened.sign != "[")
    return entry[0] if entry else ""


def _calls(key: str) -> list[Proposal]:
    return [Proposal(name, "word", _summary(model)) for name, model in CALLS[key].items()]


def _words(words: Iterable[str], kind: Kind) -> list[Proposal]:
    return [Proposal(word, kind) for word in words]


def _summary(model: type[BaseModel]) -> str:
    """The first line of a model's documentation."""
    return (model.__doc__ or "").strip().partition("\n")[0]
