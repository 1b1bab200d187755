"""The VS Code extension agrees with the language: keywords, layers, and what each word of the corpus is coloured as."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sparknet.compiler.layers import JOINS, LAYERS
from sparknet.grammar import load, parse
from tests.catalogue import check_text
from tests.editors import textmate
from tests.grammar.test_valid import VALID, nodes

FOLDER = Path(__file__).parents[2] / "editors" / "vscode"
GRAMMAR = FOLDER / "syntaxes" / "net.tmLanguage.json"


def test_the_grammar_is_made_from_the_language() -> None:
    check_text(GRAMMAR, textmate.make())


def test_every_keyword_and_layer_is_in_it() -> None:
    known = {*textmate.TOP, *textmate.STATEMENTS, *textmate.CONTROL, *textmate.WORDS, *textmate.CONSTANTS, "like"}
    assert known == textmate.keywords()
    text = GRAMMAR.read_text()
    assert [word for word in {*known, *LAYERS, *JOINS} if not re.search(rf"\b{word}\b", text)] == []


def test_every_pattern_compiles() -> None:
    for pattern in json.loads(GRAMMAR.read_text())["patterns"]:
        for key in ("match", "begin", "end"):
            if key in pattern:
                expression = re.compile(pattern[key])
                assert all(int(n) <= expression.groups for n in pattern.get("captures", {}))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_the_corpus_is_coloured_as_it_parses(path: Path) -> None:
    """Numbers, texts, types and layers have the colours that belong to them, wherever they stand."""
    source = load(path)
    patterns = json.loads(GRAMMAR.read_text())["patterns"]
    colours: dict[int, str] = {}
    start = 0
    for line in source.text.split("\n"):
        for begin, end, scope in textmate.scopes(line, patterns):
            colours.update(
                dict.fromkeys(range(start + begin, start + end), scope.split(".")[0] + "." + scope.split(".")[1])
            )
        start += len(line) + 1
    expected = {"number": "constant.numeric", "dims": "constant.numeric", "string": "string.quoted"}
    for node in nodes(parse(source)):
        kind = getattr(node, "kind", "")
        at = node.span.start + len(re.match(r"[( ]*", source.text[node.span.start : node.span.end])[0])
        if kind in expected:
            assert colours[at] == expected[kind], source.text[node.span.start : node.span.end]
        if kind in ("net", "block", "let") and source.text[: node.span.start].rpartition("\n")[2].strip() == "":
            assert colours[node.name.span.start] in ("entity.name", "variable.other")


def test_the_extension_names_files_that_exist() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    contributed = package["contributes"]
    paths = [package["main"], contributed["languages"][0]["configuration"], contributed["grammars"][0]["path"]]
    assert all((FOLDER / path).is_file() for path in paths)
    assert contributed["grammars"][0]["scopeName"] == json.loads(GRAMMAR.read_text())["scopeName"]
    assert contributed["languages"][0]["extensions"] == [".net"]
    json.loads((FOLDER / "language-configuration.json").read_text())
