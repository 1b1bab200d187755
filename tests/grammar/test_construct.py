"""Nets from Python objects, and the published schema of the tree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sparknet
from sparknet.grammar import File, SparkNetError, parse, schema_text, write
from sparknet.grammar import construct as c
from sparknet.grammar.bare import same
from tests.catalogue import check_text

ROOT = Path(__file__).parents[2]
DIGITS = """\
let width = 32

block Twice(units, relu = true) {
  dense(units) -> dense(units)
  if relu { relu } else { tanh }
}

net Digits {
  input image: float[1, 8, 8]
  (8, 3, 3, 32, "RELU")
  conv(width, 3x3, relu, stride: 2)
  code = flatten -> dense(10, bias: false)
  repeat 2 {
    relu
    dropout(0.5)
  }
  encoder { flatten }
  output digit: class[10] = code
  output again: like image
  output far:   float[1]  = flatten -> dense(1)
}

train {
  optimizer = adam(lr: 1e-5)
  epochs    = 10
  clip      = -1.5
  weights   = {digit: 1, "two words": [1, 2.0]}
}
"""


def digits() -> File:
    return c.file(
        c.let("width", 32),
        c.block(
            "Twice",
            {"units": None, "relu": True},
            c.chain(c.layer("dense", c.word("units")), c.layer("dense", c.word("units"))),
            c.when(c.word("relu"), ["relu"], ["tanh"]),
        ),
        c.net(
            "Digits",
            c.input("image", "float", 1, 8, 8),
            (8, 3, 3, 32, "RELU"),
            c.layer("conv", c.word("width"), (3, 3), c.word("relu"), stride=2),
            c.assign("code", c.chain("flatten", c.layer("dense", 10, bias=False))),
            c.repeat(2, "relu", c.layer("dropout", 0.5)),
            c.part("encoder", "flatten"),
            c.output("digit", "class", 10, of="code"),
            c.output("again", "like image"),
            c.output("far", "float", 1, of=c.chain("flatten", c.layer("dense", 1))),
        ),
        c.section(
            "train",
            optimizer=c.call("adam", lr=1e-5),
            epochs=10,
            clip=-1.5,
            weights={"digit": 1, "two words": [1, 2.0]},
        ),
    )


def test_a_net_from_objects_is_written_as_a_person_would():
    assert write(digits()) == DIGITS
    assert same(parse(DIGITS), digits())


def test_a_tree_goes_to_json_and_comes_back_as_text():
    again = File.model_validate_json(digits().model_dump_json())
    assert write(again) == DIGITS


def test_the_tuples_of_the_document_compile():
    layers = [(224, 3, 3, 4, "RELU"), (224, 3, 3, 8, "RELU"), (8, 1, 1, 10, "SOFTMAX")]
    file = c.file(c.net("Document", c.input("image", "float", 3, 224, 224), *layers, c.output("label", "class", 10)))
    typed = sparknet.check(file)
    assert [use.name for use in typed.net.layers] == ["conv1", "conv2", "dense1"]


@pytest.mark.parametrize("name", ["two words", "a{", "1a", "", "if", "a # b", "relu }\nnet B { relu"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises((SparkNetError, ValueError)):
        c.file(c.net("N", c.layer(name)))
    with pytest.raises((SparkNetError, ValueError)):
        c.file(c.let(name, 3))


@pytest.mark.parametrize("what", [float("nan"), float("inf"), 10**30, "\x00", "\r", None, object(), {1: {2: object()}}])
def test_what_is_no_value_is_refused(what):
    with pytest.raises((SparkNetError, ValueError, TypeError)):
        c.file(c.let("a", what))


def test_an_expression_can_be_read():
    assert write(c.file(c.let("a", c.expr("b * (2 + 1)")))) == "let a = b * (2 + 1)\n"
    with pytest.raises(SparkNetError) as error:
        c.expr("1 + )", "rate")
    assert "--> rate:1:5" in str(error.value)


def test_lines_of_a_net_can_be_read():
    assert [write(c.file(c.net("N", line))) for line in c.lines("dense(3)\nrelu -> tanh")] == [
        "net N {\n  dense(3)\n}\n",
        "net N {\n  relu -> tanh\n}\n",
    ]
    with pytest.raises(SparkNetError) as error:
        c.lines("conv(8, 3x3", "layers[2]")
    assert "--> layers[2]:1:12" in str(error.value)


def test_the_published_schema_is_that_of_the_tree():
    check_text(ROOT / "docs" / "net.schema.json", schema_text())
    schema = json.loads(schema_text())
    assert schema["title"] == "File"
    assert {"Net", "Block", "LayerTuple", "Call"} <= set(schema["$defs"])
