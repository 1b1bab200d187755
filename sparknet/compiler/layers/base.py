"""What a layer is: its arguments, its shape rule, its parameters and its lowering to ONNX operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from sparknet.compiler.graph import GraphBuilder, Value
from sparknet.compiler.initializers import Initializer
from sparknet.compiler.types import TensorType
from sparknet.grammar.diagnostics import Label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ShapeError(Exception):
    """A layer cannot take what arrives: `message` says why, `help` what to change.

    `place` is what is to blame where that is less than the whole layer.
    """

    def __init__(self, message: str, help: str | None = None, code: str = "E0401", place: Label | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.code = code
        self.place = place


ParameterKind = Literal["trained", "frozen", "buffer"]
"""`trained` by the optimizer; `frozen` at its first value; a `buffer` of which each step computes the new value."""


@dataclass(frozen=True)
class ParameterSpec:
    """One tensor that a layer keeps. `fan_in` and `fan_out` scale its initialisation."""

    name: str
    shape: tuple[int, ...]
    initializer: Initializer
    fan_in: int
    fan_out: int
    kind: ParameterKind = "trained"
    start: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Its first value where that is given, and not drawn."""

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
    buffers: dict[str, Value] = field(default_factory=dict)
    """The new value of each buffer that the layer has computed; a buffer left out stays as it was."""
    ports: Mapping[str, Value] = field(default_factory=dict)
    """What feeds the graph, by name: the lengths of sequences among it."""

    @property
    def training(self) -> bool:
        """Whether the graph is that of a training step."""
        return self.seed is not None

    def lengths(self, t: TensorType) -> Value | None:
        """How many steps of each row of a `t` count, int64[N]; None where all do."""
        return None if t.lengths is None else self.ports[t.lengths]

    def mask(self, t: TensorType) -> Value | None:
        """Which steps of each row of a sequence `t` count, bool[N, time]; None where all do."""
        lengths = self.lengths(t)
        if lengths is None:
            return None
        g = self.graph
        return g.op("Less", g.ints(*range(t.shape[0])), g.op("Unsqueeze", lengths, g.ints(1)))


Penalty = Annotated[float, Field(ge=0, le=1e6)]


class Layer(BaseModel):
    """Base of all layers; a subclass's fields, in order, are the layer's arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str]
    takes_tokens: ClassVar[bool] = False
    """Whether this layer looks up tokens; all others compute with numbers."""
    takes_variable: ClassVar[bool] = False
    """Whether this layer treats each row of a sequence of variable length as if it stood alone at its own length."""

    @property
    def label(self) -> str:
        """The stem of the names that uses of this layer get: `conv` gives `conv1`, `conv2`."""
        return self.name

    def infer(self, x: TensorType) -> TensorType:
        """Type of the result for an input of type `x`; raises ShapeError."""
        raise NotImplementedError

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """The tensors that the layer keeps, in the order in which those of a kind lie in the flat vector."""
        return ()

    def tensors(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`parameters`, as the options that all layers share would have them."""
        return self.parameters(x)

    def multiply_adds(self, x: TensorType) -> int:
        """Products of numbers with weights, for one row of data: each weight counts once for every place of its use.

        Kernels, of three axes and more, are used at every place of the result `[channels, places...]`; matrices at
        every step of a sequence `[time, features]`, and once on everything else. Tokens look weights up and multiply
        nothing.
        """
        if x.dtype != "float32":
            return 0
        steps = x.shape[0] if len(x.shape) == 2 else 1
        places = prod(self.infer(x).shape[1:])
        return sum(p.size * (places if len(p.shape) > 2 else steps) for p in self.tensors(x) if len(p.shape) > 1)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """Append the operators that compute this layer on `x`, a batch of `t`, and return the result."""
        raise NotImplementedError


class Trainable(Layer):
    """Base of the layers that keep trained tensors: `frozen: true` takes them from the optimizer."""

    keyword_only: ClassVar[frozenset[str]] = frozenset({"frozen"})
    """Arguments that are written by their names alone, behind those of the layer itself."""

    frozen: bool = False

    def tensors(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """As `Layer.tensors`, the trained ones frozen where this layer is."""
        specs = self.parameters(x)
        return tuple(replace(p, kind="frozen") if self.frozen and p.kind == "trained" else p for p in specs)


class Weighted(Trainable):
    """Base of the layers with weights: how these start (`init`) and what their size costs in training (`l1`, `l2`).

    All three concern the weights proper, the tensors of two axes and more, and leave biases as they are. The penalty,
    `l1 * sum |w| + l2 * sum w^2`, is part of the training loss only.
    """

    keyword_only: ClassVar[frozenset[str]] = Trainable.keyword_only | {"init", "l1", "l2"}

    init: Literal["he", "glorot", "normal", "uniform", "zeros", "orthogonal"] | None = None
    l1: Penalty = 0.0
    l2: Penalty = 0.0

    def tensors(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """As `Trainable.tensors`, with the initializer that was asked for."""
        specs = super().tensors(x)
        init = self.init
        return tuple(replace(p, initializer=init) if init and len(p.shape) > 1 else p for p in specs)

    def penalty(self, low: Lowering, specs: Sequence[ParameterSpec]) -> list[Value]:
        """The terms that this layer adds to the training loss, scalars."""
        g = low.graph
        weights = [low.parameters[p.name] for p in specs if p.kind == "trained" and len(p.shape) > 1]
        return [
            g.op("Mul", g.op("ReduceSum", g.op(op, w, *with_itself * (w,)), keepdims=0), g.constant(factor))
            for op, with_itself, factor in (("Abs", 0, self.l1), ("Mul", 1, self.l2))
            for w in weights
            if factor
        ]


class Join(BaseModel):
    """Base of the layers that join several values; its fields are options, always written with their names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str]
    takes_variable: ClassVar[bool] = True

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


Side = Annotated[int, Field(ge=1, le=65_536)]
Units = Annotated[int, Field(ge=1, le=16_777_216)]


def sequence_type(layer: str, x: TensorType) -> tuple[int, int]:
    """Steps and features of `x`, or ShapeError where it is no sequence."""
    if x.dtype != "float32" or len(x.shape) != 2:
        raise ShapeError(
            f"`{layer}` needs a sequence `[time, features]`, but `{x}` arrives",
            "a recurrent layer before it keeps all steps with `return: sequence`; `reshape(time, features)` makes a "
            "sequence of other values",
        )
    time, features = x.shape
    return time, features
