"""Every loss that `train` may choose, its weights and those of classes, against PyTorch: value and gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import sparknet
from sparknet.compiler.criteria import LOSSES
from tests.compiler.engine import Array, Graph

WEIGHTS = torch.tensor([1.0, 0.5, 3.0])


def smoothed(y: torch.Tensor, t: torch.Tensor, smoothing: float, weights: torch.Tensor | None = None) -> torch.Tensor:
    """PyTorch's sum over rows, as a mean over them."""
    return F.cross_entropy(y, t, weights, reduction="sum", label_smoothing=smoothing) / len(t)


CASES: list[tuple[str, str, Any]] = [
    ("class[3]", "loss = cross_entropy", F.cross_entropy),
    ("class[3]", "loss = cross_entropy(label_smoothing: 0.2)", lambda y, t: smoothed(y, t, 0.2)),
    ("class[3]", "class_weights = [1, 0.5, 3]", lambda y, t: smoothed(y, t, 0.0, WEIGHTS)),
    (
        "class[3]",
        "loss = {y: cross_entropy(0.3)}\n class_weights = {y: [1, 0.5, 3]}",
        lambda y, t: smoothed(y, t, 0.3, WEIGHTS),
    ),
    ("class[3]", "weights = {y: 2}", lambda y, t: 2 * F.cross_entropy(y, t)),
    ("bool[3]", "loss = binary_cross_entropy", F.binary_cross_entropy_with_logits),
    ("float[3]", "loss = mean_squared", F.mse_loss),
    ("float[3]", "loss = mean_absolute", F.l1_loss),
    ("float[3]", "loss = huber", F.huber_loss),
    ("float[3]", "loss = huber(delta: 0.4)", lambda y, t: F.huber_loss(y, t, delta=0.4)),
    ("float[3]", "loss = huber\n weights = {y: 0.1}", lambda y, t: 0.1 * F.huber_loss(y, t)),
]


def draw(kind: str, rows: int = 7) -> Array:
    random = np.random.default_rng(2)
    if kind.startswith("class"):
        return random.integers(0, 3, rows)
    made = random.normal(size=(rows, 3)) if kind.startswith("float") else random.integers(0, 2, (rows, 3))
    return made.astype(np.float32)


@pytest.mark.parametrize(("kind", "train", "theirs"), CASES, ids=[f"{k} {t}" for k, t, _ in CASES])
def test_loss(kind: str, train: str, theirs: Any) -> None:
    net = sparknet.compile(
        f"net N {{\n input x: float[4]\n dense(3)\n output y: {kind}\n}}\n"
        f"train {{\n optimizer = sgd(lr: 1)\n {train}\n}}"
    )
    flat = np.random.default_rng(0).normal(size=net.parameter_count).astype(np.float32)
    x, y = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32), draw(kind)
    weight = torch.tensor(flat[:12].reshape(4, 3), requires_grad=True)
    loss = theirs(torch.tensor(x) @ weight + torch.tensor(flat[12:]), torch.tensor(y))
    loss.backward()
    assert weight.grad is not None
    feeds = {"x": x, "y": y, "parameters": flat}
    step = Graph(net.step)(optimizer_state=net.initial_optimizer_state(), learning_rate=1, seed=0, **feeds)
    np.testing.assert_allclose(step["loss"], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(Graph(net.evaluation)(**feeds)["loss"], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(flat[:12] - step["new_parameters"][:12], weight.grad.flatten(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("classes", [64, 65])  # looked up in a table, compared with all classes
def test_many_classes(classes: int) -> None:
    factors = [1 + k % 3 for k in range(classes)]
    net = sparknet.compile(
        f"net N {{\n input x: float[4]\n dense({classes}, bias: false)\n output y: class[{classes}]\n}}\n"
        f"train {{\n optimizer = sgd(lr: 1)\n loss = cross_entropy(0.1)\n class_weights = {factors}\n}}"
    )
    draw = np.random.default_rng(0)
    flat, x = draw.normal(size=4 * classes).astype(np.float32), draw.normal(size=(9, 4)).astype(np.float32)
    y = draw.integers(0, classes, 9)
    weight = torch.tensor(flat.reshape(4, classes), requires_grad=True)
    loss = smoothed(torch.tensor(x) @ weight, torch.tensor(y), 0.1, torch.tensor(factors, dtype=torch.float32))
    loss.backward()
    assert weight.grad is not None
    state = net.initial_optimizer_state()
    step = Graph(net.step)(x=x, y=y, parameters=flat, optimizer_state=state, learning_rate=1, seed=0)
    np.testing.assert_allclose(step["loss"], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(flat - step["new_parameters"], weight.grad.flatten(), rtol=1e-3, atol=1e-5)


def test_a_class_that_there_is_not_is_an_error() -> None:
    net = sparknet.compile("net N {\n input x: float[2]\n dense(3)\n output y: class[3]\n}")
    feeds = {"x": np.zeros((1, 2), np.float32), "parameters": net.initial_parameters()}
    with pytest.raises(Exception, match="out of data bounds"):
        Graph(net.evaluation)(y=np.array([3]), **feeds)


def test_every_loss_has_a_case() -> None:
    assert all(any(name in train for _, train, _ in CASES) for name in LOSSES)


def test_losses_of_several_outputs_are_weighed_and_added() -> None:
    body = (
        "net N {\n input x: float[4]\n a = dense(3)\n b = x -> dense(3)\n c = x -> dense(4, sigmoid)\n"
        " output kind: class[3] = a\n output price: float[3] = b\n output rebuilt: like x = c\n}\n"
    )
    chosen = "loss = {price: huber(0.5), rebuilt: mean_squared}\n weights = {kind: 0.25, rebuilt: 3}"
    net = sparknet.compile(f"{body}train {{\n {chosen}\n}}")
    flat = np.random.default_rng(0).normal(size=net.parameter_count).astype(np.float32)
    x = np.random.default_rng(1).uniform(0, 1, (7, 4)).astype(np.float32)
    kind, price = draw("class"), draw("float")
    wa, ba, wb, bb, wc, bc = (torch.tensor(flat[s.offset : s.offset + s.size].reshape(s.shape)) for s in net.parameters)
    rows = torch.tensor(x)
    expected = 0.25 * F.cross_entropy(rows @ wa + ba, torch.tensor(kind))
    expected = expected + F.huber_loss(rows @ wb + bb, torch.tensor(price), delta=0.5)
    expected = expected + 3 * F.mse_loss(torch.sigmoid(rows @ wc + bc), rows)
    found = Graph(net.evaluation)(x=x, kind=kind, price=price, parameters=flat)
    np.testing.assert_allclose(found["loss"], expected.item(), rtol=1e-5)
