"""Max-pooling and the rectifier trade places in training, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import sparknet
from sparknet.compiler.gradients import pooling
from tests.compiler.engine import Graph

BY_COMPARING, BY_PLACES_OF_MAXPOOL, BY_PLACES_OF_WINDOWS = (8, 2**24), (8, 8), (2, 2**24)


@pytest.mark.parametrize(("channels", "exact"), [BY_COMPARING, BY_PLACES_OF_MAXPOOL, BY_PLACES_OF_WINDOWS])
def test_pooling_before_the_rectifier_changes_no_gradient(
    monkeypatch: pytest.MonkeyPatch, channels: int, exact: int
) -> None:
    """Sides of more numbers than float32 counts exactly take the other way: here those of more than eight."""
    monkeypatch.setattr(pooling, "_EXACT", exact)
    net = sparknet.compile(
        f"net N {{\n input x: float[{channels}, 6, 6]\n conv(3, 3x3, relu) -> maxpool(2) -> flatten -> dense(4)\n"
        " output y: float[4]\n}\ntrain { optimizer = sgd(lr: 1) }"
    )
    operators = [node.op_type for node in net.step.graph.node]
    assert ("MaxPool" in operators, "MaxUnpool" in operators) == (channels == 8, channels == 8 and exact > 36)
    assert "MaxPool" not in operators or operators.index("MaxPool") < operators.index("Relu")
    random = np.random.default_rng(0)
    x = random.integers(-1, 2, (5, channels, 6, 6)).astype(
        np.float32
    )  # few values, so that windows have ties, and zeros
    y = random.normal(size=(5, 4)).astype(np.float32)
    flat = random.integers(-1, 2, net.parameter_count).astype(np.float32)
    tensors = [
        torch.tensor(flat[s.offset : s.offset + s.size].reshape(s.shape), requires_grad=True) for s in net.parameters
    ]
    hidden = F.max_pool2d(torch.relu(F.conv2d(torch.tensor(x), tensors[0], tensors[1], padding=1)), 2).flatten(1)
    F.mse_loss(hidden @ tensors[2] + tensors[3], torch.tensor(y)).backward()
    step = Graph(net.step)(
        x=x, y=y, parameters=flat, optimizer_state=net.initial_optimizer_state(), learning_rate=1, seed=0
    )
    gradient = torch.cat([t.grad.flatten() for t in tensors if t.grad is not None])
    np.testing.assert_allclose(flat - step["new_parameters"], gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 8])
def test_numbers_that_are_none_have_a_place_too(channels: int) -> None:
    net = sparknet.compile(
        f"net N {{\n input x: float[{channels}, 4, 4]\n conv(2, 3x3) -> maxpool(2) -> flatten -> dense(2)\n"
        " output y: float[2]\n}"
    )
    x = np.ones((3, channels, 4, 4), np.float32)
    x[1, 0, 0, 0] = np.nan
    state, y = net.initial_optimizer_state(), np.zeros((3, 2), np.float32)
    step = Graph(net.step)(
        x=x, y=y, parameters=net.initial_parameters(), optimizer_state=state, learning_rate=1, seed=0
    )
    assert np.isnan(step["loss"])
