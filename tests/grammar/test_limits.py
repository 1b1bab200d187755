"""No text, whatever it holds, takes long or ends in anything but a tree or a diagnostic."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparknet.grammar import File, Source, SparkNetError, limits, load, parse, parse_file, render, to_dict
from sparknet.grammar.terminals import TERMINALS
from tests.deadline import deadline

HERE = Path(__file__).parent
CORPUS = [path.read_bytes().decode() for path in sorted(HERE.glob("*valid/*.net"))]
MIB = limits.TEXT_BYTES
PIECES = [words.strip("`") for words in TERMINALS.values() if words.startswith("`")] + [
    *(
        "\n",
        "\r\n",
        " ",
        "\t",
        "a",
        "x1",
        "3",
        "1.5",
        "3x3",
        '"s"',
        '"',
        "'",
        ";",
        ".",
        "#",
        "é",
        "\\",
        "\x00",
        "\ufeff",
    ),
    *("\n  ", "net A {\n", "input x: float[3]\n", "train {\n", "if a == 1 {", "} else {", "block B(a, b = 1) {\n"),
]


def attempt(text: str) -> None:
    """Parse, and hold whatever comes of it to what is promised."""
    source = Source("fuzz.net", text)
    try:
        file = parse(source)
    except SparkNetError as error:
        found = error.diagnostics
    else:
        assert File.model_validate_json(file.model_dump_json()) == file
        return
    assert 1 <= len(found) <= limits.ERRORS
    assert str(SparkNetError(found))
    for diagnostic in found:
        assert render(diagnostic, color=True)
        assert to_dict(diagnostic)["code"].startswith("E01")
        assert all(0 <= a.span.start <= a.span.end <= len(text) for a in diagnostic.labels)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text):
    attempt(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_any_words_in_any_order(pieces):
    attempt("".join(pieces))
    attempt(" ".join(pieces))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CORPUS), st.randoms(use_true_random=False))
def test_changed_files(text, rng: random.Random):
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randint(0, len(text)), rng.randint(0, 12)
        other = rng.choice(CORPUS)
        begin = rng.randint(0, len(other))
        piece = rng.choice(["", rng.choice(PIECES), other[begin : begin + size], text[at : at + size]])
        text = text[:at] + piece + text[at + rng.choice([0, 0, 1, size]) :]
    attempt(text)


def test_every_beginning_of_a_file():
    text = (HERE / "valid/residual.net").read_text()
    for end in range(0, len(text), 3):
        attempt(text[:end])


HOSTILE = {
    "larger than the limit": "a" * (MIB + 1),
    "larger in bytes": "é" * MIB,
    "one name": "a" * MIB,
    "one number": "let a = " + "9" * (MIB - 8),
    "one decimal": "let a = 0." + "1" * (MIB - 10),
    "one size": "let a = 1" + "x1" * (MIB // 2 - 5),
    "one text": 'let a = "' + "a" * (MIB - 10) + '"',
    "one text without end": 'let a = "' + "a" * (MIB - 9),
    "escapes": 'let a = "' + "\\\\" * (MIB // 2 - 5) + '"',
    "quotes": '"' * MIB,
    "backslashes": "\\" * MIB,
    "one comment": "#" * MIB,
    "comments": "#\n" * (MIB // 2),
    "line ends": "\n" * MIB,
    "line ends behind a layer": "net A {\n  relu" + "\n" * (MIB - 20) + "->",
    "line ends behind an error": "net A {\n  relu(@" + "\n" * (MIB - 20) + ")",
    "comments behind an error": "net A {\n  relu(@" + "\n#" * (MIB // 2 - 20) + "\n)",
    "blanks": "net A {\n  relu" + "\n   " * (MIB // 4 - 20) + "gelu",
    "open parentheses": "let a = " + "(" * (MIB - 8),
    "open braces": "net A {" + "repeat 1 {" * (MIB // 10 - 1),
    "closing": ")" * MIB,
    "closing braces": "}\n" * (MIB // 2),
    "commas": "let a = [" + "1," * (MIB // 2 - 10) + "]",
    "minus signs": "let a = " + "-" * (MIB - 9) + "1",
    "sum": "let a = 1" + "+1" * (MIB // 2 - 5),
    "not": "let a = " + "not " * (MIB // 4 - 5) + "b",
    "else if": "net A {\nif a {}" + " else if a {}" * (MIB // 13 - 2) + "}",
    "maps": "let a = " + "{a:" * (MIB // 3 - 4),
    "arrows": "net A {\n" + "relu->" * (MIB // 6 - 2) + "}",
    "errors": "net A {\n" + "a b\n" * (MIB // 4 - 3) + "}",
    "errors outside": "a b\n" * (MIB // 4),
    "open brackets in each line": "net A {\n" + "a(\n" * (MIB // 3 - 4) + "}",
    "nets in nets": "net A {\n" * (MIB // 8),
    "control characters": "\x01" * MIB,
    "surrogates": "\ud800" * 1000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_soon(name):
    text = HOSTILE[name]
    with deadline():
        try:
            parse(text)
        except SparkNetError as error:
            str(error)


def test_as_deep_as_allowed():
    inside = "(" * (limits.DEPTH - 1) + "1" + ")" * (limits.DEPTH - 1)
    attempt(f"let a = {inside}")
    nested = "-".join(["1"] * limits.DEPTH)
    file = parse(f"let a = {nested}")
    assert File.model_validate_json(file.model_dump_json()) == file
    assert hash(repr(file))
    lists = "[" * limits.DEPTH + "]" * limits.DEPTH
    file = parse(f"let a = {lists}")
    assert File.model_validate_json(file.model_dump_json()) == file
    with pytest.raises(SparkNetError, match="nest more than 64 deep"):
        parse(f"let a = [{lists}]")


def test_a_long_list_is_not_deep():
    parse("let a = [" + "-1 + 2, " * 1000 + "]\n" + "let b = 1 + 2\n" * 100)


def test_a_net_of_5000_lines():
    text = "net A {\n  input x: float[8]\n" + "  dense(128, relu, init: 0.1)\n" * 5000 + "}\n"
    with deadline():
        assert len(parse(text).items[0].body) == 5001


# ----- files -----


def refused(path: object) -> str:
    with pytest.raises(SparkNetError) as caught:
        parse_file(path)
    (diagnostic,) = caught.value.diagnostics
    assert render(diagnostic)
    return f"{diagnostic.code} {diagnostic.message} {' '.join(diagnostic.helps)}"


def test_no_such_file(tmp_path):
    (tmp_path / "digits.net").write_text("")
    assert "no such file" in refused(tmp_path / "missing.net")
    assert "there is a file" in refused(tmp_path / "digits")


def test_a_folder(tmp_path):
    (tmp_path / "digits.net").write_text("")
    shown = refused(tmp_path)
    assert "folder" in shown
    assert "digits.net" in shown


def test_a_pipe_that_nobody_writes_to(tmp_path):
    os.mkfifo(tmp_path / "pipe.net")
    assert "not a regular file" in refused(tmp_path / "pipe.net")


def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret.net"
    path.write_text("")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # root reads everything
        os.seteuid(65534)
    try:
        assert "permission denied" in refused(path)
    finally:
        os.seteuid(user)


def test_a_path_that_no_file_can_have():
    assert "E0125" in refused("a\0b.net")
    assert "E0125" in refused("a" * 5000)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_not_utf8(tmp_path, mark):
    path = tmp_path / "latin.net"
    path.write_bytes(mark + b"# one\n# gr\xf6\xdfe\n")
    assert f"byte 0xf6 at offset {len(mark) + 10}, in line 2" in refused(path)


def test_a_large_file(tmp_path):
    path = tmp_path / "large.net"
    path.write_bytes(b"#" * (MIB + 1))
    assert "E0120" in refused(path)
    path.write_bytes(b"#" * MIB)
    assert parse_file(path).items == ()


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "mark.net"
    path.write_bytes(b"\xef\xbb\xbflet a = 1\r\n")
    assert load(path).text == "let a = 1\r\n"
    assert parse_file(str(path)).items[0].span.start == 0


def test_the_name_of_a_text_is_shown():
    with pytest.raises(SparkNetError, match=r"--> my\.net:1:5"):
        parse("let 3", name="my.net")


def test_a_name_that_is_nearly_that_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "flowers.net").touch()
    assert f"did you mean `{tmp_path / 'flowers.net'}`?" in refused(tmp_path / "flower.net")
    assert "did you mean" not in refused(tmp_path / "digits.net")
    assert "did you mean" not in refused(tmp_path / "none" / "flower.net")
