"""What a layer is: its arguments, its shape rule, its parameters and its lowering to ONNX operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sparknet.compiler.graph import GraphBuilder, Value
from sparknet.compiler.initializers import Initializer
from sparknet.compiler.types import TensorType


class ShapeError(Exception):
    """A layer cannot take what arrives: `message` says why, `help` what to change."""

    def __init__(self, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help


@dataclass(frozen=True)
class ParameterSpec:
    """One trained tensor of a layer. `fan_in` and `fan_out` scale its initialisation."""

    name: str
    shape: tuple[int, ...]
    initializer: Initializer
    fan_in: int
    fan_out: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True)
class Lowering:
    """What a layer lowers into: a graph, its parameters there, and whether the graph trains.

    `seed` is the step's seed (int64 scalar) in a training graph and None elsewhere; `salt` differs for every layer, so
    that no two layers draw the same numbers.
    """

    graph: GraphBuilder
    parameters: Mapping[str, Value]
    seed: Value | None
    salt: int


class Layer(BaseModel):
    """Base of all layers; a subclass's fields, in order, are the layer's arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    name: ClassVar[str]

    @property
    def label(self) -> str:
        """The stem of the names that uses of this layer get: `conv` gives `conv1`, `conv2`."""
        return self.name

    def infer(self, x: TensorType) -> TensorType:
        """Type of the result for an input of type `x`; raises ShapeError."""
        raise NotImplementedError

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """The trained tensors, in the order in which they lie in the flat parameter vector."""
        return ()

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """Append the operators that compute this layer on `x`, a batch of `t`, and return the result."""
        raise NotImplementedError


class Join(BaseModel):
    """Base of the layers that join several values; its fields are options, always written with their names."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    name: ClassVar[str]

    @property
    def label(self) -> str:
        """As `Layer.label`."""
        return self.name

    def infer(self, xs: Sequence[TensorType]) -> TensorType:
        """Type of the result for two or more inputs; raises ShapeError."""
        raise NotImplementedError

    def lower(self, low: Lowering, xs: Sequence[Value], ts: Sequence[TensorType]) -> Value:
        """Append the operators that join `xs`, batches of `ts`, and return the result."""
        raise NotImplementedError


def _square(value: Any) -> Any:
    """One number stands for both sides of a window: `2` is `2x2`."""
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Side = Annotated[int, Field(ge=1, le=65_536)]
Window = Annotated[tuple[Side, Side], BeforeValidator(_square)]
Units = Annotated[int, Field(ge=1, le=16_777_216)]


def image_type(layer: str, x: TensorType) -> tuple[int, int, int]:
    """Channels, height and width of `x`, or ShapeError where it is no image."""
    if x.dtype != "float32" or len(x.shape) != 3:
        raise ShapeError(
            f"`{layer}` needs an image `[channels, height, width]`, but `{x}` arrives",
            "`reshape(channels, height, width)` before it makes an image of it" if len(x.shape) != 3 else None,
        )
    channels, height, width = x.shape
    return channels, height, width
