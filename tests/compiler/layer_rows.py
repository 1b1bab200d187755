"""What `test_layers.py` and others try of every layer, each beside the same in PyTorch.

A new layer needs one row of `ROWS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from sparknet.compiler import Slot

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Row:
    """A layer as written, the shape that arrives, the shape that leaves, and the same in PyTorch."""

    text: str
    arrives: tuple[int, ...]
    leaves: tuple[int, ...]
    torch: Callable[[torch.Tensor, Tensors], torch.Tensor]
    vocabulary: int | None = None
    """For a layer on tokens."""
    spread: float = 1
    """Standard deviation of the numbers that arrive."""

    @property
    def type(self) -> str:
        shape = ", ".join(map(str, self.arrives))
        return f"float[{shape}]" if self.vocabulary is None else f"token[{shape}, vocabulary: {self.vocabulary}]"

    def batch(self, random: np.random.Generator) -> Any:
        """Five rows of what arrives."""
        if self.vocabulary is None:
            return (self.spread * random.normal(size=(5, *self.arrives))).astype(np.float32)
        return random.integers(0, self.vocabulary, (5, *self.arrives))


def conv(stride: int = 1, pads: tuple[int, int, int, int] = (1, 1, 1, 1), bias: bool = True) -> Any:
    """Padding as left, right, top, bottom."""
    return lambda x, p: F.conv2d(F.pad(x, pads), p["conv1.weight"], p["conv1.bias"] if bias else None, stride=stride)


def dense(x: torch.Tensor, p: Tensors) -> torch.Tensor:
    return x @ p["dense1.weight"] + p["dense1.bias"]


def kernel(
    f: Any, *, pads: tuple[int, ...] = (0,), crop: tuple[int, ...] = (0,), **options: Any
) -> Callable[[torch.Tensor, Tensors], torch.Tensor]:
    """PyTorch's convolution `f` of the first layer's numbers on a padded input, or with its result cut off.

    Both go from the last side to the first: left, right, top, bottom.
    """

    def run(x: torch.Tensor, p: Tensors) -> torch.Tensor:
        weight, bias = (next((t for n, t in p.items() if n.endswith(what)), None) for what in ("weight", "bias"))
        y = f(F.pad(x, pads) if any(pads) else x, weight, bias, **options)
        return F.pad(y, tuple(-c for c in crop)) if any(crop) else y

    return run


def same_mean(x: torch.Tensor, pads: tuple[int, ...], window: int, stride: int) -> torch.Tensor:
    """The mean of what the padding leaves of each window."""
    total, count = (F.avg_pool2d(F.pad(t, pads), window, stride) for t in (x, torch.ones_like(x)))
    return total / count


def group_norm(groups: int, eps: float = 1e-5) -> Any:
    return lambda x, p: F.group_norm(x, groups, p["groupnorm1.scale"], p["groupnorm1.bias"], eps)


def then(f: Any, *rest: Any) -> Any:
    def composed(x: torch.Tensor, p: Tensors) -> torch.Tensor:
        y = f(x, p)
        for g in rest:
            y = g(y)
        return y

    return composed


def tensor_of(flat: Any, slot: Slot) -> torch.Tensor:
    return torch.tensor(flat[slot.offset : slot.offset + slot.size].reshape(slot.shape), requires_grad=True)


def recurrent(kind: Any, units: int = 4, sequence: bool = False, **options: Any) -> Any:
    """One of PyTorch's recurrent modules, given the parameters of the compiled layer under their own names."""
    name = kind.__name__.lower()

    def run(x: torch.Tensor, p: Tensors) -> torch.Tensor:
        module = kind(x.shape[2], units, batch_first=True, dtype=x.dtype, **options)
        own = {key.removeprefix(f"{name}1."): value for key, value in p.items() if key.startswith(name)}
        assert list(own) == [key for key, _ in module.named_parameters()]
        every, ends = torch.func.functional_call(module, own, (x,))
        if sequence:
            return cast("torch.Tensor", every)
        ends = ends[0] if isinstance(ends, tuple) else ends
        return cast("torch.Tensor", ends[-2 if options.get("bidirectional") else -1 :].transpose(0, 1).flatten(1))

    return run


def attention(heads: int = 1, causal: bool = False, bias: bool = True) -> Any:
    def run(x: torch.Tensor, p: Tensors) -> torch.Tensor:
        module = nn.MultiheadAttention(x.shape[2], heads, bias=bias, batch_first=True, dtype=x.dtype)
        own = {key.removeprefix("attention1."): value for key, value in p.items() if key.startswith("attention")}
        assert set(own) == {key for key, _ in module.named_parameters()}
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype) if causal else None
        return cast("torch.Tensor", torch.func.functional_call(module, own, (x, x, x), {"attn_mask": mask})[0])

    return run


