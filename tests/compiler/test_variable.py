"""Sequences of variable length: a padded batch computes what each row alone computes at its own length."""

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
from tests.compiler.engine import Array, Graph
from tests.compiler.layer_rows import Tensors, tensor_of

TIME, FEATURES = 7, 4
LENGTHS = np.array([3, 7, 1, 5, 6])
BOTH = "bidirectional: true, layers: 2"
CHAINS = [
    *(
        f"{kind}(5{more}){after}"
        for kind in ("rnn", "lstm", "gru")
        for more, after in (
            ("", ""),
            (f", {BOTH}", ""),
            (", return: sequence", "\n mean"),
            (f", return: sequence, {BOTH}", "\n last"),
            (", layers: 3, bias: false, return: sequence", "\n gru(3)"),
        )
    ),
    "rnn(5, relu, return: sequence)\n rnn(5, relu, bidirectional: true)",
    "attention(heads: 2)\n mean",
    "attention(causal: true, bias: false)\n last",
    "positions(sinusoidal)\n attention(4)\n layernorm\n attention\n mean",
    "dense(6, relu)\n layernorm\n prelu\n dense(5, softmax)\n mean",
    "a = dense(4, tanh)\n b = x -> sigmoid -> dropout(0)\n add(a, b) -> multiply(b) -> concat(a, axis: 1) -> mean",
    "mean",
    "last",
]


def net_of(chain: str, steps: str) -> CompiledNet:
    return sparknet.compile(
        f"net N {{\n input x: float[{steps}]\n {chain}\n dense(2)\n output y: float[2]\n}}\n"
        'data {\n source = parquet("x.parquet")\n x = 1 / column("x")\n y = column("y")\n}\n'
        "train { optimizer = sgd(lr: 1) }"
    )


def batch_of(random: np.random.Generator, dtype: str) -> tuple[Array, Array]:
    """Rows with zeros behind their ends, which `1 / column` makes infinite, and targets."""
    x = random.uniform(0.5, 2, size=(len(LENGTHS), TIME, FEATURES)).astype(dtype)
    for row, length in zip(x, LENGTHS, strict=True):
        row[length:] = 0
    return x, random.normal(size=(len(LENGTHS), 2)).astype(dtype)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_padded_batch_computes_what_each_row_computes_alone(chain: str) -> None:
    random = np.random.default_rng(0)
    x, y = batch_of(random, "float64")
    net = net_of(chain, f"{TIME}, {FEATURES}, variable: true")
    flat = random.normal(size=net.parameter_count) * 0.5
    rest = {"optimizer_state": np.zeros(0), "learning_rate": np.array(1.0)}
    found = Graph(lower_step(net.typed, "float64"))(x=x, x_length=LENGTHS, y=y, parameters=flat, seed=0, **rest)
    assert np.isfinite(found["new_parameters"]).all()
    losses, gradients, outputs = [], [], []
    for row, length, target in zip(x, LENGTHS, y, strict=True):
        alone = net_of(chain, f"{length}, {FEATURES}")
        feeds = {"x": row[None, :length], "y": target[None], "parameters": flat}
        out = Graph(lower_step(alone.typed, "float64"))(**feeds, seed=0, **rest)
        losses.append(out["loss"])
        gradients.append(flat - out["new_parameters"])
        single = Graph(alone.inference(flat.astype(np.float32)))
        outputs.append(single(x=row[None, :length].astype(np.float32))["y"][0])
    np.testing.assert_allclose(found["loss"], np.mean(losses), rtol=1e-12)
    np.testing.assert_allclose(flat - found["new_parameters"], np.mean(gradients, 0), rtol=1e-9, atol=1e-12)

    floats = {"x": x.astype(np.float32), "x_length": LENGTHS}
    inferred = Graph(net.inference(flat.astype(np.float32)))(**floats)["y"]
    np.testing.assert_allclose(inferred, outputs, rtol=1e-5, atol=1e-6)
    evaluated = Graph(net.evaluation)(**floats, y=y.astype(np.float32), parameters=flat.astype(np.float32))
    np.testing.assert_allclose(evaluated["loss"], np.mean(losses), rtol=1e-4)


def step_of(text: str, x: Array, size: int) -> tuple[CompiledNet, Array, Array, dict[str, Array]]:
    """A net without preprocessing on padded rows: the net, parameters, targets, and what a float64 step gives."""
    net = sparknet.compile(
        f"net N {{\n input x: float[{TIME}, {FEATURES}, variable: true]\n {text}\n output y: float[{size}]\n}}\n"
        "train { optimizer = sgd(lr: 1) }"
    )
    random = np.random.default_rng(1)
    flat, y = random.normal(size=net.parameter_count) * 0.5, random.normal(size=(len(x), size))
    found = Graph(lower_step(net.typed, "float64"))(
        x=x, x_length=LENGTHS, y=y, parameters=flat, seed=0, optimizer_state=np.zeros(0),
        learning_rate=np.array(1.0),
    )  # fmt: skip
    return net, flat, y, found


