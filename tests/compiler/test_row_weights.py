"""`row_weight`: what each row counts in the training loss, against PyTorch and against `class_weights`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import sparknet
from sparknet.compiler import CompiledNet
from tests.compiler.engine import Array, Graph

ROWS = 8
WEIGHTS = np.array([0, 1, 2, 0.5, 3, 0, 0.25, 7], np.float32)

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def net_of(kind: str, train: str = "", weighed: bool = True, body: str = "dense(3)") -> CompiledNet:
    target = "" if kind.startswith("like") else '\n y = column("y")'
    weight = '\n row_weight = column("w")' if weighed else ""
    return sparknet.compile(
        f"net N {{\n input x: float[4]\n {body}\n output y: {kind}\n}}\n"
        f'data {{\n source = parquet("rows")\n x = column("x"){target}{weight}\n}}\n'
        f"train {{\n optimizer = sgd(lr: 1)\n {train}\n}}\n"
    )


def answers(kind: str) -> Array:
    random = np.random.default_rng(2)
    if kind.startswith("class"):
        return random.integers(0, 3, ROWS)
    made = random.normal(size=(ROWS, 3)) if kind.startswith("float") else random.integers(0, 2, (ROWS, 3))
    return made.astype(np.float32)


def step(net: CompiledNet, **feeds: Array) -> dict[str, Array]:
    """A step from random parameters."""
    flat = np.random.default_rng(0).normal(size=net.parameter_count).astype(np.float32)
    given = {"x": np.random.default_rng(1).normal(size=(ROWS, 4)).astype(np.float32), "parameters": flat, **feeds}
    return Graph(net.step)(optimizer_state=net.initial_optimizer_state(), learning_rate=1, seed=0, **given)


CASES: list[tuple[str, str, Loss]] = [
    ("class[3]", "", lambda y, t: F.cross_entropy(y, t, reduction="none")),
    (
        "class[3]",
        "loss = cross_entropy(0.2)\n class_weights = [1, 0.5, 3]",
        lambda y, t: F.cross_entropy(y, t, torch.tensor([1, 0.5, 3]), reduction="none", label_smoothing=0.2),
    ),
    ("bool[3]", "", lambda y, t: F.binary_cross_entropy_with_logits(y, t, reduction="none").mean(1)),
    ("float[3]", "loss = mean_squared", lambda y, t: F.mse_loss(y, t, reduction="none").mean(1)),
    ("float[3]", "loss = mean_absolute", lambda y, t: F.l1_loss(y, t, reduction="none").mean(1)),
    ("float[3]", "loss = huber(0.4)", lambda y, t: F.huber_loss(y, t, reduction="none", delta=0.4).mean(1)),
    ("float[3]", "weights = {y: 2}", lambda y, t: 2 * F.mse_loss(y, t, reduction="none").mean(1)),
]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(("kind", "train", "theirs"), CASES, ids=[f"{k} {t}" for k, t, _ in CASES])
def test_loss_and_gradient_are_pytorchs(kind: str, train: str, theirs: Loss, accumulate: int) -> None:
    net = net_of(kind, f"{train}\n accumulate = {accumulate}")
    flat = np.random.default_rng(0).normal(size=net.parameter_count).astype(np.float32)
    x, y = np.random.default_rng(1).normal(size=(ROWS, 4)).astype(np.float32), answers(kind)
    weight = torch.tensor(flat[:12].reshape(4, 3), requires_grad=True)
    losses = theirs(torch.tensor(x) @ weight + torch.tensor(flat[12:]), torch.tensor(y))
    loss = (torch.tensor(WEIGHTS) * losses).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    found = step(net, y=y, row_weight=WEIGHTS)
    np.testing.assert_allclose(found["loss"], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(flat[:12] - found["new_parameters"][:12], weight.grad.flatten(), rtol=1e-3, atol=1e-5)
    scored = Graph(net.evaluation)(x=x, y=y, parameters=flat)
    np.testing.assert_allclose(scored["loss"], losses.mean().item(), rtol=1e-5)


def test_what_is_rebuilt_counts_as_its_row_does() -> None:
    net, plain = (net_of("like x", weighed=weighed, body="dense(4)") for weighed in (True, False))
    for row in range(ROWS):
        weights = np.zeros(ROWS, np.float32)
        weights[row] = ROWS
        flat = np.random.default_rng(0).normal(size=net.parameter_count).astype(np.float32)
        x = np.random.default_rng(1).normal(size=(ROWS, 4)).astype(np.float32)
        alone = Graph(plain.evaluation)(x=x[row : row + 1], parameters=flat)
        np.testing.assert_allclose(step(net, row_weight=weights)["loss"], alone["loss"], rtol=1e-5)


def test_weights_by_class_are_class_weights() -> None:
    """To the byte, where the weights are powers of two, which no product rounds; the loss is a sum in another order."""
    classes = [0.5, 4.0, 1.0]
    y = answers("class[3]")
    by_row = step(net_of("class[3]"), y=y, row_weight=np.array(classes, np.float32)[y])
    by_class = step(net_of("class[3]", f"class_weights = {classes}", weighed=False), y=y)
    np.testing.assert_allclose(by_row.pop("loss"), by_class.pop("loss"), rtol=1e-6)
    assert {name: array.tobytes() for name, array in by_row.items()} == {
        name: array.tobytes() for name, array in by_class.items()
    }


def test_statistics_count_all_rows_alike() -> None:
    y = answers("class[3]")
    found: Any = [step(net_of("class[3]"), y=y, row_weight=weights)["accuracy"] for weights in (WEIGHTS, WEIGHTS + 1)]
    assert found[0] == found[1] == step(net_of("class[3]", weighed=False), y=y)["accuracy"]
