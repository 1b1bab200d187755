"""First weights, and where frozen numbers lie; test_shared_options.py goes through all layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import sparknet
from sparknet.compiler import CompiledNet
from tests.compiler.engine import Array, Graph


def compiled(options: str) -> CompiledNet:
    return sparknet.compile(
        f"net N {{\n input x: float[4]\n dense(5, tanh{options})\n dense(3)\n output y: float[3]\n}}\n"
        "train { optimizer = sgd(lr: 1) }"
    )


def step(net: CompiledNet, flat: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """A training step and an evaluation on the same rows."""
    random = np.random.default_rng(1)
    feeds = {"x": random.normal(size=(6, 4)).astype(np.float32), "y": random.normal(size=(6, 3)).astype(np.float32)}
    state = net.initial_optimizer_state()
    stepped = Graph(net.step)(parameters=flat, optimizer_state=state, learning_rate=1, seed=0, **feeds)
    return stepped, Graph(net.evaluation)(parameters=flat, **feeds)


def test_a_frozen_layer_lies_behind_the_trained_ones_and_stays() -> None:
    net, plain = compiled(", frozen: true"), compiled("")
    names = ["dense2.weight", "dense2.bias", "dense1.weight", "dense1.bias"]
    assert [(s.name, s.kind) for s in net.parameters] == list(zip(names, ["trained"] * 2 + ["frozen"] * 2, strict=True))
    assert [row.parameters for row in net.layers] == [0, 18]
    flat = net.initial_parameters()
    assert np.array_equal(flat, np.roll(plain.initial_parameters(), 18)), "freezing changes no initial number"
    found = step(net, flat)[0]["new_parameters"]
    expected = step(plain, np.roll(flat, -18))[0]["new_parameters"]
    assert np.array_equal(found[18:], flat[18:])
    np.testing.assert_allclose(found[:18], expected[25:], rtol=1e-5)


def test_a_net_all_frozen_still_steps() -> None:
    net = sparknet.compile("net N {\n input x: float[4]\n dense(3, frozen: true)\n output y: float[3]\n}")
    flat = net.initial_parameters()
    assert np.array_equal(step(net, flat)[0]["new_parameters"], flat)


def test_a_layer_that_nothing_reads_keeps_its_numbers() -> None:
    net = sparknet.compile("net N {\n input x: float[4]\n a = dense(2)\n dense(3)\n output y: float[3]\n}")
    flat = net.initial_parameters()
    assert np.array_equal(step(net, flat)[0]["new_parameters"][:10], flat[:10])


@pytest.mark.parametrize(
    ("init", "deviation", "largest"),
    [
        ("he", np.sqrt(2 / 400), None),
        ("glorot", np.sqrt(2 / 700), np.sqrt(6 / 700)),
        ("normal", 0.05, None),
        ("uniform", 0.05 / np.sqrt(3), 0.05),
        ("zeros", 0.0, 0.0),
        ("orthogonal", 1 / np.sqrt(400), None),
    ],
)
def test_initial_weights(init: str, deviation: float, largest: float | None) -> None:
    net = sparknet.compile(f"net N {{\n input x: float[400]\n dense(300, init: {init})\n output y: float[300]\n}}")
    weight, bias = np.split(net.initial_parameters(), [120_000])
    assert not bias.any()
    np.testing.assert_allclose(weight.std(), deviation, rtol=0.01)
    assert largest is None or np.abs(weight).max() <= largest * (1 + 1e-6)
    if init == "orthogonal":
        matrix = weight.reshape(400, 300)
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(300), atol=1e-5)


def test_orthogonal_filters_of_a_convolution_as_in_pytorch() -> None:
    net = sparknet.compile(
        "net N {\n input x: float[3, 4, 4]\n conv(8, 3x3, init: orthogonal)\n flatten\n output y: float[128]\n}"
    )
    filters = net.initial_parameters()[:216].reshape(8, 27)
    np.testing.assert_allclose(filters @ filters.T, np.eye(8), atol=1e-5)
    theirs = torch.nn.init.orthogonal_(torch.empty(8, 3, 3, 3)).reshape(8, 27)
    np.testing.assert_allclose(F.linear(theirs, theirs), np.eye(8), atol=1e-5)
