"""Every layer: shape, forward pass and gradients against PyTorch, inference graph against evaluation graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import sparknet
from sparknet.compiler.layers import JOINS, LAYERS
from tests.compiler.engine import Graph
from tests.compiler.layer_rows import JOINED, ROWS, Row, tensor_of


@pytest.mark.parametrize("row", ROWS, ids=[r.text for r in ROWS])
def test_layer(row: Row) -> None:
    """Shape, forward pass, loss, and the gradients of the layer's own parameters."""
    size = int(np.prod(row.leaves))
    flatten = "flatten" if len(row.leaves) > 1 else ""
    net = sparknet.compile(
        f"net Row {{\n input x: {row.type}\n {row.text}\n {flatten}\n output y: float[{size}]\n}}\n"
        "train { optimizer = sgd(lr: 1) }"
    )
    assert net.layers[0].type.shape == row.leaves
    assert sum(r.parameters for r in net.layers) == net.trained_count

    random = np.random.default_rng(0)
    x = row.batch(random)
    y = random.normal(size=(5, size)).astype(np.float32)
    flat = random.normal(size=net.parameter_count).astype(np.float32)
    parameters = {
        s.name: torch.tensor(flat[s.offset : s.offset + s.size].reshape(s.shape), requires_grad=True)
        for s in net.parameters
    }
    expected = row.torch(torch.tensor(x), parameters).flatten(1)
    inferred = Graph(net.inference(flat))(x=x)["y"]
    np.testing.assert_allclose(inferred, expected.detach(), rtol=1e-4, atol=1e-4)

    loss = F.mse_loss(expected, torch.tensor(y))
    evaluated = Graph(net.evaluation)(x=x, y=y, parameters=flat)
    np.testing.assert_allclose(evaluated["loss"], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(evaluated["loss"], np.mean((inferred - y) ** 2), rtol=1e-5)
    np.testing.assert_allclose(evaluated["mae"], np.mean(np.abs(inferred - y)), rtol=1e-5)
    if not parameters:
        return
    loss.backward()
    state = net.initial_optimizer_state()
    step = Graph(net.step)(x=x, y=y, parameters=flat, optimizer_state=state, learning_rate=1, seed=0)
    gradient = torch.cat([p.grad.flatten() for p in parameters.values() if p.grad is not None])
    np.testing.assert_allclose(flat - step["new_parameters"], gradient, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(step["loss"], loss.item(), rtol=1e-5)


def test_every_layer_has_a_row() -> None:
    elsewhere = {"batchnorm", "onnx"}  # test_batchnorm.py: training and inference differ; test_foreign.py: takes a file
    assert {row.text.split("(")[0] for row in ROWS} - {""} == set(LAYERS) - elsewhere
    assert {text.split("(")[0] for text, *_ in JOINED} == set(JOINS)


@pytest.mark.parametrize(("text", "leaves", "join"), JOINED, ids=[text for text, *_ in JOINED])
def test_join(text: str, leaves: tuple[int, ...], join: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    """Two trained 1x1 convolutions of one image, joined."""
    size = int(np.prod(leaves))
    net = sparknet.compile(
        f"net Row {{\n input x: float[2, 4, 4]\n a = conv(3, 1x1)\n b = x -> conv(3, 1x1)\n b -> {text} -> flatten\n"
        f" output y: float[{size}]\n}}\ntrain {{ optimizer = sgd(lr: 1) }}"
    )
    assert net.layers[2].type.shape == leaves
    random = np.random.default_rng(0)
    x = random.normal(size=(5, 2, 4, 4)).astype(np.float32)
    y = random.normal(size=(5, size)).astype(np.float32)
    flat = random.normal(size=net.parameter_count).astype(np.float32)
    wa, ba, wb, bb = tensors = [tensor_of(flat, s) for s in net.parameters]
    joined = join(F.conv2d(torch.tensor(x), wa, ba), F.conv2d(torch.tensor(x), wb, bb))
    loss = F.mse_loss(joined.flatten(1), torch.tensor(y))
    loss.backward()
    step = Graph(net.step)(
        x=x, y=y, parameters=flat, optimizer_state=net.initial_optimizer_state(), learning_rate=1, seed=0
    )
    np.testing.assert_allclose(step["loss"], loss.item(), rtol=1e-5)
    gradient = torch.cat([t.grad.flatten() for t in tensors if t.grad is not None])
    np.testing.assert_allclose(flat - step["new_parameters"], gradient, rtol=1e-3, atol=1e-4)


ON_NUMBERS = [row for row in ROWS if row.vocabulary is None]


@pytest.mark.parametrize("row", ON_NUMBERS, ids=[r.text for r in ON_NUMBERS])
def test_gradients_pass_through_to_the_layer_in_front(row: Row) -> None:
    """The gradient that reaches a trained layer in front, and that of the layer itself, against PyTorch."""
    flatten = "flatten" if len(row.leaves) > 1 else ""
    width = int(np.prod(row.arrives))
    in_front = f"dense({width}) -> reshape({', '.join(map(str, row.arrives))})"
    size = int(np.prod(row.leaves))
    net = sparknet.compile(
        f"net Row {{\n input x: float[6]\n {in_front}\n {row.text}\n {flatten}\n"
        f" output y: float[{size}]\n}}\ntrain {{ optimizer = sgd(lr: 1) }}"
    )
    random = np.random.default_rng(0)
    x = random.normal(size=(5, 6)).astype(np.float32)
    y = random.normal(size=(5, size)).astype(np.float32)
    flat = random.normal(size=net.parameter_count).astype(np.float32)
    weight, bias, *own = tensors = [tensor_of(flat, s) for s in net.parameters]
    names = [s.name.replace("dense2", "dense1") for s in net.parameters[2:]]
    front = (torch.tensor(x) @ weight + bias).reshape(5, *row.arrives)
    F.mse_loss(row.torch(front, dict(zip(names, own, strict=True))).flatten(1), torch.tensor(y)).backward()
    step = Graph(net.step)(
        x=x, y=y, parameters=flat, optimizer_state=net.initial_optimizer_state(), learning_rate=1, seed=0
    )
    gradient = torch.cat([t.grad.flatten() for t in tensors if t.grad is not None])
    np.testing.assert_allclose(flat - step["new_parameters"], gradient, rtol=1e-3, atol=1e-4)
