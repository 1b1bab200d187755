"""Nets on sequences: fifty steps against PyTorch, and tasks that need memory or attention, learnt in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import sparknet
from tests.compiler.engine import Graph
from tests.compiler.layer_rows import Tensors, recurrent, tensor_of

Task = Callable[[np.random.Generator, int], tuple[Any, Any]]
Model = Callable[[torch.Tensor, Tensors], torch.Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """PyTorch's threads wait for each other after every one of these small operators: tenfold the time, if shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


RECURRENT = """
net Recall {{
  input x: float[{time}, 4]
  {layer}
  dense(4)
  output y: class[4]
}}
train {{ optimizer = adam(lr: {lr}) }}
"""

TRANSFORMER = """
block Encoder(width, heads) {
  seen = in -> layernorm -> attention(heads)
  both = add(in, seen)
  more = both -> layernorm -> dense(width * 2, gelu) -> dense(width)
  add(both, more)
}

net Follower {
  input x: token[8, vocabulary: 6]
  embedding(16) -> positions
  repeat 2 { Encoder(16, heads: 4) }
  layernorm -> mean -> dense(6)
  output y: class[6]
}
train { optimizer = adam(lr: 0.004) }
"""


def recall(time: int) -> Task:
    """Which of four features was raised in the first step, the rest being noise."""

    def rows(random: np.random.Generator, count: int) -> tuple[Any, Any]:
        y = random.integers(0, 4, count)
        x = random.normal(size=(count, time, 4)) * 0.3
        x[np.arange(count), 0, y] += 2
        return x.astype(np.float32), y

    return rows


def follower(random: np.random.Generator, count: int) -> tuple[Any, Any]:
    """Which token comes right after the only 0."""
    x = random.integers(1, 6, (count, 8))
    at = random.integers(0, 7, count)
    x[np.arange(count), at] = 0
    return x, x[np.arange(count), at + 1]


def recurrent_model(kind: Any, **options: Any) -> Model:
    run = recurrent(kind, 12, **options)
    return lambda x, p: run(x, p) @ p["dense1.weight"] + p["dense1.bias"]


def transformer(x: torch.Tensor, p: Tensors) -> torch.Tensor:
    def dense(name: str, y: torch.Tensor) -> torch.Tensor:
        return y @ p[f"{name}.weight"] + p[f"{name}.bias"]

    def norm(name: str, y: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(y, (16,), p[f"{name}.weight"], p[f"{name}.bias"])

    def attention(name: str, y: torch.Tensor) -> torch.Tensor:
        module = nn.MultiheadAttention(16, 4, batch_first=True, dtype=y.dtype)
        own = {key: p[f"{name}.{key}"] for key, _ in module.named_parameters()}
        seen: torch.Tensor = torch.func.functional_call(module, own, (y, y, y))[0]
        return seen

    h = p["embedding1.weight"][x] + p["positions1.weight"]
    for k in (1, 2):
        h = h + attention(f"attention{k}", norm(f"layernorm{2 * k - 1}", h))
        h = h + dense(f"dense{2 * k}", F.gelu(dense(f"dense{2 * k - 1}", norm(f"layernorm{2 * k}", h))))
    return dense("dense5", norm("layernorm5", h).mean(1))


def recall_net(layer: str, time: int, lr: float = 0.01) -> str:
    return RECURRENT.format(layer=layer, time=time, lr=lr)


BOTH = {"num_layers": 2, "bidirectional": True}
NETS: dict[str, tuple[str, Task, Model]] = {
    "rnn": (recall_net("rnn(12)", 9), recall(9), recurrent_model(nn.RNN)),
    "lstm": (recall_net("lstm(12)", 9), recall(9), recurrent_model(nn.LSTM)),
    "gru": (recall_net("gru(12)", 9), recall(9), recurrent_model(nn.GRU)),
    **{
        f"{kind.__name__.lower()}, stacked, both ways": (
            recall_net(f"{kind.__name__.lower()}(12, layers: 2, bidirectional: true)", 9),
            recall(9),
            recurrent_model(kind, **BOTH),
        )
        for kind in (nn.RNN, nn.LSTM, nn.GRU)
    },
    "transformer": (TRANSFORMER, follower, transformer),
}


@pytest.mark.parametrize("name", NETS)
def test_fifty_steps_give_pytorchs_losses(name: str) -> None:
    """PyTorch in float64, as in test_training.py."""
    text, task, model = NETS[name]
    net = sparknet.compile(text)
    parameters, state = net.initial_parameters(), net.initial_optimizer_state()
    theirs = {s.name: tensor_of(parameters.astype(np.float64), s) for s in net.parameters}
    optimizer = torch.optim.Adam(theirs.values(), lr=net.train.optimizer.lr)
    step, random = Graph(net.step), np.random.default_rng(0)
    found, expected = [], []
    for _ in range(50):
        x, y = task(random, 32)
        feeds = {"x": x, "y": y, "parameters": parameters, "optimizer_state": state}
        out = step(**feeds, learning_rate=net.train.optimizer.lr, seed=0)
        parameters, state = out["new_parameters"], out["new_optimizer_state"]
        optimizer.zero_grad()
        inputs = torch.tensor(x) if x.dtype == np.int64 else torch.tensor(x).double()
        loss = F.cross_entropy(model(inputs, theirs), torch.tensor(y))
        loss.backward()
        optimizer.step()
        found.append(float(out["loss"]))
        expected.append(loss.item())
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.mean(found[-5:]) < 0.97 * found[0]


@pytest.mark.parametrize(
    ("text", "task", "steps"),
    [
        (recall_net("rnn(24)", 8, 0.002), recall(8), 600),
        (recall_net("lstm(24)", 10, 0.003), recall(10), 1000),
        (recall_net("gru(24)", 15, 0.01), recall(15), 500),
        (recall_net("lstm(24, bidirectional: true, return: sequence)\n mean", 10, 0.003), recall(10), 300),
        (TRANSFORMER, follower, 1500),
    ],
    ids=["rnn", "lstm", "gru", "lstm, both ways, mean", "transformer"],
)
def test_tasks_that_need_memory_or_attention_are_learnt(text: str, task: Task, steps: int) -> None:
    net = sparknet.compile(text)
    step, random = Graph(net.step), np.random.default_rng(1)
    parameters, state = net.initial_parameters(), net.initial_optimizer_state()
    for _ in range(steps):
        x, y = task(random, 64)
        feeds = {"x": x, "y": y, "parameters": parameters, "optimizer_state": state}
        out = step(**feeds, learning_rate=net.train.optimizer.lr, seed=0)
        parameters, state = out["new_parameters"], out["new_optimizer_state"]
    x, y = task(random, 1000)
    inferred = Graph(net.inference(parameters))(x=x)
    assert np.mean(inferred["y"] == y) > 0.97
