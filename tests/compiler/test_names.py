"""Names that a file gives never meet the names that the compiler gives."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import sparknet
from sparknet.compiler.graph import GraphBuilder
from tests.compiler.engine import Graph


def test_an_input_may_be_called_like_a_layer() -> None:
    net = sparknet.compile(
        "net N {\n input dense1: float[2]\n dense(2, bias: false)\n add(dense1)\n output y: float[2]\n}"
    )
    weights = 3 * np.eye(2, dtype=np.float32).ravel()
    out = Graph(net.inference(weights))(dense1=np.array([[1, 2]], np.float32))
    assert out["y"].tolist() == [[4, 8]]


@pytest.mark.parametrize("name", ["constant", "Split", "Reshape", "Softmax", "ArgMax", "net", "optimizer", "N"])
def test_ports_may_be_called_like_anything_in_a_graph(name: str) -> None:
    for net in (
        sparknet.compile(f"net N {{\n input {name}: float[4]\n dense(4, relu)\n dropout(0.5)\n output y: class[4]\n}}"),
        sparknet.compile(f"net N {{\n input x: float[4]\n dense(4, relu)\n dropout(0.5)\n output {name}: class[4]\n}}"),
    ):
        for model in (net.step, net.evaluation, net.inference(net.initial_parameters())):
            onnx.checker.check_model(model, full_check=True)
            Graph(model)


def test_a_graph_refuses_a_name_twice() -> None:
    g = GraphBuilder("g")
    g.input("x", "float32", (1,))
    with pytest.raises(ValueError, match="two values of the graph `g` are called `x`"):
        g.input("x", "float32", (1,))


def test_dropout_behind_a_softmax_is_one_loss_in_training_and_evaluation() -> None:
    net = sparknet.compile(
        "net N {\n input x: float[3]\n dense(2, softmax) -> dropout(0.000001)\n output y: class[2]\n}"
    )
    flat = np.random.default_rng(0).normal(size=net.parameter_count).astype(np.float32)
    feeds = {"x": np.ones((4, 3), np.float32), "y": np.array([0, 1, 1, 0]), "parameters": flat}
    state = net.initial_optimizer_state()
    step = Graph(net.step)(**feeds, optimizer_state=state, learning_rate=0.1, seed=0)
    np.testing.assert_allclose(step["loss"], Graph(net.evaluation)(**feeds)["loss"], rtol=1e-4)
