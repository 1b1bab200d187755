"""Recurrent layers beyond the rows of layer_rows.py: exactness, dropout between the layers, first weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.lower import lower_step
from tests.compiler.engine import Graph
from tests.compiler.layer_rows import recurrent, tensor_of

TIME, FEATURES, UNITS, BATCH = 20, 5, 7, 6


def net_of(layer: str, size: int, features: int = FEATURES) -> CompiledNet:
    flatten = "flatten" if "sequence" in layer else ""
    return sparknet.compile(
        f"net N {{\n input x: float[{TIME}, {features}]\n {layer}\n {flatten}\n output y: float[{size}]\n}}\n"
        "train { optimizer = sgd(lr: 1) }"
    )


@pytest.mark.parametrize(
    ("dtype", "features", "bias"),
    [("float32", FEATURES, True), ("float64", FEATURES, True), ("float64", 1, True), ("float64", 1, False)],
)
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("sequence", [False, True])
def test_gradients_are_pytorchs_to_the_last_digits(
    kind: Any, sequence: bool, dtype: str, features: int, bias: bool
) -> None:
    """Of the sum of squares, with weights as PyTorch starts them, through two stacked layers of both directions.

    Few features are multiplied inside the loop.
    """
    name = kind.__name__.lower()
    size = 2 * UNITS * (TIME if sequence else 1)
    text = f"{name}({UNITS}, layers: 2, bidirectional: true, return: {'sequence' if sequence else 'last'}"
    net = net_of(f"{text}, bias: {str(bias).lower()})", size, features)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(BATCH, TIME, features)).astype(dtype), random.normal(size=(BATCH, size)).astype(dtype)
    flat = net.initial_parameters().astype(dtype)
    parameters = {s.name: tensor_of(flat, s) for s in net.parameters}
    run = recurrent(kind, UNITS, sequence, num_layers=2, bidirectional=True, bias=bias)
    loss = nn.functional.mse_loss(run(torch.tensor(x), parameters).flatten(1), torch.tensor(y))
    loss.backward()
    expected = torch.cat([p.grad.flatten() for p in parameters.values() if p.grad is not None]).numpy()
    step = Graph(lower_step(net.typed, dtype))
    rate, state = np.array(1, dtype), np.zeros(0, dtype)
    found = step(x=x, y=y, parameters=flat, optimizer_state=state, learning_rate=rate, seed=0)
    tolerance = {"float32": 1e-5, "float64": 1e-9}[dtype]
    np.testing.assert_allclose(flat - found["new_parameters"], expected, rtol=0, atol=tolerance * abs(expected).max())
    np.testing.assert_allclose(found["loss"], loss.item(), rtol=tolerance)


def test_training_loops_and_inference_has_one_operator_a_layer() -> None:
    net = net_of("lstm(7, layers: 2, bidirectional: true)", 14)
    kinds = [n.op_type for n in net.step.graph.node]
    assert (kinds.count("Scan"), kinds.count("LSTM")) == (8, 0), "two layers, two directions, there and back"
    for model in (net.evaluation, net.inference(net.initial_parameters())):
        kinds = [n.op_type for n in model.graph.node]
        assert (kinds.count("Scan"), kinds.count("LSTM")) == (0, 2)


def test_dropout_acts_between_the_layers_in_training_only() -> None:
    net = net_of("gru(7, layers: 3, dropout: 0.5)", 7)
    plain = net_of("gru(7, layers: 3)", 7)
    random = np.random.default_rng(0)
    batch = {
        "x": random.normal(size=(BATCH, TIME, FEATURES)).astype(np.float32),
        "y": random.normal(size=(BATCH, 7)).astype(np.float32),
        "parameters": net.initial_parameters(),
    }
    run, rest = Graph(net.step), {"optimizer_state": net.initial_optimizer_state(), "learning_rate": 1}
    first, again, other = (float(run(**batch, **rest, seed=seed)["loss"]) for seed in (1, 1, 2))
    assert first == again != other
    assert sum(n.op_type == "Where" for n in net.step.graph.node) == 2, "a mask in front of each layer but the first"
    kept = Graph(net.evaluation)(**batch)["loss"]
    assert kept == Graph(plain.evaluation)(**batch)["loss"]
    assert kept != first


def test_weights_start_uniform_as_pytorchs() -> None:
    net = net_of("lstm(400)", 400)
    flat = net.initial_parameters()
    assert np.abs(flat).max() <= 1 / 20
    assert abs(flat.std() * 20 * np.sqrt(3) - 1) < 0.01
