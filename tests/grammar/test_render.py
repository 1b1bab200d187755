"""How diagnostics look, in the odd cases."""

from __future__ import annotations

import json
import re
from textwrap import dedent

import pytest

from sparknet.grammar import Diagnostic, Label, Source, Span, SparkNetError, render, to_dict


def label(source: Source, piece: str, text: str = "", nth: int = 0) -> Label:
    start = -1
    for _ in range(nth + 1):
        start = source.text.index(piece, start + 1)
    return Label(source, Span(start=start, end=start + len(piece)), text)


def show(*labels: Label, notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()) -> str:
    return render(Diagnostic("E0999", "it is wrong", labels, notes, helps))


def check(shown: str, expected: str) -> None:
    assert shown + "\n" == dedent(expected).lstrip("\n")


def test_no_labels():
    check(
        show(notes=("one",), helps=("two", "three\nand more")),
        """
        error[E0999]: it is wrong
           = note: one
           = help: two
           = help: three
                   and more
        """,
    )


def test_several_labels_in_a_line():
    source = Source("a.net", "add(left, middle, right)\n")
    check(
        show(
            label(source, "middle", "here"), label(source, "left", "this is wide"), label(source, "right", "and this")
        ),
        """
        error[E0999]: it is wrong
          --> a.net:1:11
           |
         1 | add(left, middle, right)
           |     ----  ^^^^^^  ----- and this
           |     |     |
           |     |     here
           |     this is wide
        """,
    )


def test_the_primary_mark_covers_others():
    source = Source("a.net", "dense(128, relu)\n")
    check(
        show(label(source, "128", "a number"), label(source, "dense(128, relu)", "the layer")),
        """
        error[E0999]: it is wrong
          --> a.net:1:7
           |
         1 | dense(128, relu)
           | ------^^^-------
           | |     |
           | |     a number
           | the layer
        """,
    )


def test_lines_apart_and_other_files():
    blocks = Source("blocks.net", "\n\nblock B(n) {\n  dense(n)\n}\n")
    source = Source("a.net", "net A {\n" + "  relu\n" * 10 + "  B(0)\n}\n")
    shown = show(
        label(blocks, "n", "not zero", nth=2),
        label(source, "B(0)", "used here"),
        label(source, "net A", "in this net"),
        label(source, "relu", nth=1),
    )
    check(
        shown,
        """
        error[E0999]: it is wrong
          --> blocks.net:4:9
            |
          4 |   dense(n)
            |         ^ not zero
          ::: a.net:12:3
            |
          1 | net A {
            | ----- in this net
          2 |   relu
          3 |   relu
            |   ----
        ...
         12 |   B(0)
            |   ---- used here
        """.replace("  -->", "   -->").replace("  :::", "   :::"),
    )


def test_tabs_stand_at_multiples_of_four():
    source = Source("a.net", "\tx\ty = 1\n")
    check(
        show(label(source, "y", "here")),
        """
        error[E0999]: it is wrong
          --> a.net:1:4
           |
         1 |     x   y = 1
           |         ^ here
        """,
    )


@pytest.mark.parametrize(
    ("before", "cells"),
    [
        ("abc", 3),
        ("東京", 4),
        ("e\u0301e\u0301", 2),
        ("\uff21\uff22", 4),
        ("\u200d", 0),
        ("é", 1),
        ("😀", 2),
        ("한", 2),
        ("\x00", 1),
    ],
)
def test_marks_stand_under_their_characters(before, cells):
    source = Source("a.net", f'"{before}" wrong')
    line = show(label(source, "wrong")).splitlines()[-1]
    assert line.index("^") == len(" 1 | ") + 2 + cells + 1
    assert line.count("^") == 5


def test_wide_characters_are_marked_whole():
    source = Source("a.net", "a = 東京")
    assert show(label(source, "東京")).endswith("|     ^^^^")


