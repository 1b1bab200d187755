"""The catalogue of messages: `invalid/NAME.net` fails with exactly what `invalid/NAME.txt` shows.

To add a case, write the `.net` file, run `SPARKNET_UPDATE=1 pytest tests/grammar`, and read the `.txt` file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sparknet.grammar import CODES, Diagnostic, Source, SparkNetError, parse, suggest
from sparknet.grammar.tables import grammar
from sparknet.grammar.terminals import TERMINALS, in_words

INVALID = sorted((Path(__file__).parent / "invalid").glob("*.net"))


def diagnostics(path: Path) -> list[Diagnostic]:
    source = Source(path.name, path.read_bytes().decode())
    with pytest.raises(SparkNetError) as caught:
        parse(source)
    return list(caught.value.diagnostics)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_message(path):
    shown = str(SparkNetError(diagnostics(path))) + "\n"
    expected = path.with_suffix(".txt")
    if os.environ.get("SPARKNET_UPDATE"):
        expected.write_text(shown, encoding="utf-8")
    assert shown == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_message_keeps_the_rules(path):
    found = diagnostics(path)
    if path.stem not in {"several", "missing_opening_brace"}:
        assert len(found) == 1, "one cause, one error"
    for diagnostic in found:
        assert diagnostic.code in CODES
        assert not re.search(r"\b(illegal|invalid|token|syntax)\b", diagnostic.message)
        for text in (diagnostic.message, *diagnostic.notes, *diagnostic.helps):
            assert not text.endswith(".") or text.endswith("...")
            assert not text[0].isupper()
            assert not re.search(r"\b__|_[A-Z]+\b|\b(RPAR|LPAR|RSQB|LSQB|LBRACE|RBRACE|LMAP|NAME_|STRING)\b", text)
            assert text.count("`") % 2 == 0 or "```" in text


def test_every_terminal_has_plain_words():
    names = {terminal.name for terminal in grammar().terminals}
    assert names | {"$END"} == set(TERMINALS)
    assert not [name for name in names if "__" in name]
    assert not [words for words in TERMINALS.values() if any(name in words for name in names if len(name) > 2)]


def test_every_set_of_terminals_is_put_in_plain_words():
    states = grammar().parser.parser._parse_table.states
    for actions in states.values():
        accepted = [name for name in actions if name.isupper()]
        words = in_words(accepted)
        assert words or not accepted
        assert not re.search(r"[A-Z]{2}", words)


def test_every_code_has_a_case():
    seen = {diagnostic.code for path in INVALID for diagnostic in diagnostics(path)}
    from_files_and_limits = {"E0120", "E0121", "E0122", "E0125", "E0127", "E0128"}
    assert set(CODES) == seen | from_files_and_limits


def test_every_message_has_its_file():
    assert {path.stem for path in INVALID[0].parent.glob("*.txt")} == {path.stem for path in INVALID}


def test_titles_of_codes_are_one_line():
    assert all(title == title.strip(".\n ") and len(title) < 60 and not title[0].isupper() for title in CODES.values())


def test_many_errors_are_cut():
    text = "train {\n" + "  a: 1\n" * 100 + "}\n"
    with pytest.raises(SparkNetError) as caught:
        parse(text)
    assert len(caught.value.diagnostics) == 20


def test_errors_come_in_the_order_of_the_text():
    path = next(path for path in INVALID if path.stem == "several")
    starts = [diagnostic.labels[0].span.start for diagnostic in diagnostics(path)]
    assert starts == sorted(starts)
    assert len(starts) == 7


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("maxpol", "maxpool"),
        ("MaxPool", "maxpool"),
        ("max_pool", "maxpool"),
        ("xyzzy", None),
        ("", None),
        ("l" * 9999, None),
    ],
)
def test_closest(word, expected):
    assert suggest.closest(word, ["maxpool", "dense", "flatten"]) == expected


@pytest.mark.parametrize(
    ("word", "candidate", "is_close"),
    [
        ("kind", "id", False),
        ("target", "age", False),
        ("label", "able", False),
        ("x", "y", False),
        ("kind", "kid", True),
        ("ind", "kind", True),
        ("foto", "photo", True),
        ("anme", "name", True),
        ("nmae", "name", True),
        ("image", "img", True),
        ("lab", "label", True),
        ("x", "xs", True),
    ],
)
def test_short_words_have_more_in_common_than_a_letter_here_and_there(word, candidate, is_close):
    assert suggest.closest(word, ["column9", candidate]) == (candidate if is_close else None)


def test_closest_does_not_offer_the_word_itself():
    assert suggest.closest("dense", ["dense"]) is None
