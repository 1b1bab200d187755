"""Normalising each channel over the batch, or groups of channels within each row."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar

from pydantic import Field

from sparknet.compiler.graph import GraphBuilder, Value
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError, Trainable, Units
from sparknet.compiler.types import TensorType

Epsilon = Annotated[float, Field(gt=0, le=1)]


class BatchNorm(Trainable):
    """`batchnorm`: each channel to mean 0 and variance 1, then scaled and shifted by learned numbers.

    Ioffe & Szegedy, 2015, algorithms 1 and 2. Training normalises by the mean and variance of the batch and keeps
    running ones as PyTorch does: `running = (1 - momentum) * running + momentum * batch`, the variance that runs being
    the unbiased one. Evaluation and inference normalise by the running ones; so does training where it is frozen.
    """

    name: ClassVar[str] = "batchnorm"

    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    eps: Epsilon = 1e-5

    def infer(self, x: TensorType) -> TensorType:
        """Same type: `[features]`, or channels first."""
        return _floats(self.name, x)

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`scale` and `bias` [channels], and the running `mean` and `variance` [channels], which are buffers."""
        return (
            *_scale_and_bias(x),
            ParameterSpec("mean", x.shape[:1], "zeros", 1, 1, "buffer"),
            ParameterSpec("variance", x.shape[:1], "ones", 1, 1, "buffer"),
        )

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `BatchNormalization`, in its training mode where it learns; inference folds it where it can."""
        g = low.graph
        tensors = [low.parameters[name] for name in ("scale", "bias", "mean", "variance")]
        if not low.training:
            return g.op("BatchNormalization", x, *tensors, epsilon=self.eps)
        if self.frozen:
            sides = (1,) * (len(t.shape) - 1)
            scale, bias, mean, variance = (g.op("Reshape", p, g.ints(*t.shape[:1], *sides)) for p in tensors)
            return _affine(g, g.op("Sub", x, mean), variance, scale, bias, self.eps)
        # With a momentum of 0, what would run are the mean and the variance of the batch themselves. ONNX Runtime
        # writes them over what it reads as the running ones, so these must be values that nothing else reads.
        read = [g.op("Neg", p) for p in tensors[2:]]
        y, mean, variance = g.op_n(
            "BatchNormalization", 3, x, *tensors[:2], *read, epsilon=self.eps, momentum=0.0, training_mode=1
        )
        count = g.op("Div", g.op("Cast", g.op("Size", x), to=g.onnx_type(g.dtype)), g.constant(float(t.shape[0])))
        # a batch of one number has no unbiased variance: it counts as 0 where PyTorch refuses
        others = g.op("Max", g.op("Sub", count, g.constant(1.0)), g.constant(1.0))
        low.buffers["mean"] = self._running(low, "mean", mean)
        low.buffers["variance"] = self._running(low, "variance", g.op("Mul", variance, g.op("Div", count, others)))
        return y

    def _running(self, low: Lowering, name: str, batch: Value) -> Value:
        g, momentum = low.graph, self.momentum
        new = g.op("Mul", batch, g.constant(momentum))
        return g.op("Add", g.op("Mul", low.parameters[name], g.constant(1 - momentum)), new)


class GroupNorm(Trainable):
    """`groupnorm(groups)`: each row's groups of channels to mean 0 and variance 1, then a scale and a shift a channel.

    Wu & He, 2018, eq. 1 to 7. Training and inference compute alike.
    """

    name: ClassVar[str] = "groupnorm"

    groups: Units
    eps: Epsilon = 1e-5

    def infer(self, x: TensorType) -> TensorType:
        """Same type; the channels must split evenly."""
        channels = _floats(self.name, x).shape[0]
        if channels % self.groups:
            fitting = [n for n in range(1, min(channels, 64) + 1) if channels % n == 0]
            raise ShapeError(
                f"{channels} channels do not split into {self.groups} equal groups",
                f"use {', '.join(map(str, fitting[:-1]))} or {fitting[-1]} groups" if len(fitting) > 1 else None,
            )
        return x

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`scale` and `bias` [channels]."""
        return _scale_and_bias(x)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """Primitive operators on `[batch, groups, numbers of a group]`."""
        g, size = low.graph, prod(t.shape) // self.groups
        grouped = g.op("Reshape", x, g.ints(0, self.groups, size))
        centred = g.op("Sub", grouped, g.op("ReduceMean", grouped, g.ints(2), keepdims=1))
        squares = g.op("ReduceSumSquare", centred, g.ints(2), keepdims=1)
        deviation = _deviation(g, g.op("Div", squares, g.constant(float(size))), self.eps)
        normal = g.op("Reshape", g.op("Div", centred, deviation), g.ints(0, *t.shape))
        shape = g.ints(t.shape[0], *(1,) * (len(t.shape) - 1))
        scale, bias = (g.op("Reshape", low.parameters[name], shape) for name in ("scale", "bias"))
        return g.op("Add", g.op("Mul", normal, scale), bias)


def _floats(layer: str, x: TensorType) -> TensorType:
    if x.dtype != "float32":
        raise ShapeError(f"`{layer}` needs numbers, but `{x}` arrives")
    return x


def _scale_and_bias(x: TensorType) -> tuple[ParameterSpec, ParameterSpec]:
    return ParameterSpec("scale", x.shape[:1], "ones", 1, 1), ParameterSpec("bias", x.shape[:1], "zeros", 1, 1)


def _deviation(g: GraphBuilder, variance: Value, eps: float) -> Value:
    return g.op("Sqrt", g.op("Add", variance, g.constant(eps)))


def _affine(g: GraphBuilder, centred: Value, variance: Value, scale: Value, bias: Value, eps: float) -> Value:
    """`centred * scale / sqrt(variance + eps) + bias`, the division done on the few numbers of the channels."""
    return g.op("Add", g.op("Mul", centred, g.op("Div", scale, _deviation(g, variance, eps))), bias)


LAYERS: tuple[type[Layer], ...] = (BatchNorm, GroupNorm)
