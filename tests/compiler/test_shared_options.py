"""Options that layers share, `init`, `l1`, `l2` and `frozen`, on every layer that takes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.layers import LAYERS
from sparknet.compiler.layers.base import Trainable, Weighted
from tests.compiler.engine import Array, Graph
from tests.compiler.layer_rows import ROWS, Row, tensor_of

TRAINABLE = {
    name: next((row for row in ROWS if row.text.split("(")[0] == name), Row(name, (3, 4), (3, 4), lambda x, p: x))
    for name, layer in LAYERS.items()
    if issubclass(layer, Trainable) and name != "onnx"  # test_foreign.py: it takes a file
}
"""The first row of each layer that can be frozen; `batchnorm` has none."""
WEIGHTED = [name for name in TRAINABLE if issubclass(LAYERS[name], Weighted)]


def net_of(row: Row, options: str) -> CompiledNet:
    """The row's layer with options, a trained layer behind it."""
    text = f"{row.text[:-1]}, {options})" if row.text.endswith(")") else f"{row.text}({options})"
    text = text if options else row.text
    return sparknet.compile(
        f"net N {{\n input x: {row.type}\n {text}\n flatten\n dense(2)\n output y: float[2]\n}}\n"
        "train { optimizer = sgd(lr: 1) }"
    )


def run(net: CompiledNet, row: Row, flat: Array) -> tuple[dict[str, Array], Array]:
    """A training step, and the loss of an evaluation on the same rows."""
    random = np.random.default_rng(1)
    feeds = {"x": row.batch(random), "y": random.normal(size=(5, 2)).astype(np.float32), "parameters": flat}
    state = net.initial_optimizer_state()
    stepped = Graph(net.step)(optimizer_state=state, learning_rate=1, seed=0, **feeds)
    return stepped, Graph(net.evaluation)(**feeds)["loss"]


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_penalty_on_the_weights_is_part_of_the_training_loss_only(name: str) -> None:
    row = TRAINABLE[name]
    net, plain = net_of(row, "l1: 0.1, l2: 0.01"), net_of(row, "")
    flat = np.random.default_rng(0).normal(size=net.parameter_count).astype(np.float32)
    (found, evaluated), (expected, without) = run(net, row, flat), run(plain, row, flat)
    tensors = [tensor_of(flat, s) for s in net.parameters]
    last = net.layers[-1].name
    weights = [
        t for t, s in zip(tensors, net.parameters, strict=True) if t.ndim > 1 and not s.name.startswith(f"{last}.")
    ]
    assert weights
    penalty = torch.stack([0.1 * w.abs().sum() + 0.01 * (w * w).sum() for w in weights]).sum()
    penalty.backward()
    np.testing.assert_allclose(found["loss"], expected["loss"] + penalty.item(), rtol=1e-5)
    assert evaluated == without
    gradient = torch.cat([(torch.zeros_like(t) if t.grad is None else t.grad).flatten() for t in tensors])
    change = expected["new_parameters"] - found["new_parameters"]
    np.testing.assert_allclose(change, gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_frozen_layer_keeps_its_numbers_and_the_others_train(name: str) -> None:
    row = TRAINABLE[name]
    net, plain = net_of(row, "frozen: true"), net_of(row, "")
    assert net.layers[0].parameters == 0
    assert net.trained_count == net.layers[-1].parameters
    parameters = {s.name: tensor_of(plain.initial_parameters(), s) for s in plain.parameters}
    first = net.initial_parameters()
    for slot in net.parameters:
        np.testing.assert_array_equal(tensor_of(first, slot).detach(), parameters[slot.name].detach())
    new = run(net, row, first)[0]["new_parameters"]
    assert np.array_equal(new[net.trained_count :], first[net.trained_count :])
    assert not np.array_equal(new[: net.trained_count], first[: net.trained_count])


@pytest.mark.parametrize("name", WEIGHTED)
def test_the_weights_start_as_init_says_and_the_biases_as_they_would(name: str) -> None:
    row = TRAINABLE[name]
    net, plain = net_of(row, "init: uniform"), net_of(row, "")
    found, usual = net.initial_parameters(), plain.initial_parameters()
    for slot in net.parameters[:-2]:
        new, old = tensor_of(found, slot).detach(), tensor_of(usual, slot).detach()
        if len(slot.shape) > 1:
            assert not torch.equal(new, old), slot.name
            assert new.abs().max() <= 0.05
        else:
            assert torch.equal(new, old), slot.name
