"""Batch normalisation against PyTorch: three training steps, running numbers, evaluation, folded inference."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

import sparknet
from sparknet.compiler import CompiledNet
from tests.compiler.engine import Array, Graph

FRONTS = {
    "dense": ("float[6]", "dense(5)", (6,), nn.Linear(6, 5), nn.BatchNorm1d(5)),
    "dense without bias": ("float[6]", "dense(5, bias: false)", (6,), nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5)),
    "conv": ("float[3, 6, 5]", "conv(5, 3x3)", (3, 6, 5), nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5)),
    "signal": ("float[3, 6]", "conv(5, 3)", (3, 6), nn.Conv1d(3, 5, 3, padding=1), nn.BatchNorm1d(5)),
    "depthwise": (
        "float[5, 6, 5]", "depthwise(3x3)", (5, 6, 5), nn.Conv2d(5, 5, 3, padding=1, groups=5), nn.BatchNorm2d(5),
    ),
    "deconv": (
        "float[3, 6, 5]", "deconv(5, 3x3)", (3, 6, 5), nn.ConvTranspose2d(3, 5, 3, padding=1), nn.BatchNorm2d(5),
    ),
    "deconv in groups": (
        "float[6, 4, 3]", "deconv(4, 3x3, groups: 2)", (6, 4, 3),
        nn.ConvTranspose2d(6, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4),
    ),
    "deconv of a signal": (
        "float[3, 6]", "deconv(5, 3, bias: false)", (3, 6),
        nn.ConvTranspose1d(3, 5, 3, padding=1, bias=False), nn.BatchNorm1d(5),
    ),
    "conv without bias": (
        "float[3, 6, 5]", "conv(5, 1x1, bias: false)", (3, 6, 5), nn.Conv2d(3, 5, 1, bias=False), nn.BatchNorm2d(5),
    ),
}  # fmt: skip


def model_of(net: CompiledNet, flat: Array, front: nn.Module, norm: nn.Module) -> nn.Sequential:
    """PyTorch's net with our numbers; `dense` keeps its weight transposed."""
    model = nn.Sequential(deepcopy(front), deepcopy(norm), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)).double()
    model(torch.zeros(2, *net.inputs[0].type.shape, dtype=torch.float64))
    names = {"scale": "1.weight", "bias": "1.bias", "mean": "1.running_mean", "variance": "1.running_var"}
    ours: dict[str, torch.Tensor] = {}
    for slot in net.parameters:
        layer, name = slot.name.split(".")
        tensor = torch.tensor(flat[slot.offset : slot.offset + slot.size].reshape(slot.shape)).double()
        tensor = tensor.T if layer.startswith("dense") and name == "weight" else tensor
        last = layer == net.layers[-1].name
        ours[names[name] if layer == "batchnorm1" else f"{4 if last else 0}.{name}"] = tensor
    model.load_state_dict({**model.state_dict(), **ours})
    return model


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("options", "momentum", "eps"), [("", 0.1, 1e-5), ("(momentum: 0.5, eps: 0.01)", 0.5, 0.01)])
def test_three_steps_give_pytorchs_parameters_and_running_numbers(
    front: str, options: str, momentum: float, eps: float
) -> None:
    kind, text, shape, layer, norm = FRONTS[front]
    norm.momentum, norm.eps = momentum, eps
    net = sparknet.compile(
        f"net N {{\n input x: {kind}\n {text} -> batchnorm{options} -> relu -> flatten -> dense(2)\n"
        " output y: float[2]\n}\ntrain { optimizer = sgd(lr: 0.01, momentum: 0.9) }"
    )
    assert [s.name for s in net.parameters if s.kind == "buffer"] == ["batchnorm1.mean", "batchnorm1.variance"]
    assert net.optimizer_state_size == net.trained_count == net.parameter_count - 2 * norm.num_features
    random = np.random.default_rng(0)
    flat = (random.uniform(0.5, 1.5, net.parameter_count) * random.choice([-1, 1], net.parameter_count)).astype(
        np.float32
    )
    flat[net.trained_count :] = np.abs(flat[net.trained_count :])
    state = net.initial_optimizer_state()
    model = model_of(net, flat, layer, norm).train()
    theirs = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    step = Graph(net.step)
    for _ in range(3):
        x, y = random.normal(size=(7, *shape)).astype(np.float32), random.normal(size=(7, 2)).astype(np.float32)
        out = step(x=x, y=y, parameters=flat, optimizer_state=state, learning_rate=0.01, seed=0)
        flat, state = out["new_parameters"], out["new_optimizer_state"]
        theirs.zero_grad()
        loss = nn.functional.mse_loss(model(torch.tensor(x).double()), torch.tensor(y).double())
        loss.backward()
        theirs.step()
        np.testing.assert_allclose(out["loss"], loss.item(), rtol=1e-4)
    for name, tensor in model_of(net, flat, layer, norm).state_dict().items():
        if "num_batches" not in name:
            np.testing.assert_allclose(tensor, model.state_dict()[name], rtol=1e-3, atol=1e-4, err_msg=name)
    with torch.no_grad():
        expected = model.eval()(torch.tensor(x).double())
    inference = net.inference(flat)
    np.testing.assert_allclose(Graph(inference)(x=x)["y"], expected, rtol=1e-3, atol=1e-4)
    assert not any(n.op_type == "BatchNormalization" for n in inference.graph.node), "folded"
    loss = nn.functional.mse_loss(expected, torch.tensor(y).double())
    np.testing.assert_allclose(Graph(net.evaluation)(x=x, y=y, parameters=flat)["loss"], loss.item(), rtol=1e-3)


