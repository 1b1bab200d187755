"""Fifty updates of each optimizer against PyTorch (LAMB: the paper written out), and clipping, all in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import sparknet
from sparknet.compiler import optimizers
from sparknet.compiler.graph import GraphBuilder
from tests.compiler.engine import Array, Graph

SIZES = (12, 3, 5, 1)


def updates(optimizer: Any, start: Array, gradients: list[Array]) -> Array:
    """Where `optimizer` goes from `start`, in float64."""
    g = GraphBuilder("update", "float64")
    count = len(start)
    parts = optimizer.state(count)
    p, grad, lr = g.input("p", "float64", (count,)), g.input("grad", "float64", (count,)), g.input("lr", "float64", ())
    state = {name: g.input(name, "float64", (size,)) for name, size in parts}
    new, new_state = optimizer.update(g, optimizers.Update(p, grad, state, lr, SIZES))
    g.output("new", new, "float64", (count,))
    for name, size in parts:
        g.output(f"new_{name}", new_state[name], "float64", (size,))
    run = Graph(g.model())
    held = {name: np.zeros(size) for name, size in parts}
    for gradient in gradients:
        out = run(p=start, grad=gradient, lr=np.array(optimizer.lr, np.float64), **held)
        start, held = out["new"], {name: out[f"new_{name}"] for name in held}
    return start


def lamb(start: Array, gradients: list[Array], o: optimizers.Lamb) -> Array:
    """You et al., 2020, algorithm 2, tensor by tensor."""
    parts = [(x, np.zeros_like(x), np.zeros_like(x), i) for i, x in enumerate(np.split(start, np.cumsum(SIZES)[:-1]))]
    for t, gradient in enumerate(gradients, start=1):
        pieces = np.split(gradient, np.cumsum(SIZES)[:-1])
        moved = []
        for x, m, v, i in parts:
            new_m = o.beta1 * m + (1 - o.beta1) * pieces[i]
            new_v = o.beta2 * v + (1 - o.beta2) * pieces[i] ** 2
            ratio = new_m / (1 - o.beta1**t) / (np.sqrt(new_v / (1 - o.beta2**t)) + o.eps)
            step = ratio + o.weight_decay * x
            lengths = np.linalg.norm(x), np.linalg.norm(step)
            trust = lengths[0] / lengths[1] if min(lengths) > 0 else 1.0
            moved.append((x - o.lr * trust * step, new_m, new_v, i))
        parts = moved
    return np.concatenate([x for x, *_ in parts])


@pytest.mark.parametrize("options", [{}, {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "eps": 0.01, "weight_decay": 0.2}])
def test_fifty_updates_of_lamb(options: dict[str, float]) -> None:
    random = np.random.default_rng(0)
    start = random.normal(size=sum(SIZES))
    start[12:15] = 0  # a tensor of zeros, as biases are at first
    gradients = [random.normal(size=sum(SIZES)) * 10.0 ** random.integers(-3, 3) for _ in range(50)]
    for gradient in gradients:
        gradient[-1] = 0
    start[-1] = 0  # neither length nor step
    found = updates(optimizers.Lamb(**options), start, gradients)
    np.testing.assert_allclose(found, lamb(start, gradients, optimizers.Lamb(**options)), rtol=1e-9, atol=1e-12)
    assert found[-1] == 0


PYTORCHS: list[tuple[Any, Any]] = [
    (optimizers.Sgd(weight_decay=0.1), lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.1)),
    (
        optimizers.Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    (optimizers.Adam(), torch.optim.Adam),
    (optimizers.Adam(weight_decay=0.1), lambda p: torch.optim.Adam(p, weight_decay=0.1)),
    (optimizers.AdamW(), torch.optim.AdamW),
    (
        optimizers.AdamW(lr=0.1, beta1=0.8, beta2=0.9, eps=0.01, weight_decay=0.3),
        lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.9), eps=0.01, weight_decay=0.3),
    ),
    (optimizers.RmsProp(), torch.optim.RMSprop),
    (optimizers.RmsProp(centered=True), lambda p: torch.optim.RMSprop(p, centered=True)),
    (
        optimizers.RmsProp(lr=0.1, alpha=0.9, eps=0.01, momentum=0.8, centered=True, weight_decay=0.1),
        lambda p: torch.optim.RMSprop(p, 0.1, alpha=0.9, eps=0.01, momentum=0.8, centered=True, weight_decay=0.1),
    ),
    (optimizers.Adagrad(), torch.optim.Adagrad),
    (
        optimizers.Adagrad(lr=0.1, eps=0.01, weight_decay=0.1),
        lambda p: torch.optim.Adagrad(p, lr=0.1, eps=0.01, weight_decay=0.1),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PYTORCHS, ids=[repr(o) for o, _ in PYTORCHS])
def test_fifty_updates_are_pytorchs(ours: Any, theirs: Any) -> None:
    random = np.random.default_rng(0)
    start = random.normal(size=sum(SIZES))
    gradients = [random.normal(size=sum(SIZES)) for _ in range(50)]
    parameter = torch.tensor(start, requires_grad=True)
    optimizer = theirs([parameter])
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
    np.testing.assert_allclose(updates(ours, start, gradients), parameter.detach(), rtol=1e-9, atol=1e-12)


def test_every_optimizer_is_checked() -> None:
    assert {o.name for o, _ in PYTORCHS} | {"lamb"} == set(optimizers.OPTIMIZERS)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_clipping_is_pytorchs(scale: float) -> None:
    gradient = np.random.default_rng(0).normal(size=20) * scale
    for clip, theirs in (
        (optimizers.ClipValue(limit=0.7), torch.nn.utils.clip_grad_value_),
        (optimizers.ClipNorm(limit=0.7), torch.nn.utils.clip_grad_norm_),
    ):
        g = GraphBuilder("clip", "float64")
        g.output("clipped", clip.clip(g, g.input("grad", "float64", (20,))), "float64", (20,))
        parameter = torch.zeros(20, dtype=torch.float64, requires_grad=True)
        parameter.grad = torch.tensor(gradient)
        theirs([parameter], 0.7)
        np.testing.assert_allclose(Graph(g.model())(grad=gradient)["clipped"], parameter.grad, rtol=1e-9)


@pytest.mark.parametrize("clip", ["value(0.01)", "norm(0.1)"])
def test_the_step_clips_the_whole_gradient(clip: str) -> None:
    text = (
        "net N {\n input x: float[4]\n dense(3, relu)\n dense(2)\n output y: float[2]\n}\n"
        "train {\n optimizer = sgd(lr: 1)\n"
    )
    plain, clipped = sparknet.compile(text + "}"), sparknet.compile(f"{text} clip = {clip}\n}}")
    flat = np.random.default_rng(0).normal(size=plain.parameter_count).astype(np.float32)
    feeds = {"x": np.ones((3, 4), np.float32), "y": np.zeros((3, 2), np.float32), "parameters": flat}
    gradient, found = (
        flat
        - Graph(net.step)(optimizer_state=net.initial_optimizer_state(), learning_rate=1, seed=0, **feeds)[
            "new_parameters"
        ]
        for net in (plain, clipped)
    )
    kept = np.clip(gradient, -0.01, 0.01) if "value" in clip else gradient * 0.1 / np.linalg.norm(gradient)
    np.testing.assert_allclose(found, kept, rtol=1e-3, atol=1e-6)


def test_what_is_compiled_into_the_step_cannot_change_behind_it() -> None:
    net = sparknet.compile("net N {\n input x: float[4]\n dense(2)\n output y: float[2]\n}")
    with pytest.raises(ValueError, match="`clip` is part of the step graph"):
        net.with_train(clip=optimizers.ClipNorm(limit=1))
