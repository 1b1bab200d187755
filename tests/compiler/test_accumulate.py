"""`accumulate`: a step on several batches, one after the other, is a step on all of their rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.lower import lower_step
from sparknet.compiler.optimizers import OPTIMIZERS
from tests.compiler.engine import Array, Graph
from tests.compiler.layer_rows import tensor_of

BODIES = {
    "dense": ("float[6, 4]", "flatten -> dense(5, relu, l2: 0.1) -> dense(3)"),
    "conv": ("float[6, 4]", "conv(4, 3, frozen: true) -> maxpool(2) -> conv(3, 2) -> flatten -> dense(3)"),
    "loop in the loop": ("float[6, 4]", "lstm(5, layers: 2, bidirectional: true) -> dense(3)"),
    "lengths": ("float[6, 4, variable: true]", "attention(2) -> gru(5) -> dense(3)"),
    "tokens": ("token[6, vocabulary: 9]", "embedding(4) -> layernorm -> mean -> dense(3)"),
}


def net_of(kind: str, body: str, **train: str | int) -> CompiledNet:
    keys = "\n".join(f" {key} = {value}" for key, value in train.items())
    return sparknet.compile(f"net N {{\n input x: {kind}\n {body}\n output y: class[3]\n}}\ntrain {{\n{keys}\n}}")


def feeds_of(kind: str, rows: int) -> dict[str, Array]:
    random = np.random.default_rng(0)
    x: Array = random.integers(0, 9, (rows, 6)) if "token" in kind else random.normal(size=(rows, 6, 4))
    lengths = {"x_length": random.integers(1, 7, rows)} if "variable" in kind else {}
    return {"x": x, "y": random.integers(0, 3, rows), **lengths}


def steps(net: CompiledNet, feeds: dict[str, Array], dtype: str, count: int = 3) -> dict[str, Array]:
    """The outputs of the last of some steps."""
    graph = Graph(lower_step(net.typed, dtype))
    feeds = {name: x.astype(dtype) if x.dtype == np.float64 else x for name, x in feeds.items()}
    parameters = (np.random.default_rng(1).normal(size=net.parameter_count) * 0.3).astype(dtype)
    state, rate = np.zeros(net.optimizer_state_size, dtype), np.array(0.1, dtype)
    for seed in range(count):
        out = graph(parameters=parameters, optimizer_state=state, learning_rate=rate, seed=seed, **feeds)
        parameters, state = out["new_parameters"], out["new_optimizer_state"]
    return out


def check(kind: str, body: str, rows: int, parts: int, **train: str | int) -> None:
    dtype, tolerance = ("float32", 1e-4) if "conv" in body else ("float64", 1e-6)  # ONNX Runtime has no Conv in float64
    feeds = feeds_of(kind, rows)
    whole = steps(net_of(kind, body, **train), feeds, dtype)
    found = steps(net_of(kind, body, **train, accumulate=parts), feeds, dtype)
    assert list(found) == list(whole)
    for name, value in whole.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance / 100, err_msg=name)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("rows", "parts"), [(12, 3), (5, 5), (8, 2)])
def test_parts_make_the_step_of_the_whole(body: str, rows: int, parts: int) -> None:
    more = {"metrics": "[accuracy, f1, top_k(2)]", "class_weights": "[1, 2, 3]"}
    check(*BODIES[body], rows, parts, optimizer="sgd(momentum: 0.9)", **more)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("clip", ["norm(0.01)", "value(0.001)"])
def test_with_every_optimizer_and_clip(optimizer: str, clip: str) -> None:
    check(*BODIES["dense"], 12, 4, optimizer=optimizer, clip=clip)


def test_running_numbers_go_through_the_parts_as_in_pytorch() -> None:
    """PyTorch's accumulation: as many passes backward as there are parts, then a step."""
    net = net_of("float[6]", "dense(4) -> batchnorm -> relu -> dense(3)", optimizer="sgd", accumulate=3)
    flat = np.random.default_rng(0).uniform(0.5, 1.5, net.parameter_count)
    ours = {s.name: tensor_of(flat, s) for s in net.parameters}
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)).double()
    names = {"0": "dense1", "1": "batchnorm1", "3": "dense2"}
    own = {
        "0.weight": ours["dense1.weight"].T,
        "3.weight": ours["dense2.weight"].T,
        "1.weight": ours["batchnorm1.scale"],
    }
    own |= {f"{k}.bias": ours[f"{name}.bias"] for k, name in names.items()}
    own |= {"1.running_mean": ours["batchnorm1.mean"], "1.running_var": ours["batchnorm1.variance"]}
    model.load_state_dict({**model.state_dict(), **{name: t.detach() for name, t in own.items()}})
    random = np.random.default_rng(1)
    x, y = random.normal(size=(12, 6)), random.integers(0, 3, 12)
    losses = []
    for part in range(0, 12, 4):
        loss = F.cross_entropy(model(torch.tensor(x[part : part + 4])), torch.tensor(y[part : part + 4]))
        (loss / 3).backward()
        losses.append(loss.item())
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    feeds: dict[str, Any] = {"optimizer_state": np.zeros(0), "learning_rate": np.array(0.1), "seed": 0}
    out = Graph(lower_step(net.typed, "float64"))(x=x, y=y, parameters=flat, **feeds)
    new = {s.name: tensor_of(out["new_parameters"], s).detach() for s in net.parameters}
    theirs = model.state_dict()
    np.testing.assert_allclose(out["loss"], np.mean(losses), rtol=1e-9)
    for mine, other in (("dense1.weight", theirs["0.weight"].T), ("batchnorm1.scale", theirs["1.weight"])):
        np.testing.assert_allclose(new[mine], other, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(new["batchnorm1.mean"], theirs["1.running_mean"], rtol=1e-6)
    np.testing.assert_allclose(new["batchnorm1.variance"], theirs["1.running_var"], rtol=1e-6)


def test_each_part_drops_out_other_numbers() -> None:
    """All rows are alike, so parts with one mask would give the loss of one part."""
    body = "dense(50, relu) -> dropout(0.5) -> dense(3)"
    net = net_of("float[6]", body, accumulate=4)
    single = net_of("float[6]", body)
    parameters, state = net.initial_parameters(), net.initial_optimizer_state()
    rest = {"parameters": parameters, "optimizer_state": state, "learning_rate": 0.1}
    found = [
        float(Graph(model)(x=np.ones((rows, 6), np.float32), y=np.zeros(rows, np.int64), seed=seed, **rest)["loss"])
        for model, rows, seeds in ((net.step, 4, [1, 2]), (single.step, 1, [4, 5, 6, 7, 8, 9, 10, 11]))
        for seed in seeds
    ]
    assert len(set(found)) == len(found)
    np.testing.assert_allclose(found[:2], np.reshape(found[2:], (2, 4)).mean(1), rtol=1e-5)