@pytest.mark.parametrize(
    "body",
    [
        "dense(5, relu) -> batchnorm",  # the activation stands between
        "batchnorm -> dense(5)",
        "a = dense(5)\n a -> batchnorm -> add(a)",  # read twice
        "reshape(5, 1) -> dense(5, bias: false) -> batchnorm -> mean",  # the channels are steps
    ],
)
def test_what_cannot_be_folded_stays(body: str) -> None:
    net = sparknet.compile(f"net N {{\n input x: float[5]\n {body}\n output y: float[5]\n}}")
    flat = np.random.default_rng(0).uniform(0.5, 1.5, net.parameter_count).astype(np.float32)
    x = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    inference = net.inference(flat)
    assert any(n.op_type == "BatchNormalization" for n in inference.graph.node)
    predicted = Graph(inference)(x=x)["y"]
    scored = Graph(net.evaluation)(x=x, y=np.zeros((4, 5), np.float32), parameters=flat)
    np.testing.assert_allclose(np.mean(predicted**2), scored["loss"], rtol=1e-5)


def test_a_value_that_is_an_output_too_is_not_folded_away() -> None:
    net = sparknet.compile(
        "net N {\n input x: float[5]\n a = dense(5)\n b = a -> batchnorm\n"
        " output u: float[5] = a\n output v: float[5] = b\n}"
    )
    flat = np.random.default_rng(0).uniform(0.5, 1.5, net.parameter_count).astype(np.float32)
    out = Graph(net.inference(flat))(x=np.ones((2, 5), np.float32))
    scale, bias, mean, variance = flat[30:].reshape(4, 5)
    np.testing.assert_allclose(out["v"], (out["u"] - mean) / np.sqrt(variance + 1e-5) * scale + bias, rtol=1e-5)


def test_frozen_it_normalises_by_the_running_numbers_and_keeps_them() -> None:
    net = sparknet.compile(
        "net N {\n input x: float[5]\n dense(5) -> batchnorm(frozen: true)\n output y: float[5]\n}\n"
        "train { optimizer = sgd(lr: 1) }"
    )
    assert (net.trained_count, net.parameter_count) == (30, 50)
    flat = np.random.default_rng(0).uniform(0.5, 1.5, 50).astype(np.float32)
    x, y = np.ones((3, 5), np.float32), np.zeros((3, 5), np.float32)
    out = Graph(net.step)(x=x, y=y, parameters=flat, optimizer_state=np.zeros(0, np.float32), learning_rate=1, seed=0)
    assert np.array_equal(out["new_parameters"][30:], flat[30:])
    np.testing.assert_allclose(out["loss"], Graph(net.evaluation)(x=x, y=y, parameters=flat)["loss"], rtol=1e-6)


def test_a_batch_of_one_row_of_features_gives_finite_numbers() -> None:
    net = sparknet.compile("net N {\n input x: float[5]\n batchnorm\n output y: float[5]\n}")
    out = Graph(net.step)(
        x=np.ones((1, 5), np.float32), y=np.ones((1, 5), np.float32), parameters=net.initial_parameters(),
        optimizer_state=net.initial_optimizer_state(), learning_rate=1, seed=0,
    )  # fmt: skip
    assert np.isfinite(out["new_parameters"]).all()
