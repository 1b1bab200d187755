"""Uses of operators whose gradients `test_gradients.py` and others check, each beside the same in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Case:
    """One use of an operator: `shapes` of its differentiable inputs, batch first, then constant int64 inputs."""

    op: str
    shapes: tuple[tuple[int, ...], ...]
    torch: Callable[..., torch.Tensor]
    attributes: dict[str, Any] = field(default_factory=dict)
    ints: tuple[tuple[int, ...], ...] = ()
    floats: tuple[tuple[float, ...] | None, ...] = ()
    """Constant float32 inputs behind those; None for one that is left out."""
    floats64: tuple[tuple[float, ...], ...] = ()
    """Constant inputs of the computing type behind those."""
    scalar_ints: bool = False
    """Whether each of `ints` is a number alone and no vector."""
    low: float = -2.0
    high: float = 2.0
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    """For each input, where they differ."""
    condition: bool = False
    batched: tuple[int, ...] = (0,)
    """Which inputs have the symbolic batch as their first axis."""
    h: float = 1e-5
    tolerance: float = 1e-6
    exact: float = 1e-9
    """How near the gradient comes to PyTorch's."""


def conv(kernel: list[int], strides: list[int], pads: list[int]) -> dict[str, Any]:
    return {"kernel_shape": kernel, "strides": strides, "pads": pads}


def torch_conv(x: Any, w: Any, b: Any = None, *, strides: list[int], pads: list[int]) -> torch.Tensor:
    return F.conv2d(F.pad(x, (pads[1], pads[3], pads[0], pads[2])), w, b, stride=strides)


def pool(kernel: list[int], strides: list[int]) -> dict[str, Any]:
    return {"kernel_shape": kernel, "strides": strides}


