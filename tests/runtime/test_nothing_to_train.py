"""A net without anything to train compiles and infers, and a run of it is refused at its name before it starts."""

from __future__ import annotations

import numpy as np
import pytest

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from tests.compiler.engine import Graph

NET = """\
net Still {{
  input image: float[1, 8, 8]
  flatten{layers}
  output digit: class[{classes}]
}}
data {{
  source = digits()
  image  = column("pixels")
  digit  = column("label")
}}
"""
SHOWN = """\
error[R0025]: net `Still` has nothing to train: {why}
  --> <text>:1:5
   |
 1 | net Still {{
   |     ^^^^^
   = help: {help}
   = help: `sparknet compile` writes the inference graph as it is"""


@pytest.mark.parametrize(
    ("layers", "classes", "why", "help"),
    [
        ("", 64, "no layer has weights", "add a layer that has some, such as `dense(10)`"),
        (
            " -> dense(10, frozen: true)",
            10,
            "all its layers are frozen",
            "leave out a `frozen: true`",
        ),
    ],
)
def test_it_infers_but_does_not_train(layers: str, classes: int, why: str, help: str) -> None:
    net = sparknet.compile(NET.format(layers=layers, classes=classes))
    image = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    found = Graph(net.inference(net.initial_parameters()))(image=image)
    assert found["digit_probability"].shape == (3, classes)
    for run in (lambda: run_local(net), lambda: run_spark(net, on=OnSpark("local[1]"))):
        with pytest.raises(SparkNetError) as error:
            run()
        assert str(error.value) == SHOWN.format(why=why, help=help)
