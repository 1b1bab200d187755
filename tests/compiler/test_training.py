"""Whole training runs against PyTorch, loss by loss, and the properties that a step must have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.graph import GraphBuilder
from sparknet.compiler.random import keep_mask
from tests.compiler.engine import Graph

STEPS, BATCH = 50, 32
DIGITS = (Path(__file__).parents[2] / "specs" / "digits.net").read_text()
NO_DROPOUT = DIGITS.replace("dropout(0.3)", "dropout(0)")


class PyTorchDigits(nn.Module):
    """specs/digits.net without its dropout, its parameters those of the compiled net."""

    def __init__(self, net: CompiledNet, flat: Any) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10),
        )  # fmt: skip
        with torch.no_grad():
            for slot, parameter in zip(net.parameters, self.layers.parameters(), strict=True):
                tensor = torch.tensor(flat[slot.offset : slot.offset + slot.size].reshape(slot.shape))
                parameter.copy_(tensor.T if slot.name in ("dense1.weight", "dense2.weight") else tensor)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(image / 16)
        return out


def batches(steps: int = STEPS) -> list[tuple[Any, Any]]:
    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    picks = [random.integers(0, len(images), BATCH) for _ in range(steps)]
    return [(images[i].reshape(-1, 1, 8, 8).astype(np.float32), labels[i].astype(np.int64)) for i in picks]


@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        ("sgd(lr: 0.05)", lambda p: torch.optim.SGD(p, lr=0.05)),
        ("sgd(lr: 0.02, momentum: 0.9)", lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9)),
        (
            "sgd(lr: 0.02, momentum: 0.9, nesterov: true)",
            lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
        ),
        ("adam(lr: 0.001)", lambda p: torch.optim.Adam(p, lr=0.001)),
        (
            "adam(lr: 0.002, beta1: 0.8, beta2: 0.99, eps: 1e-6)",
            lambda p: torch.optim.Adam(p, lr=0.002, betas=(0.8, 0.99), eps=1e-6),
        ),
        (
            "sgd(lr: 0.02, momentum: 0.9, weight_decay: 0.01)",
            lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=0.01),
        ),
        ("adam(weight_decay: 0.1)", lambda p: torch.optim.Adam(p, lr=0.001, weight_decay=0.1)),
        ("adamw(weight_decay: 0.5)", lambda p: torch.optim.AdamW(p, lr=0.001, weight_decay=0.5)),
        ("rmsprop(lr: 0.0005)", lambda p: torch.optim.RMSprop(p, lr=0.0005)),
        (
            "rmsprop(lr: 0.0002, alpha: 0.9, eps: 0.01, momentum: 0.5, centered: true, weight_decay: 0.1)",
            lambda p: torch.optim.RMSprop(
                p, lr=0.0002, alpha=0.9, eps=0.01, momentum=0.5, centered=True, weight_decay=0.1
            ),
        ),
        ("adagrad", lambda p: torch.optim.Adagrad(p, lr=0.01)),
        ("adagrad(lr: 0.02, weight_decay: 0.01)", lambda p: torch.optim.Adagrad(p, lr=0.02, weight_decay=0.01)),
    ],
)
def test_fifty_steps_give_pytorchs_losses(optimizer: str, make: Any) -> None:
    """PyTorch in float64, because its float32 losses stray further from those than ours do (5e-4 with Adam)."""
    net = sparknet.compile(NO_DROPOUT.replace("adam(lr: 0.001)", optimizer))
    parameters, state = net.initial_parameters(), net.initial_optimizer_state()
    model = PyTorchDigits(net, parameters).double()
    theirs = make(model.parameters())
    step = Graph(net.step)
    found, expected = [], []
    for image, digit in batches():
        out = step(
            image=image, digit=digit, parameters=parameters, optimizer_state=state,
            learning_rate=net.train.optimizer.lr, seed=0,
        )  # fmt: skip
        parameters, state = out["new_parameters"], out["new_optimizer_state"]
        theirs.zero_grad()
        loss = nn.functional.cross_entropy(model(torch.tensor(image).double()), torch.tensor(digit))
        loss.backward()
        theirs.step()
        found.append(float(out["loss"]))
        expected.append(loss.item())
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert found[-1] < 0.6 * found[0]


def test_a_step_is_a_pure_function() -> None:
    net = sparknet.compile(DIGITS)
    (image, digit), *_ = batches(1)
    feeds = {"parameters": net.initial_parameters(), "optimizer_state": net.initial_optimizer_state()}
    step = Graph(net.step)
    first, again, other = (
        step(image=image, digit=digit, learning_rate=0.001, seed=seed, **feeds) for seed in (7, 7, 8)
    )
    assert first["new_parameters"].tobytes() == again["new_parameters"].tobytes()
    assert first["new_parameters"].tobytes() != other["new_parameters"].tobytes(), "dropout depends on the seed"


@pytest.mark.parametrize("ending", ["dense(10)", "dense(10, softmax)", "dense(10)\n softmax"])
def test_cross_entropy_comes_from_logits_also_behind_softmax(ending: str) -> None:
    net = sparknet.compile(f"net N {{\n input x: float[2]\n {ending}\n output y: class[10]\n}}")
    flat = np.zeros(net.parameter_count, np.float32)
    flat[-10:] = [-200, 200, 0, 0, 0, 0, 0, 0, 0, 0]
    feeds = {"x": np.zeros((1, 2), np.float32), "y": np.array([0])}
    assert float(Graph(net.evaluation)(parameters=flat, **feeds)["loss"]) == 400
    out = Graph(net.inference(flat))(x=feeds["x"])
    assert out["y"].tolist() == [1]
    np.testing.assert_allclose(out["y_probability"][0], [0, 1, *[0] * 8], atol=1e-6)


def test_dropout_keeps_its_share_scales_the_rest_and_varies_by_layer_seed_and_place() -> None:
    net = sparknet.compile(
        "net N {\n input x: float[1000]\n a = x -> dropout(0.3)\n b = x -> dropout(0.3)\n"
        " output u: float[1000] = a\n output v: float[1000] = b\n}"
    )
    g = GraphBuilder("mask")
    x, seed = g.input("x", "float32", ("N", 1000)), g.input("seed", "int64", ())
    for salt in (1, 2):
        g.output(f"mask{salt}", keep_mask(g, x, seed, salt, 0.3), "float32", ("N", 1000))
    run = Graph(g.model())
    zeros = np.zeros((200, 1000), np.float32)
    first, again, other = run(x=zeros, seed=5), run(x=zeros, seed=5), run(x=zeros, seed=6)
    assert np.array_equal(first["mask1"], again["mask1"])
    for mask in (first["mask1"], first["mask2"], other["mask1"]):
        kept = mask > 0
        assert np.all(mask[kept] == np.float32(1 / 0.7))
        # 200,000 draws: five standard deviations are 0.0051; per row and per column likewise
        assert abs(kept.mean() - 0.7) < 0.0052
        assert np.all(np.abs(kept.mean(1) - 0.7) < 5 * np.sqrt(0.21 / 1000))
        assert np.all(np.abs(kept.mean(0) - 0.7) < 5 * np.sqrt(0.21 / 200))
        assert abs(np.corrcoef(kept.ravel()[:-1], kept.ravel()[1:])[0, 1]) < 0.012
    for a, b in ((first["mask1"], first["mask2"]), (first["mask1"], other["mask1"])):
        assert abs(np.corrcoef((a > 0).ravel(), (b > 0).ravel())[0, 1]) < 0.012
    assert not any(n.op_type == "BitwiseXor" for n in net.evaluation.graph.node), "no dropout outside training"
    assert not any(n.op_type == "BitwiseXor" for n in net.inference(net.initial_parameters()).graph.node)