X = (3, 4)
IMAGE = (2, 3, 6, 6)
RUNNING = ((0.3, -0.2, 0.1), (0.5, 1.5, 0.7))
"""Means and variances of three channels."""
CASES = [
    Case("Identity", (X,), lambda x: x),
    Case("Neg", (X,), torch.neg),
    Case("Exp", (X,), torch.exp),
    Case("Log", (X,), torch.log, low=0.2),
    Case("Sqrt", (X,), torch.sqrt, low=0.2),
    Case("Abs", (X,), torch.abs),
    Case("Erf", (X,), torch.erf, h=1e-2, tolerance=1e-3),  # onnx.reference computes it in float32
    Case("Relu", (X,), torch.relu),
    Case("LeakyRelu", (X,), lambda x: F.leaky_relu(x, 0.2), {"alpha": 0.2}),
    Case("LeakyRelu", (X,), F.leaky_relu),
    Case("Elu", (X,), F.elu),
    Case("Elu", (X,), lambda x: F.elu(x, 0.5), {"alpha": 0.5}),
    Case("Sigmoid", (X,), torch.sigmoid),
    Case("Tanh", (X,), torch.tanh),
    Case("Softplus", (X,), F.softplus),
    Case("Add", (X, X), torch.add, batched=(0, 1)),
    Case("Add", (X, (4,)), torch.add),
    Case("Add", (X, (1, 4)), torch.add),
    Case("Add", (X, ()), torch.add),
    Case("Sub", ((4,), X), torch.sub, batched=(1,)),
    Case("Mul", (X, (4,)), torch.mul),
    Case("Mul", ((2, 3, 4), (3, 1)), torch.mul),
    Case("Div", (X, (4,)), torch.div, low=0.2),
    Case("Div", ((), X), torch.div, low=0.2, batched=(1,)),
    Case("Pow", (X, (4,)), torch.pow, low=0.2),
    Case("Where", (X, X), lambda a, b: torch.where(CONDITION, a, b), condition=True, batched=(0, 1)),
    Case("Where", (X, (4,)), lambda a, b: torch.where(CONDITION, a, b), condition=True),
    Case("MatMul", (X, (4, 5)), torch.matmul),
    Case("MatMul", ((2, 3, 4), (4, 5)), torch.matmul),
    Case("MatMul", ((2, 3, 4), (2, 4, 5)), torch.matmul, batched=(0, 1)),
    Case("Gemm", (X, (4, 5), (5,)), lambda x, w, b: x @ w + b),
    Case("Gemm", (X, (5, 4), (5,)), lambda x, w, b: x @ w.T + b, {"transB": 1}),
    Case("Gemm", (X, (5, 4), (3, 5)), lambda x, w, c: x @ w.T + c, {"transB": 1}, batched=(0, 2)),
    Case("Gemm", (X, (4, 5)), lambda x, w: x @ w),
    Case("Conv", (IMAGE, (4, 3, 3, 3)), lambda x, w: torch_conv(x, w, strides=[1, 1], pads=[1, 1, 1, 1]),
         conv([3, 3], [1, 1], [1, 1, 1, 1])),
    Case("Conv", (IMAGE, (4, 3, 3, 3), (4,)), lambda x, w, b: torch_conv(x, w, b, strides=[1, 1], pads=[0, 0, 0, 0]),
         conv([3, 3], [1, 1], [0, 0, 0, 0])),
    Case("Conv", (IMAGE, (4, 3, 2, 3), (4,)), lambda x, w, b: torch_conv(x, w, b, strides=[2, 2], pads=[0, 1, 1, 1]),
         conv([2, 3], [2, 2], [0, 1, 1, 1])),
    Case("Conv", (IMAGE, (4, 3, 1, 1), (4,)), lambda x, w, b: torch_conv(x, w, b, strides=[3, 3], pads=[0, 0, 0, 0]),
         conv([1, 1], [3, 3], [0, 0, 0, 0])),
    Case("Conv", (IMAGE, (4, 3, 2, 3)), lambda x, w: F.conv2d(x, w, dilation=(2, 1), stride=(1, 2)),
         {**conv([2, 3], [1, 2], [0, 0, 0, 0]), "dilations": [2, 1]}),
    Case("Conv", ((2, 4, 5, 4), (6, 2, 3, 3), (6,)), lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2),
         {**conv([3, 3], [1, 1], [1, 1, 1, 1]), "group": 2}),
    Case("Conv", (IMAGE, (6, 1, 3, 2)), lambda x, w: F.conv2d(x, w, groups=3, stride=2, dilation=2),
         {**conv([3, 2], [2, 2], [0, 0, 0, 0]), "group": 3, "dilations": [2, 2]}),
    Case("Conv", ((2, 3, 7), (4, 3, 3), (4,)), lambda x, w, b: F.conv1d(F.pad(x, (1, 0)), w, b, stride=2),
         conv([3], [2], [1, 0])),
    Case("Conv", ((2, 4, 7), (4, 2, 2)), lambda x, w: F.conv1d(x, w, groups=2, dilation=3),
         {**conv([2], [1], [0, 0]), "group": 2, "dilations": [3]}),
    # from eight channels on, another product
    Case("Conv", ((2, 8, 5, 4), (3, 8, 3, 2)), lambda x, w: torch_conv(x, w, strides=[2, 1], pads=[1, 0, 0, 1]),
         conv([3, 2], [2, 1], [1, 0, 0, 1])),
    Case("Conv", ((2, 8, 4, 4), (3, 8, 1, 1)), lambda x, w: F.conv2d(x, w, stride=2), conv([1, 1], [2, 2], [0] * 4)),
    Case("Conv", ((2, 9, 7), (2, 9, 3)), lambda x, w: F.conv1d(x, w, dilation=2, padding=1),
         conv([3], [1], [1, 1]) | {"dilations": [2]}),
    Case("ConvTranspose", ((2, 3, 3, 2), (3, 8, 3, 3)),
         lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1), conv([3, 3], [2, 2], [1] * 4)),
    Case("ConvTranspose", ((2, 3, 3, 4), (3, 2, 3, 2), (2,)), lambda x, w, b: F.conv_transpose2d(
        x, w, b, stride=(2, 1)), conv([3, 2], [2, 1], [0, 0, 0, 0])),
    Case("ConvTranspose", ((2, 3, 3, 4), (3, 2, 3, 3)),
         lambda x, w: F.conv_transpose2d(x, w, stride=2)[:, :, :-1, 1:],
         conv([3, 3], [2, 2], [0, 1, 1, 0])),
    Case("ConvTranspose", ((2, 4, 3, 2), (4, 3, 2, 2)),
         lambda x, w: F.conv_transpose2d(x, w, stride=3, groups=2, output_padding=1),
         {**conv([2, 2], [3, 3], [0, 0, 0, 0]), "group": 2, "output_padding": [1, 1]}),
    Case("ConvTranspose", ((2, 3, 5), (3, 2, 4), (2,)), lambda x, w, b: F.conv_transpose1d(
        x, w, b, stride=2, padding=1), conv([4], [2], [1, 1])),
    Case("MaxPool", ((2, 3, 7),), lambda x: F.max_pool1d(F.pad(x, (1, 1), value=-9), 3, 2),
         {**pool([3], [2]), "pads": [1, 1]}),
    Case("MaxPool", ((2, 3, 6),), lambda x: F.max_pool1d(x, 2), pool([2], [2])),
    Case("MaxPool", (IMAGE,), lambda x: F.max_pool2d(x, 3, 2, 1), {**pool([3, 3], [2, 2]), "pads": [1, 1, 1, 1]}),
    Case("AveragePool", (IMAGE,), lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
         {**pool([3, 3], [2, 2]), "pads": [1, 1, 1, 1]}),
    Case("AveragePool", ((2, 3, 7),), lambda x: F.avg_pool1d(x, 2, ceil_mode=True),
         {**pool([2], [2]), "pads": [0, 1]}),
    Case("MaxPool", (IMAGE,), lambda x: F.max_pool2d(x, 2), pool([2, 2], [2, 2])),
    Case("MaxPool", (IMAGE,), lambda x: F.max_pool2d(x, (3, 2)), pool([3, 2], [3, 2])),
    Case("MaxPool", (IMAGE,), lambda x: F.max_pool2d(x, 3, 2), pool([3, 3], [2, 2])),
    Case("MaxPool", ((2, 3, 7, 5),), lambda x: F.max_pool2d(x, 2), pool([2, 2], [2, 2])),
    Case("AveragePool", (IMAGE,), lambda x: F.avg_pool2d(x, 2), pool([2, 2], [2, 2])),
    Case("AveragePool", ((2, 3, 7, 5),), lambda x: F.avg_pool2d(x, 3, 2), pool([3, 3], [2, 2])),
    Case("AveragePool", ((2, 3, 7, 5),), lambda x: F.avg_pool2d(x, 2), pool([2, 2], [2, 2])),
    Case("ReduceSum", (IMAGE,), lambda x: x.sum((2, 3)), {"keepdims": 0}, ((2, 3),)),
    Case("ReduceSum", (IMAGE,), lambda x: x.sum(0, keepdim=True), {"keepdims": 1}, ((0,),)),
    Case("ReduceSum", (X,), lambda x: x.sum(), {"keepdims": 0}),
    Case("ReduceMean", (IMAGE,), lambda x: x.mean((2, 3)), {"keepdims": 0}, ((2, 3),)),
    Case("ReduceMean", (X,), lambda x: x.mean(), {"keepdims": 0}, ((0, 1),)),
    Case("ReduceMean", (X,), lambda x: x.mean(-1, keepdim=True), {"keepdims": 1}, ((-1,),)),
    Case("ReduceSumSquare", (IMAGE,), lambda x: (x * x).sum((0, 2, 3), keepdim=True), {"keepdims": 1}, ((0, 2, 3),)),
    Case("ReduceSumSquare", (X,), lambda x: (x * x).sum(1), {"keepdims": 0}, ((1,),)),
    Case("ReduceMax", (IMAGE,), lambda x: x.amax((2, 3)), {"keepdims": 0}, ((2, 3),)),
    Case("Softmax", (X,), lambda x: F.softmax(x, 1), {"axis": 1}),
    Case("Softmax", (X,), lambda x: F.softmax(x, -1)),
    Case("LogSoftmax", (X,), lambda x: F.log_softmax(x, 1), {"axis": 1}),
    Case("Reshape", (IMAGE,), lambda x: x.reshape(2, 18, 6), {}, ((0, 18, 6),)),
    Case("Unsqueeze", (X,), lambda x: x.unsqueeze(1), {}, ((1,),)),
    Case("Concat", (X, (3, 2), X), lambda *xs: torch.cat(xs, 1), {"axis": 1}, batched=(0, 1, 2)),
    Case("Transpose", (IMAGE,), lambda x: x.permute(0, 3, 1, 2), {"perm": [0, 3, 1, 2]}),
    Case("Transpose", (X,), lambda x: x.T),
    Case("Pad", (IMAGE,), lambda x: F.pad(x, (2, 1, 0, 3)), {}, ((0, 0, 0, 2, 0, 0, 3, 1),)),
    Case("Pad", (X,), lambda x: x, {}, ((0, 0, 0, 0),)),
    Case("Slice", (IMAGE,), lambda x: x[:, :, 1:4, 2:], {}, ((1, 2), (4, 6), (2, 3))),
    Case("Slice", (IMAGE,), lambda x: x[:, :, :, -3:-1], {}, ((-3,), (-1,), (-1,))),
    Case("Resize", ((2, 3, 4, 2),), lambda x: F.interpolate(x, scale_factor=(2, 3)),
         {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
         floats=(None, (1, 1, 2, 3))),
    Case("Resize", ((2, 3, 4, 2),), lambda x: F.interpolate(x, scale_factor=(2, 3), mode="bilinear"),
         {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}, floats=(None, (1, 1, 2, 3))),
    Case("Resize", ((2, 3, 1),), lambda x: F.interpolate(x, scale_factor=3, mode="linear"),
         {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}, floats=(None, (1, 1, 3))),
    Case("LayerNormalization", ((2, 3, 4), (4,), (4,)), lambda x, w, b: F.layer_norm(x, (4,), w, b, 1e-3),
         {"axis": -1, "epsilon": 1e-3}),
    Case("LayerNormalization", (X, (4,)), lambda x, w: F.layer_norm(x, (4,), w)),
    Case("Reciprocal", (X,), torch.reciprocal, low=0.2),
    Case("Sin", (X,), torch.sin),
    Case("Cos", (X,), torch.cos),
    Case("Tan", (X,), torch.tan, low=1.7),
    Case("Asin", (X,), torch.asin, low=-0.9, high=0.9),
    Case("Acos", (X,), torch.acos, low=-0.9, high=0.9),
    Case("Atan", (X,), torch.atan),
    Case("Sinh", (X,), torch.sinh),
    Case("Cosh", (X,), torch.cosh),
    Case("Asinh", (X,), torch.asinh),
    Case("Acosh", (X,), torch.acosh, low=1.1),
    Case("Atanh", (X,), torch.atanh, low=-0.9, high=0.9),
    Case("Selu", (X,), lambda x: 1.5 * torch.where(x > 0, x, 2 * (x.exp() - 1)), {"alpha": 2.0, "gamma": 1.5}),
    Case("Celu", (X,), lambda x: F.celu(x, 0.5), {"alpha": 0.5}),
    Case("HardSigmoid", (X,), lambda x: torch.clamp(0.25 * x + 0.5, 0, 1), {"alpha": 0.25}, low=-4, high=4),
    Case("HardSwish", (X,), F.hardswish, low=-4, high=4),
    Case("Gelu", (X,), F.gelu, h=1e-2, tolerance=1e-3, exact=1e-6),  # onnx.reference computes Erf in float32
    Case("Gelu", (X,), lambda x: F.gelu(x, approximate="tanh"), {"approximate": "tanh"}),
    Case("Mish", (X,), F.mish),
    Case("Softsign", (X,), F.softsign),
    Case("ThresholdedRelu", (X,), lambda x: F.threshold(x, 0.5, 0.0), {"alpha": 0.5}),
    Case("PRelu", (X, (4,)), lambda x, s: torch.where(x > 0, x, s * x)),
    Case("PRelu", (IMAGE, (3, 1, 1)), lambda x, s: F.prelu(x, s.flatten())),
    Case("Clip", (X, (), ()), torch.clamp, lows=(-2, -0.6, 0.3), highs=(2, -0.5, 0.4)),
    Case("Clip", (X,), lambda x: x),
    Case("Sum", (X, (4,), ()), lambda a, b, c: a + b + c),
    Case("Mean", (X, (4,), X), lambda a, b, c: (a + b + c) / 3, batched=(0, 2)),
    Case("Max", (X, (4,), ()), lambda a, b, c: torch.maximum(torch.maximum(a, b), c)),
    Case("Min", (X, (4,)), torch.minimum),
    Case("Gemm", ((4, 3), (4, 5), (5,)), lambda x, w, b: 0.5 * x.T @ w + 2 * b,
         {"transA": 1, "alpha": 0.5, "beta": 2.0}, batched=()),
    Case("Gemm", ((4, 3), (5, 4), (3, 1)), lambda x, w, c: x.T @ w.T + c, {"transA": 1, "transB": 1}, batched=()),
    Case("Gemm", (X, (5, 4), (1, 5)), lambda x, w, c: 3 * x @ w.T + c, {"transB": 1, "alpha": 3.0}),
    Case("ReduceMin", (IMAGE,), lambda x: x.amin((1, 3), keepdim=True), {}, ((1, 3),)),
    Case("ReduceL1", (X,), lambda x: x.abs().sum(1), {"keepdims": 0}, ((1,),)),
    Case("ReduceL2", (X,), lambda x: x.norm(dim=1, keepdim=True), {}, ((1,),)),
    Case("ReduceLogSum", (X,), lambda x: x.sum(1).log(), {"keepdims": 0}, ((1,),), low=0.2),
    Case("ReduceLogSumExp", (X,), lambda x: x.logsumexp(1), {"keepdims": 0}, ((1,),)),
    Case("CumSum", (X,), lambda x: x.cumsum(1), {}, ((1,),), scalar_ints=True),
    Case("CumSum", (X,), lambda x: x.flip(1).cumsum(1).flip(1) - x, {"reverse": 1, "exclusive": 1}, ((1,),),
         scalar_ints=True),
    Case("GlobalAveragePool", (IMAGE,), lambda x: x.mean((2, 3), keepdim=True)),
    Case("GlobalMaxPool", (IMAGE,), lambda x: x.amax((2, 3), keepdim=True)),
    Case("Flatten", (IMAGE,), lambda x: x.flatten(1)),
    Case("Squeeze", ((3, 1, 4),), lambda x: x.squeeze(1), {}, ((1,),)),
    Case("Expand", ((3, 1, 4),), lambda x: x.expand(3, 5, 4), {}, ((1, 5, 1),)),
    Case("Tile", (X,), lambda x: x.repeat(1, 3), {}, ((1, 3),)),
    Case("DepthToSpace", ((2, 8, 3, 2),), lambda x: F.pixel_shuffle(x, 2), {"blocksize": 2, "mode": "CRD"}),
    Case("DepthToSpace", ((2, 8, 3, 2),), lambda x: x.reshape(2, 2, 2, 2, 3, 2).permute(0, 3, 4, 1, 5, 2).reshape(
        2, 2, 6, 4), {"blocksize": 2}),
    Case("SpaceToDepth", ((2, 2, 6, 4),), lambda x: x.reshape(2, 2, 3, 2, 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(
        2, 8, 3, 2), {"blocksize": 2}),
    Case("Trilu", ((2, 3, 4),), torch.tril, {"upper": 0}),
    Case("Trilu", ((2, 3, 4),), lambda x: x.triu(1), {}, ((1,),), scalar_ints=True),
    Case("Slice", (IMAGE,), lambda x: x[:, :, 1:6:2, ::3], {}, ((1, 0), (2**60, 9), (2, 3), (2, 3))),
    Case("Slice", (IMAGE,), lambda x: x[:, 1:], {}, ((0, 1), (2**60, 9))),
    Case("Gather", (IMAGE,), lambda x: x[:, :, [5, 0, 5]], {"axis": 2}, ((-1, 0, 5),)),
    Case("Gather", (IMAGE,), lambda x: x[:, 1], {"axis": 1}, ((1,),), scalar_ints=True),
    Case("Gather", ((5, 4),), lambda w: w[torch.tensor([3, 4])], {"axis": 0}, ((3, -1),), batched=()),
    Case("BatchNormalization", (IMAGE, (3,), (3,)), lambda x, w, b: F.batch_norm(
        x, *torch.tensor(RUNNING, dtype=torch.float64), w, b, eps=1e-3),
         {"epsilon": 1e-3}, floats64=RUNNING),
    Case("BatchNormalization", (IMAGE, (3,), (3,)), lambda x, w, b: F.batch_norm(
        x, None, None, w, b, training=True, eps=1e-3),
         {"epsilon": 1e-3, "momentum": 0.0, "training_mode": 1}, floats64=RUNNING),
    Case("InstanceNormalization", (IMAGE, (3,), (3,)), lambda x, w, b: F.instance_norm(x, weight=w, bias=b, eps=1e-3),
         {"epsilon": 1e-3}),
    Case("LRN", ((2, 5, 2, 3),), lambda x: F.local_response_norm(x, 3, 0.5, 0.75, 2.0),
         {"size": 3, "alpha": 0.5, "beta": 0.75, "bias": 2.0}),
    Case("Split", ((3, 6),), lambda x: x[:, :3], {"axis": 1, "num_outputs": 2}),
    Case("Split", ((3, 6),), lambda x: x[:, :2], {"axis": 1}, ((2, 4),)),
    Case("Gather", ((5, 4),), lambda w: w[torch.tensor([3, 0, 3, 1])], {"axis": 0}, ((3, 0, 3, 1),), batched=()),
    Case("Gather", ((99, 2),), lambda w: w[torch.tensor([3, 0, 3])], {"axis": 0}, ((3, 0, 3),), batched=()),
]  # fmt: skip

CONDITION = torch.tensor(np.random.default_rng(5).random(X) < 0.5)