def layernorm(x: torch.Tensor, p: Tensors, eps: float = 1e-5) -> torch.Tensor:
    return F.layer_norm(x, p["layernorm1.weight"].shape, p["layernorm1.weight"], p["layernorm1.bias"], eps)


WAVES = torch.tensor(
    [[(math.cos if i % 2 else math.sin)(t / 10_000 ** ((i - i % 2) / 6)) for i in range(6)] for t in range(5)]
)
BOTH_WAYS = {"bidirectional": True, "num_layers": 2}
VECTOR, IMAGE, SIGNAL, SEQUENCE = (6,), (3, 7, 8), (3, 9), (5, 6)
ROWS = [
    Row("dense(4)", VECTOR, (4,), dense),
    Row("dense(4, bias: false)", VECTOR, (4,), lambda x, p: x @ p["dense1.weight"]),
    Row("dense(4, tanh)", VECTOR, (4,), then(dense, torch.tanh)),
    Row("dense(4)", SEQUENCE, (5, 4), dense),
    Row("dense(4, softmax)", SEQUENCE, (5, 4), then(dense, lambda y: F.softmax(y, 2))),
    Row("dense(4, relu, bias: false)", SEQUENCE, (5, 4), lambda x, p: F.relu(x @ p["dense1.weight"])),
    Row("dense(units: 4, activation: softmax)", VECTOR, (4,), then(dense, lambda y: F.softmax(y, 1))),
    Row("conv(4, 3)", IMAGE, (4, 7, 8), conv()),
    Row("conv(4, 3x3, relu)", IMAGE, (4, 7, 8), then(conv(), torch.relu)),
    Row("conv(4, 3x3, bias: false)", IMAGE, (4, 7, 8), conv(bias=False)),
    Row("conv(4, 3x3, stride: 2)", IMAGE, (4, 4, 4), conv(2, (0, 1, 1, 1))),
    Row("conv(4, 2x3, stride: 2, pad: valid)", IMAGE, (4, 3, 3), conv(2, (0, 0, 0, 0))),
    Row("conv(4, 1x1)", IMAGE, (4, 7, 8), conv(1, (0, 0, 0, 0))),
    Row("conv(4, 4x4)", IMAGE, (4, 7, 8), conv(1, (1, 2, 1, 2))),
    Row('(7, 3, 3, 4, "RELU")', IMAGE, (4, 7, 8), then(conv(), torch.relu)),
    Row("(7, 3, 5, 4, tanh)", IMAGE, (4, 7, 8), then(conv(pads=(2, 2, 1, 1)), torch.tanh)),
    Row(
        '(3, 1, 1, 4, "RELU")',
        IMAGE,
        (4, 7, 8),
        lambda x, p: torch.relu(F.conv2d(x, p["dense1.weight"], p["dense1.bias"])),
    ),
    Row('(3, 1, 1, 4, "SOFTMAX")', IMAGE, (4,), lambda x, p: F.softmax(dense(x.mean((2, 3)), p), 1)),
    Row('(6, 1, 1, 4, "TANH")', VECTOR, (4,), then(dense, torch.tanh)),
    Row("conv(4, 3x3, dilation: 2)", IMAGE, (4, 7, 8), kernel(F.conv2d, pads=(2, 2, 2, 2), dilation=2)),
    Row(
        "conv(4, 3x2, dilation: 1x3, stride: 2, pad: valid)",
        IMAGE,
        (4, 3, 3),
        kernel(F.conv2d, dilation=(1, 3), stride=2),
    ),
    Row("conv(4, 3x3, groups: 2)", (6, 5, 5), (4, 5, 5), kernel(F.conv2d, pads=(1, 1, 1, 1), groups=2)),
    Row(
        "conv(6, 3x3, relu, groups: 3, stride: 2, dilation: 2)",
        IMAGE,
        (6, 4, 4),
        then(kernel(F.conv2d, pads=(1, 2, 2, 2), groups=3, stride=2, dilation=2), torch.relu),
    ),
    Row("conv(4, 3)", SIGNAL, (4, 9), kernel(F.conv1d, pads=(1, 1))),
    Row("conv(4, 4, stride: 2, bias: false)", SIGNAL, (4, 5), kernel(F.conv1d, pads=(1, 2), stride=2)),
    Row("conv(6, 2, groups: 3, dilation: 2, pad: valid)", SIGNAL, (6, 7), kernel(F.conv1d, groups=3, dilation=2)),
    Row("depthwise(3x3)", IMAGE, (3, 7, 8), kernel(F.conv2d, pads=(1, 1, 1, 1), groups=3)),
    Row(
        "depthwise(3x2, tanh, multiplier: 2, stride: 2, pad: valid, bias: false)",
        IMAGE,
        (6, 3, 4),
        then(kernel(F.conv2d, groups=3, stride=2), torch.tanh),
    ),
    Row(
        "depthwise(3, dilation: 2, multiplier: 2)", SIGNAL, (6, 9), kernel(F.conv1d, pads=(2, 2), groups=3, dilation=2)
    ),
    Row("deconv(4, 3x3)", IMAGE, (4, 7, 8), kernel(F.conv_transpose2d, crop=(1, 1, 1, 1))),
    Row(
        "deconv(4, 3x3, relu, stride: 2)",
        IMAGE,
        (4, 14, 16),
        then(kernel(F.conv_transpose2d, crop=(0, 1, 0, 1), stride=2), torch.relu),
    ),
    Row(
        "deconv(4, 2x4, stride: 2x3, pad: valid, bias: false)",
        IMAGE,
        (4, 14, 25),
        kernel(F.conv_transpose2d, stride=(2, 3)),
    ),
    Row("deconv(4, 2, stride: 3)", IMAGE, (4, 21, 24), kernel(F.conv_transpose2d, stride=3, output_padding=1)),
    Row("deconv(4, 4, stride: 2)", SIGNAL, (4, 18), kernel(F.conv_transpose1d, crop=(1, 1), stride=2)),
    Row(
        "deconv(4, 3, dilation: 2, pad: valid, groups: 2)",
        (6, 4, 5),
        (4, 8, 9),
        kernel(F.conv_transpose2d, dilation=2, groups=2),
    ),
    Row(
        "deconv(6, 2x3, tanh, stride: 2, dilation: 3x2, groups: 3)",
        IMAGE,
        (6, 14, 16),
        then(kernel(F.conv_transpose2d, crop=(1, 2, 1, 1), stride=2, dilation=(3, 2), groups=3), torch.tanh),
    ),
    Row(
        "deconv(3, 2, groups: 3, dilation: 2)",
        SIGNAL,
        (3, 9),
        kernel(F.conv_transpose1d, crop=(1, 1), groups=3, dilation=2),
    ),
    Row("maxpool(2)", IMAGE, (3, 3, 4), lambda x, p: F.max_pool2d(x, 2)),
    Row("maxpool(7x2)", IMAGE, (3, 1, 4), lambda x, p: F.max_pool2d(x, (7, 2))),
    Row("maxpool(3x3, stride: 2)", IMAGE, (3, 3, 3), lambda x, p: F.max_pool2d(x, 3, 2)),
    Row("avgpool(2)", IMAGE, (3, 3, 4), lambda x, p: F.avg_pool2d(x, 2)),
    Row("avgpool(3, stride: 1)", IMAGE, (3, 5, 6), lambda x, p: F.avg_pool2d(x, 3, 1)),
    Row(
        "maxpool(3x2, pad: same)", IMAGE, (3, 3, 4), lambda x, p: F.max_pool2d(F.pad(x, (0, 0, 1, 1), value=-9), (3, 2))
    ),
    Row(
        "maxpool(3, stride: 2, pad: same)",
        IMAGE,
        (3, 4, 4),
        lambda x, p: F.max_pool2d(F.pad(x, (0, 1, 1, 1), value=-9), 3, 2),
    ),
    Row("maxpool(3)", SIGNAL, (3, 3), lambda x, p: F.max_pool1d(x, 3)),
    Row("maxpool(2, pad: same)", SIGNAL, (3, 5), lambda x, p: F.max_pool1d(F.pad(x, (0, 1), value=-9), 2)),
    Row("avgpool(3, stride: 2, pad: same)", IMAGE, (3, 4, 4), lambda x, p: same_mean(x, (0, 1, 1, 1), 3, 2)),
    Row("avgpool(3, stride: 1, pad: same)", IMAGE, (3, 7, 8), lambda x, p: same_mean(x, (1, 1, 1, 1), 3, 1)),
    Row("avgpool(2)", SIGNAL, (3, 4), lambda x, p: F.avg_pool1d(x, 2)),
    Row("avgpool(2, pad: same)", SIGNAL, (3, 5), lambda x, p: F.avg_pool1d(x, 2, ceil_mode=True)),
    Row("globalmaxpool", SIGNAL, (3,), lambda x, p: x.amax(2)),
    Row("globalavgpool", SIGNAL, (3,), lambda x, p: x.mean(2)),
    Row("globalmaxpool", IMAGE, (3,), lambda x, p: x.amax((2, 3))),
    Row("globalavgpool", IMAGE, (3,), lambda x, p: x.mean((2, 3))),
    Row("groupnorm(3)", (6, 4, 5), (6, 4, 5), group_norm(3)),
    Row("groupnorm(2, eps: 0.1)", (6,), (6,), group_norm(2, eps=0.1)),
    Row("pad(1)", IMAGE, (3, 9, 10), lambda x, p: F.pad(x, (1, 1, 1, 1))),
    Row("pad(0x2)", IMAGE, (3, 7, 12), lambda x, p: F.pad(x, (2, 2, 0, 0))),
    Row("pad(2)", SIGNAL, (3, 13), lambda x, p: F.pad(x, (2, 2))),
    Row("pad(1x0, end: 2x3)", IMAGE, (3, 10, 11), lambda x, p: F.pad(x, (0, 3, 1, 2))),
    Row("pad(0, end: 2)", SIGNAL, (3, 11), lambda x, p: F.pad(x, (0, 2))),
    Row("crop(0x1, end: 3x2)", IMAGE, (3, 4, 5), lambda x, p: x[:, :, :-3, 1:-2]),
    Row("crop(2, end: 0)", SIGNAL, (3, 7), lambda x, p: x[:, :, 2:]),
    Row("crop(1)", IMAGE, (3, 5, 6), lambda x, p: x[:, :, 1:-1, 1:-1]),
    Row("crop(3x0)", IMAGE, (3, 1, 8), lambda x, p: x[:, :, 3:-3]),
    Row("crop(2)", SIGNAL, (3, 5), lambda x, p: x[:, :, 2:-2]),
    Row("upsample(2)", IMAGE, (3, 14, 16), lambda x, p: F.interpolate(x, scale_factor=2)),
    Row("upsample(3x1)", IMAGE, (3, 21, 8), lambda x, p: F.interpolate(x, scale_factor=(3, 1))),
    Row("upsample(3)", SIGNAL, (3, 27), lambda x, p: F.interpolate(x, scale_factor=3)),
    Row("upsample(2, bilinear)", IMAGE, (3, 14, 16), lambda x, p: F.interpolate(x, scale_factor=2, mode="bilinear")),
    Row(
        "upsample(2x3, bilinear)",
        (3, 1, 8),
        (3, 2, 24),
        lambda x, p: F.interpolate(x, scale_factor=(2, 3), mode="bilinear"),
    ),
    Row("upsample(3, bilinear)", SIGNAL, (3, 27), lambda x, p: F.interpolate(x, scale_factor=3, mode="linear")),
    Row("reshape(4, 42)", IMAGE, (4, 42), lambda x, p: x.reshape(-1, 4, 42)),
    Row("reshape(shape: [2, 3])", VECTOR, (2, 3), lambda x, p: x.reshape(-1, 2, 3)),
    Row("reshape(-1, 6)", IMAGE, (28, 6), lambda x, p: x.reshape(-1, 28, 6)),
    Row("reshape(-1)", IMAGE, (168,), lambda x, p: x.flatten(1)),
    Row("transpose(2, 0, 1)", IMAGE, (8, 3, 7), lambda x, p: x.permute(0, 3, 1, 2)),
    Row("transpose(1, 0)", SIGNAL, (9, 3), lambda x, p: x.transpose(1, 2)),
    Row("flatten", IMAGE, (168,), lambda x, p: x.flatten(1)),
    Row("dropout(0)", VECTOR, (6,), lambda x, p: x),
    Row("relu", IMAGE, IMAGE, lambda x, p: torch.relu(x)),
    Row("leakyrelu", VECTOR, VECTOR, lambda x, p: F.leaky_relu(x)),
    Row("leakyrelu(0.2)", VECTOR, VECTOR, lambda x, p: F.leaky_relu(x, 0.2)),
    Row("prelu", VECTOR, VECTOR, lambda x, p: F.prelu(x, p["prelu1.weight"])),
    Row("prelu", IMAGE, IMAGE, lambda x, p: F.prelu(x, p["prelu1.weight"])),
    Row("relu6", IMAGE, IMAGE, lambda x, p: F.relu6(x), spread=4),
    Row("elu", VECTOR, VECTOR, lambda x, p: F.elu(x)),
    Row("selu", VECTOR, VECTOR, lambda x, p: F.selu(x)),
    Row("gelu", VECTOR, VECTOR, lambda x, p: F.gelu(x)),
    Row("silu", VECTOR, VECTOR, lambda x, p: F.silu(x)),
    Row("mish", VECTOR, VECTOR, lambda x, p: F.mish(x)),
    Row("hardswish", IMAGE, IMAGE, lambda x, p: F.hardswish(x), spread=4),
    Row("sigmoid", VECTOR, VECTOR, lambda x, p: torch.sigmoid(x)),
    Row("tanh", VECTOR, VECTOR, lambda x, p: torch.tanh(x)),
    Row("hardsigmoid", IMAGE, IMAGE, lambda x, p: F.hardsigmoid(x), spread=4),
    Row("hardtanh", IMAGE, IMAGE, lambda x, p: F.hardtanh(x)),
    Row("softsign", VECTOR, VECTOR, lambda x, p: F.softsign(x)),
    Row("softplus", VECTOR, VECTOR, lambda x, p: F.softplus(x)),
    Row("softmax", VECTOR, VECTOR, lambda x, p: F.softmax(x, 1)),
    Row("embedding(4)", (7,), (7, 4), lambda x, p: p["embedding1.weight"][x], vocabulary=9),
    Row("embedding(4)", (2, 3), (2, 3, 4), lambda x, p: p["embedding1.weight"][x], vocabulary=100),
    Row("layernorm", SEQUENCE, SEQUENCE, layernorm),
    Row("layernorm", IMAGE, IMAGE, layernorm),
    Row("layernorm(eps: 0.1)", VECTOR, VECTOR, lambda x, p: layernorm(x, p, 0.1)),
    Row("positions", SEQUENCE, SEQUENCE, lambda x, p: x + p["positions1.weight"]),
    Row("positions(sinusoidal)", SEQUENCE, SEQUENCE, lambda x, p: x + WAVES),
    Row("attention", SEQUENCE, SEQUENCE, attention()),
    Row("attention(heads: 3, bias: false)", SEQUENCE, SEQUENCE, attention(3, bias=False)),
    Row("attention(2, causal: true)", SEQUENCE, SEQUENCE, attention(2, causal=True)),
    Row("mean", SEQUENCE, (6,), lambda x, p: x.mean(1)),
    Row("last", SEQUENCE, (6,), lambda x, p: x[:, -1]),
    Row("last", (1, 6), (6,), lambda x, p: x[:, 0]),
    Row("rnn(4)", SEQUENCE, (4,), recurrent(nn.RNN)),
    Row("rnn(4, bias: false)", SEQUENCE, (4,), recurrent(nn.RNN, bias=False)),
    Row("rnn(4, relu, return: sequence)", SEQUENCE, (5, 4), recurrent(nn.RNN, sequence=True, nonlinearity="relu")),
    Row("rnn(4, bidirectional: true, layers: 2)", SEQUENCE, (8,), recurrent(nn.RNN, **BOTH_WAYS)),
    Row("lstm(4)", SEQUENCE, (4,), recurrent(nn.LSTM)),
    Row("lstm(4, tanh, bias: false)", SEQUENCE, (4,), recurrent(nn.LSTM, bias=False)),
    Row("lstm(4, return: sequence, layers: 3)", SEQUENCE, (5, 4), recurrent(nn.LSTM, sequence=True, num_layers=3)),
    Row("lstm(4, bidirectional: true, layers: 2)", SEQUENCE, (8,), recurrent(nn.LSTM, **BOTH_WAYS)),
    Row("gru(4)", SEQUENCE, (4,), recurrent(nn.GRU)),
    Row("gru(4, tanh, bias: false)", SEQUENCE, (4,), recurrent(nn.GRU, bias=False)),
    Row(
        "gru(4, return: sequence, bidirectional: true)",
        SEQUENCE,
        (5, 8),
        recurrent(nn.GRU, sequence=True, bidirectional=True),
    ),
    Row("gru(4, bidirectional: true, layers: 2)", SEQUENCE, (8,), recurrent(nn.GRU, **BOTH_WAYS)),
]

JOINED: list[tuple[str, tuple[int, ...], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = [
    ("add(a, b)", (3, 4, 4), torch.add),
    ("add(a)", (3, 4, 4), torch.add),
    ("add(a, b, a)", (3, 4, 4), lambda a, b: a + b + a),
    ("multiply(a, b)", (3, 4, 4), torch.mul),
    ("concat(a, b)", (6, 4, 4), lambda a, b: torch.cat([a, b], 1)),
    ("concat(a, b, axis: 2)", (3, 4, 8), lambda a, b: torch.cat([a, b], 3)),
]
