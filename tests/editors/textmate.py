"""The TextMate grammar of `.net` files, made from the language's own lists, and a small reader of such grammars."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from sparknet.compiler.layers import JOINS, LAYERS
from sparknet.compiler.ports import INPUT_KINDS, OUTPUT_KINDS
from sparknet.grammar.tables import grammar

TYPES = {*INPUT_KINDS, *OUTPUT_KINDS, "token", "bool"}
TOP = ("import", "let", "block", "net", "data", "train", "predict")
STATEMENTS = ("input", "output", "encoder", "decoder")
CONTROL = ("repeat", "if", "else")
WORDS = ("and", "or", "not")
CONSTANTS = ("true", "false")


def keywords() -> set[str]:
    """The keywords of `net.lark`: terminals that are one word."""
    patterns = (terminal.pattern.value for terminal in grammar().terminals)
    return {pattern.removesuffix(r"\b") for pattern in patterns if re.fullmatch(r"[a-z]+\\b", pattern)}


def make() -> str:
    """The grammar as JSON text."""

    def rule(scope: str, match: str, **captures: str) -> dict[str, Any]:
        found = {key[1:]: {"name": f"{name}.sparknet"} for key, name in captures.items()}
        return {"name": f"{scope}.sparknet", "match": match, **({"captures": found} if found else {})}

    def words(names: Iterator[str] | set[str] | tuple[str, ...]) -> str:
        return "|".join(sorted(names))

    layers = words({*LAYERS, *JOINS})
    text = {
        "name": "string.quoted.double.sparknet",
        "begin": '"',
        "end": '"|$',
        "patterns": [rule("constant.character.escape", r'\\["\\nt]'), rule("invalid.illegal.escape", r"\\.")],
    }
    patterns = [
        rule("comment.line.number-sign", "#.*$"),
        text,
        rule("meta.definition", r"^\s*(net|block)\s+([A-Za-z_]\w*)", _1="storage.type", _2="entity.name.type"),
        rule("meta.let", r"^\s*(let)\s+([A-Za-z_]\w*)", _1="storage.type", _2="variable.other.constant"),
        rule("keyword.control.import", r"^\s*import\b(?=\s*\")"),
        rule("meta.section", r"^\s*(data|train|predict)\s*(?=\{)", _1="storage.type"),
        rule("meta.port", r"(?:^|(?<=\{))\s*(input|output)\s+([A-Za-z_]\w*)", _1="keyword.other", _2="variable.other"),
        rule("keyword.other", r"\b(?:encoder|decoder)\b(?=\s*\{)"),
        rule("keyword.control", rf"\b(?:{words(CONTROL)})\b"),
        rule("keyword.operator.word", rf"\b(?:{words(WORDS)})\b"),
        rule("constant.language", rf"\b(?:{words(CONSTANTS)})\b"),
        rule("meta.like", r"\b(like)\s+([A-Za-z_]\w*)", _1="keyword.other", _2="variable.other"),
        rule("support.type", rf"\b(?:{words(TYPES)})\b(?=\s*\[)"),
        rule("variable.parameter", r"\b[A-Za-z_]\w*(?=\s*:)"),
        rule("support.function", rf"\b(?:{layers})\b"),
        rule("entity.name.function", r"\b[A-Za-z_]\w*(?=\()"),
        rule("constant.numeric", r"\b[0-9]+(?:x[0-9]+)+\b"),
        rule("constant.numeric", r"\b[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\b"),
        rule("keyword.operator.arrow", "->"),
        rule("keyword.operator", r"==|!=|<=|>=|//|[=<>+\-*/%]"),
    ]
    grammar = {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "SparkNet",
        "scopeName": "source.sparknet",
        "fileTypes": ["net"],
        "patterns": patterns,
    }
    return json.dumps(grammar, indent=2) + "\n"


def scopes(line: str, patterns: list[dict[str, Any]]) -> Iterator[tuple[int, int, str]]:
    """What a line is coloured as: the earliest match wins, and of those at one place the first rule."""
    at = 0
    while at <= len(line):
        found = [(re.compile(p.get("match") or p["begin"]).search(line, at), p) for p in patterns]
        hits = [(match.start(), number, match, p) for number, (match, p) in enumerate(found) if match]
        if not hits:
            return
        _, _, match, pattern = min(hits, key=lambda hit: hit[:2])
        end = match.end()
        if "begin" in pattern:
            while not (closing := re.compile(pattern["end"]).match(line, end)):
                escape = re.compile(r"\\.").match(line, end)
                end = escape.end() if escape else end + 1
            end = closing.end()
        yield match.start(), end, pattern["name"]
        for number, capture in pattern.get("captures", {}).items():
            yield *match.span(int(number)), capture["name"]
        at = max(end, at + 1)
