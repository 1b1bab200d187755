"""Whatever is read, the outcome is a result or a diagnostic, soon; and every tree survives being written.

SPARKNET_FUZZ=200 pytest tests/fuzz       # two hundred times as many examples: an hour or so
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknet.compiler.checking import diagnose
from sparknet.compiler.drawing import draw, to_mermaid, to_svg
from sparknet.compiler.summary import summarize
from sparknet.grammar import Diagnostic, Source, SparkNetError, format_source, limits, parse, render, to_dict, write
from sparknet.grammar.bare import same
from sparknet.lsp.complete import complete
from sparknet.lsp.document import Document
from sparknet.lsp.hover import hover
from tests.cli.test_lsp import Editor
from tests.deadline import deadline
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
SETTINGS = (
    "width=8",
    "train.epochs=3",
    "train.optimizer=sgd(lr: 0.1, momentum: 0.9)",
    "data.split={train: 0.5, test: 0.5}",
    'data.source=parquet("rows.parquet")',
    'data.image=column("pixels") / 255',
    'predict.keep=["a", "b"]',
    "train.weights={y: 2}",
    "train.class_weights=[1, 2, 3]",
    "train.clip=norm(1)",
)


def examples(number: int) -> settings:
    times = int(os.environ.get("SPARKNET_FUZZ", "1"))
    return settings(max_examples=number * times, deadline=None, suppress_health_check=SLOW)


def hold(problems: Sequence[Diagnostic]) -> None:
    """Every diagnostic can be shown, and marks characters that are there."""
    assert len(problems) <= limits.ERRORS + 1
    for diagnostic in problems:
        assert render(diagnostic)
        assert to_dict(diagnostic)
        assert all(0 <= label.span.start <= label.span.end <= len(label.source.text) for label in diagnostic.labels)


def attempt(text: str) -> None:
    """Read, check and draw a text, and hold whatever comes of it to what is promised."""
    with deadline():
        hold(outcome(text))


def outcome(text: str) -> list[Diagnostic]:
    """What is wrong with a text; what is right holds what is promised."""
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
    return problems


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


@examples(150)
@given(st.sampled_from(CORPUS), st.lists(st.sampled_from(SETTINGS), min_size=1, max_size=3), st.randoms())
def test_any_settings(text: str, given: list[str], rng: random.Random) -> None:
    source = Source("fuzz.net", text)
    try:
        file = parse(source)
    except SparkNetError:
        return
    texts = [changed(setting, rng) if rng.random() < 0.7 else setting for setting in given]
    hold(diagnose(file, source, [text.replace("\0", "") for text in texts])[1])


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    folder = tmp_path_factory.mktemp("nets")
    shutil.copytree(TESTS / "compiler" / "invalid" / "imports", folder / "imports")  # what files of the corpus import
    editor = Editor(folder)
    yield editor
    assert editor.close() == 0


@examples(5)
@given(st.sampled_from(CORPUS), st.randoms())
def test_a_server_follows_any_edits(editor: Editor, text: str, rng: random.Random) -> None:
    text = text.replace("\r", "")
    editor.open("fuzz.net", text)
    for version in range(2, 6):
        begin = rng.randint(0, len(text))
        end = min(len(text), begin + rng.choice([0, 0, 1, 9, 80]))
        piece = rng.choice([rng.choice(PIECES), "🦆", "é", "\n", rng.choice(CORPUS)[:200]]).replace("\r", "")
        whole = {"start": editor.place(text, begin), "end": editor.place(text, end)}
        text = text[:begin] + piece + text[end:]
        editor.edit("fuzz.net", version, whole, piece)
        found = editor.diagnostics("fuzz.net")
        problems = Document(editor.folder / "fuzz.net", text).problems
        assert [d["message"].split("\n")[0] for d in found] == [d.message for d in problems]
        where = {"textDocument": {"uri": editor.uri("fuzz.net")}, "position": editor.place(text, begin + len(piece))}
        for question in ("completion", "hover", "definition"):
            editor.ask(f"textDocument/{question}", **where)
        laid_out = editor.ask("textDocument/formatting", **where, options={"tabSize": 2, "insertSpaces": True})
        assert not laid_out or laid_out[0]["newText"] == format_source(Source("fuzz.net", text))
    editor.tell("textDocument/didClose", textDocument={"uri": editor.uri("fuzz.net")})
    assert editor.diagnostics("fuzz.net") == []
