"""Layers of transformers: attention, positions, and what makes one vector of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError, Weighted, sequence_type
from sparknet.compiler.layers.variable import last_step, mean_of_steps
from sparknet.compiler.lazy import Lazy
from sparknet.compiler.types import TensorType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Lazy("numpy")


class Attention(Weighted):
    """`attention(heads: 4)`: every step looks at every step (Vaswani et al., 2017, section 3.2).

    `softmax(Q K^T / sqrt(d)) V` for each head of width `d`, between a projection in and one out. With `causal: true` a
    step sees itself and those before it.
    """

    name: ClassVar[str] = "attention"
    takes_variable: ClassVar[bool] = True

    heads: Annotated[int, Field(ge=1, le=1024)] = 1
    causal: bool = False
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        """Same type, `[time, features]`."""
        _, features = sequence_type(self.name, x)
        if features % self.heads:
            raise ShapeError(
                f"{self.heads} heads cannot share {features} features equally",
                f"use {_divisor(features, self.heads)} heads, or bring the features to a multiple of {self.heads} "
                "with `dense`",
            )
        return x

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """As in PyTorch: `in_proj_weight` [3 * features, features] for Q, K and V, `out_proj.weight`, and biases."""
        width = x.shape[1]
        weights = (
            ParameterSpec("in_proj_weight", (3 * width, width), "glorot", width, 3 * width),
            ParameterSpec("out_proj.weight", (width, width), "units", width, width),
        )
        if not self.bias:
            return weights
        biases = (
            ParameterSpec("in_proj_bias", (3 * width,), "zeros", width, 3 * width),
            ParameterSpec("out_proj.bias", (width,), "zeros", width, width),
        )
        return weights[0], biases[0], weights[1], biases[1]

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """Two `Gemm` over all steps, and between them two `MatMul` over all rows and heads."""
        g, (time, width), each = low.graph, t.shape, t.shape[1] // self.heads
        rows = self._project(low, g.op("Reshape", x, g.ints(-1, width)), "in_proj_weight", "in_proj_bias")
        heads = g.op("Transpose", g.op("Reshape", rows, g.ints(-1, time, 3, self.heads, each)), perm=[2, 0, 3, 1, 4])
        q, k, v = (
            g.op("Reshape", part, g.ints(-1, self.heads, time, each))
            for part in g.op_n("Split", 3, heads, axis=0, num_outputs=3)
        )
        scores = g.op("MatMul", g.op("Mul", q, g.constant(each**-0.5)), g.op("Transpose", k, perm=[0, 1, 3, 2]))
        if self.causal:
            scores = g.op("Add", scores, g.constant(np.triu(np.full((time, time), -np.inf), 1)))
        mask = low.mask(t)
        if mask is not None:  # no step looks behind the end; the first one is never there, so each sees something
            scores = g.op("Where", g.op("Unsqueeze", mask, g.ints(1, 2)), scores, g.constant(-np.inf))
        seen = g.op("MatMul", g.op("Softmax", scores, axis=3), v)
        rows = g.op("Reshape", g.op("Transpose", seen, perm=[0, 2, 1, 3]), g.ints(-1, width))
        return g.op("Reshape", self._project(low, rows, "out_proj.weight", "out_proj.bias"), g.ints(-1, time, width))

    def _project(self, low: Lowering, rows: Value, weight: str, bias: str) -> Value:
        biases = [low.parameters[bias]] if self.bias else []
        return low.graph.op("Gemm", rows, low.parameters[weight], *biases, transB=1)


def _divisor(features: int, heads: int) -> int:
    """The divisor of `features` closest to `heads`."""
    return min((d for d in range(1, features + 1) if features % d == 0), key=lambda d: abs(d - heads))


class Positions(Layer):
    """`positions`, or `positions(sinusoidal)`: adds to each step a vector that tells where it stands."""

    name: ClassVar[str] = "positions"
    takes_variable: ClassVar[bool] = True

    kind: Literal["learned", "sinusoidal"] = "learned"

    def infer(self, x: TensorType) -> TensorType:
        """Same type, `[time, features]`."""
        sequence_type(self.name, x)
        return x

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [time, features], of learned positions only."""
        return (ParameterSpec("weight", x.shape, "units", x.shape[1], x.shape[1]),) if self.kind == "learned" else ()

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Add`."""
        g = low.graph
        added = low.parameters["weight"] if self.kind == "learned" else g.constant(_waves(*t.shape))
        return g.op("Add", x, added)


def _waves(time: int, width: int) -> NDArray[np.float64]:
    """Sines in the even features, cosines in the odd ones, of ever longer waves (Vaswani et al., 2017, section 3.5)."""
    feature = np.arange(width)
    angle = np.arange(time)[:, None] / 10_000 ** (2 * (feature // 2) / width)
    return np.where(feature % 2 == 0, np.sin(angle), np.cos(angle))


class Mean(Layer):
    """`mean`: the mean over all steps of a sequence."""

    name: ClassVar[str] = "mean"
    takes_variable: ClassVar[bool] = True

    def infer(self, x: TensorType) -> TensorType:
        """`[time, features]` to `[features]`."""
        return TensorType("float32", (sequence_type(self.name, x)[1],))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `ReduceMean`; a masked sum by the length where that varies."""
        return mean_of_steps(low, x, t)


class Last(Layer):
    """`last`: the last step of a sequence."""

    name: ClassVar[str] = "last"
    takes_variable: ClassVar[bool] = True

    def infer(self, x: TensorType) -> TensorType:
        """`[time, features]` to `[features]`."""
        return TensorType("float32", (sequence_type(self.name, x)[1],))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """The second part of a `Split`; a masked sum where the length varies."""
        return last_step(low, x, t)


LAYERS: tuple[type[Layer], ...] = (Attention, Positions, Mean, Last)
