"""The formatter: one layout, the same tree, every comment; `format/NAME.net` becomes `format/NAME.out`."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparknet.grammar import SparkNetError, format_source, parse, write
from sparknet.grammar.bare import same
from tests.catalogue import check_text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CASES = sorted((HERE / "format").glob("*.net"))
CORPUS = {p.stem: p.read_bytes().decode() for p in [*HERE.glob("valid/*.net"), *ROOT.glob("specs/*.net"), *CASES]}
DOCUMENTED = [
    net
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for net in re.findall(r"^```net\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
]


def comments(text: str) -> list[str]:
    found = re.finditer(r'"(?:[^"\\\r\n]|\\.)*"|(#[^\r\n]*)', text)
    return sorted(match[1].rstrip() for match in found if match[1])


def hold(text: str) -> str:
    """Format, and hold the result to what is promised."""
    shown = format_source(text)
    tree = parse(text)
    assert same(parse(shown), tree)
    assert comments(shown) == comments(text)
    assert format_source(shown) == shown
    assert not re.search(r"[ \t]$|\n\n\n|\A\n|\n\n\Z", shown, re.MULTILINE)
    written = write(tree)
    assert same(parse(written), tree)
    assert format_source(written) == written
    return shown


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_layout(path):
    check_text(path.with_suffix(".out"), hold(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", CORPUS)
def test_corpus(name):
    hold(CORPUS[name])


@pytest.mark.parametrize("path", sorted(ROOT.glob("specs/*.net")), ids=lambda path: path.stem)
def test_the_specs_are_formatted(path):
    assert format_source(path.read_text(encoding="utf-8")) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", DOCUMENTED)
def test_the_examples_in_the_documentation_are_formatted(text):
    assert format_source(text) == text


PIECES = [
    "\n",
    "\n\n\n",
    "  ",
    "\t",
    " # c{}\n",
    "\n# c{}\n",
    "\n\n  # c{}\n\n# d{}\n",
    "(1 + 2) * 3 + ",
    "( # c{}\n1)",
]
PIECES += ["if a { relu } # c{}\n", "else if b {\n} # c{}\nelse { # d{}\n relu }\n"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(CORPUS.values())), st.randoms(use_true_random=False))
def test_comments_and_line_ends_anywhere(text, rng: random.Random):
    for number in range(rng.randint(1, 8)):
        spots = [match.end() for match in re.finditer(r"[,(\[{+\-*)\]} =]|\n|->|(?=\n)", text)]
        if spots:
            at = rng.choice(spots)
            longer = text[:at] + rng.choice(PIECES).replace("{}", str(number)) + text[at:]
            try:
                parse(longer)
            except SparkNetError:
                continue
            text = longer
    hold(text)


def test_what_does_not_parse_is_refused():
    with pytest.raises(SparkNetError, match="E0101"):
        format_source("net {")


def test_a_text_without_anything_stays_empty():
    assert format_source("\n\n  \n") == ""
