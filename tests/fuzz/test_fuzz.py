"""Whatever is read, the outcome is a result or a diagnostic, soon; and every tree survives being written.

SPARKNET_FUZZ=200 pytest tests/fuzz       # two hundred times as many examples: an hour or so
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknet.compiler.checking import diagnose
from sparknet.compiler.drawing import draw, to_mermaid, to_svg
from sparknet.compiler.summary import summarize
from sparknet.grammar import Source, SparkNetError, format_source, limits, parse, render, to_dict, write
from sparknet.grammar.bare import same
from sparknet.lsp.complete import complete
from sparknet.lsp.document import Document
from sparknet.lsp.hover import hover
from tests.fuzz.trees import files
from tests.grammar.test_limits import PIECES

TESTS = Path(__file__).parents[1]
FILES = sorted(
    path
    for folder in ("grammar/valid", "compiler/invalid", "cli/nets", "../specs")
    for path in (TESTS / folder).glob("*.net")
)
CORPUS = [path.read_bytes().decode() for path in FILES]
SLOW = {HealthCheck.too_slow, HealthCheck.data_too_large}
MOST_SECONDS = 3
"""A second is promised; the machines that run the tests may be slow."""


def examples(number: int) -> settings:
    times = int(os.environ.get("SPARKNET_FUZZ", "1"))
    return settings(max_examples=number * times, deadline=None, suppress_health_check=SLOW)


def attempt(text: str) -> None:
    """Read, check and draw a text, and hold whatever comes of it to what is promised."""
    begin = time.process_time()
    source = Source("fuzz.net", text)
    try:
        file = parse(source)
    except SparkNetError as error:
        problems = list(error.diagnostics)
    else:
        shown = format_source(source)
        assert same(parse(shown), file)
        assert format_source(shown) == shown
        typed, problems = diagnose(file, source)
        if typed is not None:
            assert str(summarize(typed, unfold=True))
            try:
                drawing = draw(typed)
            except SparkNetError as error:
                problems += error.diagnostics
            else:
                assert to_svg(drawing)
                assert to_mermaid(drawing)
    assert len(problems) <= limits.ERRORS + 1
    for diagnostic in problems:
        assert render(diagnostic)
        assert to_dict(diagnostic)
        assert all(0 <= label.span.start <= label.span.end <= len(label.source.text) for label in diagnostic.labels)
    assert time.process_time() - begin < MOST_SECONDS


def changed(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 3)):
        at, size = rng.randint(0, len(text)), rng.randint(0, 12)
        other = rng.choice(CORPUS)
        begin = rng.randint(0, len(other))
        lines = text.split("\n")
        line = rng.choice(lines) + "\n"
        piece = rng.choice(["", rng.choice(PIECES), other[begin : begin + size], line, str(rng.choice([0, -1, 9**17]))])
        text = text[:at] + piece + text[at + rng.choice([0, 0, 1, size]) :]
    return text


@examples(100)
@given(st.text(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join))
def test_any_text(text: str) -> None:
    attempt(text)


@examples(250)
@given(st.sampled_from(CORPUS), st.randoms(use_true_random=False))
def test_changed_files(text: str, rng: random.Random) -> None:
    attempt(changed(text, rng))


@examples(60)
@given(files)
def test_every_tree_survives_being_written(file) -> None:
    text = write(file)
    read = parse(text)
    assert same(read, file)
    assert format_source(text) == text
    attempt(text)


@examples(100)
@given(st.sampled_from(CORPUS), st.randoms(use_true_random=False))
def test_an_editor_may_ask_anything_anywhere(text: str, rng: random.Random) -> None:
    text = changed(text, rng)
    document = Document(None, text)
    for _ in range(5):
        offset = rng.randint(0, len(text))
        complete(text, offset)
        hover(document, offset)
        document.definition_at(offset)