def check_gradients(tensors: Tensors, loss: torch.Tensor, flat: Array, found: dict[str, Array]) -> None:
    loss.backward()
    expected = torch.cat([t.grad.flatten() for t in tensors.values() if t.grad is not None])
    np.testing.assert_allclose(found["loss"], loss.item(), rtol=1e-12)
    np.testing.assert_allclose(flat - found["new_parameters"], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("sequence", [False, True])
def test_recurrent_layers_give_what_pytorch_gives_for_packed_sequences(kind: Any, sequence: bool) -> None:
    """Stacked and both ways; of `return: sequence`, the sum over the steps that count, times their number."""
    name = kind.__name__.lower()
    x = np.random.default_rng(0).normal(size=(len(LENGTHS), TIME, FEATURES))  # behind the ends: noise
    text = f"{name}(5, {BOTH}, return: {'sequence' if sequence else 'last'})" + "\n mean" * sequence
    net, flat, y, found = step_of(text, x, 10)
    tensors = {s.name: tensor_of(flat, s) for s in net.parameters}
    module = kind(FEATURES, 5, 2, batch_first=True, bidirectional=True, dtype=torch.float64)
    packed = nn.utils.rnn.pack_padded_sequence(
        torch.tensor(x), torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False
    )
    own = {key.removeprefix(f"{name}1."): value for key, value in tensors.items()}
    every, ends = torch.func.functional_call(module, own, (packed,))
    if sequence:
        padded, _ = nn.utils.rnn.pad_packed_sequence(every, batch_first=True)
        result = padded.sum(1) / torch.tensor(LENGTHS)[:, None]
    else:
        ends = ends[0] if isinstance(ends, tuple) else ends
        result = ends[-2:].transpose(0, 1).flatten(1)
    check_gradients(tensors, F.mse_loss(result, torch.tensor(y)), flat, found)


def test_attention_gives_what_pytorch_gives_with_a_key_padding_mask() -> None:
    x = np.random.default_rng(0).normal(size=(len(LENGTHS), TIME, FEATURES))
    net, flat, y, found = step_of("attention(heads: 2)\n mean", x, FEATURES)
    tensors = {s.name: tensor_of(flat, s) for s in net.parameters}
    module = nn.MultiheadAttention(FEATURES, 2, batch_first=True, dtype=torch.float64)
    padding = torch.arange(TIME)[None] >= torch.tensor(LENGTHS)[:, None]
    rows = torch.tensor(x)
    own = {key.removeprefix("attention1."): value for key, value in tensors.items()}
    seen = torch.func.functional_call(module, own, (rows, rows, rows), {"key_padding_mask": padding})[0]
    result = seen.masked_fill(padding[:, :, None], 0).sum(1) / torch.tensor(LENGTHS)[:, None]
    check_gradients(tensors, F.mse_loss(result, torch.tensor(y)), flat, found)


def test_tokens_behind_the_end_leave_no_trace() -> None:
    net = sparknet.compile(
        f"net N {{\n input words: token[{TIME}, vocabulary: 20, variable: true]\n embedding(6) -> positions\n"
        " lstm(5, bidirectional: true)\n dense(3)\n output y: class[3]\n}\ntrain { optimizer = sgd(lr: 1) }"
    )
    assert [(p.name, p.kind) for p in net.inputs] == [("words", "token"), ("words_length", "length")]
    random = np.random.default_rng(0)
    rows, other = (random.integers(0, 20, (len(LENGTHS), TIME)) for _ in range(2))
    counts = np.arange(TIME) < LENGTHS[:, None]
    rest = {
        "words_length": LENGTHS,
        "y": random.integers(0, 3, len(LENGTHS)),
        "parameters": net.initial_parameters(),
        "optimizer_state": net.initial_optimizer_state(),
    }
    step = Graph(net.step)
    first, second = (
        step(words=words, learning_rate=1, seed=0, **rest) for words in (rows, np.where(counts, rows, other))
    )
    assert first["loss"] == second["loss"]
    np.testing.assert_array_equal(first["new_parameters"], second["new_parameters"])


def test_inference_runs_the_native_operator_with_lengths() -> None:
    net = net_of("lstm(5)", f"{TIME}, {FEATURES}, variable: true")
    for model in (net.evaluation, net.inference(net.initial_parameters())):
        (node,) = [n for n in model.graph.node if n.op_type == "LSTM"]
        assert len(node.input) == 5
        assert node.input[4]
