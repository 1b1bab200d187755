"""Every file in `valid` parses, and its tree is a full, valid one that says where its parts stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from sparknet.grammar import File, load, parse, parse_file
from sparknet.grammar import syntax as s

HERE = Path(__file__).parent
VALID = sorted([*HERE.glob("valid/*.net"), *HERE.glob("../../specs/*.net")])


def nodes(value: object) -> Iterator[s.Node]:
    """Every node of a tree, a parent before its children."""
    if isinstance(value, s.Node):
        yield value
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from nodes(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from nodes(item)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_tree_goes_to_json_and_back(path):
    file = parse_file(path)
    again = File.model_validate_json(file.model_dump_json())
    assert again == file
    assert repr(again) == repr(file)
    assert File.model_validate(file.model_dump()) == file


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_spans_lie_inside_each_other_and_show_their_node(path):
    source = load(path)
    for node in nodes(parse(source)):
        text = source.text[node.span.start : node.span.end]
        for child in nodes(tuple(getattr(node, name) for name in type(node).model_fields)):
            assert node.span.start <= child.span.start <= child.span.end <= node.span.end
        if not isinstance(node, File):
            assert text
            assert text == text.strip()
            assert all(text.count(a) == text.count(b) for a, b in ("()", "[]", "{}"))
        if isinstance(node, s.Identifier | s.Name):
            assert text.strip('"(').startswith(node.text)
        elif isinstance(node, s.Net | s.Block | s.Let | s.Import | s.Input | s.Output | s.Repeat | s.If):
            assert text.startswith(node.kind)
        elif isinstance(node, s.Call):
            assert text.strip("(").startswith(node.name.text)
            assert text.endswith(")") == (node.arguments is not None)
        elif isinstance(node, s.Number) and isinstance(node.value, int):
            assert text.strip("()") == str(node.value)
        elif isinstance(node, s.LayerTuple):
            assert text[0] + text[-1] == "()"


def shape(node: s.Expr) -> object:
    """An expression with its operators in front, as nested tuples."""
    if isinstance(node, s.Binary):
        return (node.operator, shape(node.left), shape(node.right))
    if isinstance(node, s.Unary):
        return (node.operator, shape(node.operand))
    return node.value if isinstance(node, s.Number | s.Boolean | s.String) else node.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", ("+", 1, ("*", 2, 3))),
        ("1 - 2 - 3", ("-", ("-", 1, 2), 3)),
        ("8 / 4 * 2", ("*", ("/", 8, 4), 2)),
        ("(1 + 2) * 3", ("*", ("+", 1, 2), 3)),
        ("-a * b", ("*", ("-", "a"), "b")),
        ("a - -b", ("-", "a", ("-", "b"))),
        ("--a", ("-", ("-", "a"))),
        ("7 // 2 % 3", ("%", ("//", 7, 2), 3)),
        ("a or b and c", ("or", "a", ("and", "b", "c"))),
        ("a and b or c", ("or", ("and", "a", "b"), "c")),
        ("not a == b", ("not", ("==", "a", "b"))),
        ("not a and b", ("and", ("not", "a"), "b")),
        ("a and not b", ("and", "a", ("not", "b"))),
        ("not not a", ("not", ("not", "a"))),
        ("a + 1 < b * 2 and c", ("and", ("<", ("+", "a", 1), ("*", "b", 2)), "c")),
        ("a < b or b != c", ("or", ("<", "a", "b"), ("!=", "b", "c"))),
        ("(not a) == b", ("==", ("not", "a"), "b")),
        (r'"a\"\\\n\t"', 'a"\\\n\t'),
        ("1e-4", 1e-4),
        ("007", 7),
        ("0.0e-999", 0.0),
        ("true", True),
    ],
)
def test_operators_bind_as_in_python(text, expected):
    (let,) = parse(f"let x = {text}").items
    assert shape(let.value) == expected
    assert text[let.value.span.start - 8 : let.value.span.end - 8] == text


def test_a_word_is_a_name_where_the_grammar_does_not_ask_for_the_word():
    net = parse_file(HERE / "valid/words_as_names.net").items[0]
    kinds = [statement.kind for statement in net.body]
    assert kinds == [*["input"] * 2, "chain", "assign", "assign", *["chain"] * 5, "part", "output", "output"]
    assert net.body[-1].type == s.LikeType(span=net.body[-1].type.span, name=net.body[-1].type.name)


def test_the_parts_of_a_net():
    file = parse_file(HERE / "valid/residual.net")
    let, block, net = file.items
    assert (let.name.text, let.value.value) == ("width", 64)
    assert [(p.name.text, p.default and p.default.value) for p in block.parameters] == [
        ("channels", None),
        ("stride", 1),
    ]
    short, condition, main, joined = block.body
    assert short.value.steps[0].arguments is None
    assert shape(condition.condition) == ("!=", "stride", 1)
    assert condition.orelse == ()
    assert [step.name.text for step in main.steps] == ["in", "conv", "batchnorm", "relu", "conv", "batchnorm"]
    assert main.steps[1].arguments[1].value.sizes == (3, 3)
    assert main.steps[1].arguments[2].key.text == "stride"
    assert [step.name.text for step in joined.steps] == ["add", "relu"]
    assert [statement.kind for statement in net.body][2] == "repeat"


def test_else_if_is_an_if_alone():
    (block,) = parse_file(HERE / "valid/branches.net").items
    first, second = block.body
    assert [type(statement) for statement in first.orelse] == [s.Chain]
    (inner,) = second.orelse
    (innermost,) = inner.orelse
    assert [type(statement) for statement in innermost.orelse] == [s.Repeat]


def test_the_span_of_a_file_is_its_text():
    text = "\n\nlet a = 1\n\n"
    assert parse(text).span == s.Span(start=0, end=len(text))