@pytest.mark.parametrize("at", [0, 500, 1234, 4000, 9999])
def test_a_long_line_is_cut_around_the_mark(at):
    text = "".join(chr(ord("a") + i % 26) for i in range(10_000))
    source = Source("a.net", text)
    *_, line, marks = show(Label(source, Span(start=at, end=at + 1), "here")).splitlines()
    assert len(line) < 130
    assert line[marks.index("^")] == text[at]
    assert (line[5] == "…") == (at > 40)
    assert line.endswith("…") == (at < 9000)


def test_marks_outside_of_the_window_stay_at_its_edge():
    source = Source("a.net", "(" + "a" * 1000 + "x" + "b" * 1000 + ")")
    shown = show(label(source, "x", "here"), label(source, "(", "left"), label(source, ")", "right"))
    assert all(len(line) < 140 for line in shown.splitlines())
    assert [word in shown for word in ("here", "left", "right")] == [True] * 3


def test_a_long_mark_ends_with_the_window():
    source = Source("a.net", "a" * 1_000_000)
    shown = show(Label(source, Span(start=0, end=1_000_000), "all"))
    assert shown.splitlines()[-1] == "   | " + "^" * 120 + " all"


def test_a_span_over_lines_is_marked_to_the_end_of_its_first():
    source = Source("a.net", "net A {\n  relu\n}\n")
    check(
        show(Label(source, Span(start=4, end=17), "all of it")),
        """
        error[E0999]: it is wrong
          --> a.net:1:5
           |
         1 | net A {
           |     ^^^ all of it
        """,
    )


@pytest.mark.parametrize(("text", "place"), [("", "1:1"), ("ab", "1:3"), ("ab\n", "2:1"), ("ab\r\n\r\n", "3:1")])
def test_the_end_of_the_file(text, place):
    source = Source("a.net", text)
    shown = show(Label(source, Span(start=len(text), end=len(text)), "ends here"))
    assert f"--> a.net:{place}\n" in shown
    assert shown.endswith("^ ends here")


def test_line_ends_of_windows_are_not_shown():
    source = Source("a.net", "relu\r\ngelu\r\n")
    shown = show(label(source, "gelu"), label(source, "\r\n"))
    assert "\r" not in shown
    assert "     ----" not in shown


def test_nothing_that_a_terminal_would_obey_is_shown():
    source = Source("a\x1b[31m\n.net", "a \x1b[2J \u202e b")
    diagnostic = Diagnostic("E0999", "found `\x1b`", (label(source, "b", "\x07"),), ("\x1b",), ("\x9b",))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", render(diagnostic))


def test_colours_change_nothing_else():
    source = Source("a.net", "add(left, right)\n\n\n\nrelu")
    labels = (label(source, "right", "here"), label(source, "left", "there"), label(source, "relu", "東京"))
    diagnostic = Diagnostic("E0999", "it is wrong", labels, ("a note",), ("a help",))
    colored = render(diagnostic, color=True)
    plain = "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", colored).splitlines())
    assert plain == render(diagnostic)
    assert colored.startswith("\x1b[1;31merror[E0999]\x1b[0m")
    assert colored.count("\x1b[0m") == len(re.findall(r"\x1b\[1", colored))


def test_as_data():
    source = Source("a.net", "net A {\n  relu\n}\n")
    diagnostic = Diagnostic("E0999", "it is wrong", (label(source, "relu", "here"),), ("a note",), ("a help",))
    data = to_dict(diagnostic)
    place = {"file": "a.net", "line": 2, "column": 3, "end_line": 2, "end_column": 7}
    assert data == {
        "code": "E0999",
        "message": "it is wrong",
        **place,
        "labels": [{**place, "text": "here"}],
        "notes": ["a note"],
        "helps": ["a help"],
    }
    assert json.loads(json.dumps(data)) == data
    assert to_dict(Diagnostic("E0999", "it is wrong"))["file"] is None


def test_errors_are_shown_one_after_another():
    error = SparkNetError([Diagnostic("E0998", "one"), Diagnostic("E0999", "two")])
    assert str(error) == "error[E0998]: one\n\nerror[E0999]: two"
