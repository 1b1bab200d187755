"""Recurrent layers, with the equations, parameter names and shapes of PyTorch, so that its weights fit as they are.

Inference and evaluation use ONNX's own `RNN`, `LSTM` and `GRU`. A training graph runs the same equations as a `Scan`,
whose gradient keeps what it needs.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from sparknet.compiler.graph import BATCH, GraphBuilder, Value
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, Units, Weighted, sequence_type
from sparknet.compiler.layers.variable import last_step
from sparknet.compiler.random import keep_mask
from sparknet.compiler.types import TensorType

_SALTS = 2**32
"""Salts of the masks inside a layer lie this far apart, further than those of any two layers."""
_FEW = 4
"""Features that are so many times fewer than the units are few."""


class _Recurrent(Weighted):
    """A layer that goes through a sequence step by step: `lstm(100, return: sequence, bidirectional: true)`.

    Behind the end of a shorter row, states are zeros: so the way back begins where the row ends, and no number grows
    there.
    """

    takes_variable: ClassVar[bool] = True
    operator: ClassVar[str]
    gates: ClassVar[tuple[int, ...]]
    """Where each of ONNX's gates is among PyTorch's."""
    states: ClassVar[int] = 1

    units: Units
    activation: Literal["tanh", "relu"] = "tanh"
    returns: Literal["last", "sequence"] = Field("last", alias="return")
    bidirectional: bool = False
    layers: Annotated[int, Field(ge=1, le=64)] = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    bias: bool = True

    @field_validator("dropout")
    @classmethod
    def _between_layers(cls, rate: float, info: ValidationInfo) -> float:
        if rate and info.data.get("layers") == 1:
            raise ValueError("acts between stacked layers: write `layers: 2` too, or `dropout` as a layer of its own")
        return rate

    def infer(self, x: TensorType) -> TensorType:
        """`[time, features]` to `[units]`, or `[time, units]` for `return: sequence`; two directions double `units`."""
        sequence_type(self.name, x)
        return x.steps_of(self._width) if self.returns == "sequence" else TensorType("float32", (self._width,))

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """As in PyTorch: `weight_ih_l0` [gates * units, features], `weight_hh_l0` [gates * units, units], two biases.

        `l1` and on for stacked layers, `_reverse` behind the names of the other direction. Uniform in
        +-1 / sqrt(units), also as in PyTorch.
        """
        rows, specs = len(self.gates) * self.units, []
        for level in range(self.layers):
            features = self._width if level else x.shape[1]
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, features), "weight_hh": (rows, self.units)}
            if self.bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            specs += [
                ParameterSpec(f"{name}_l{level}{way}", shape, "units", self.units, self.units)
                for way in self._ways
                for name, shape in shapes.items()
            ]
        return tuple(specs)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """Level by level, time first in between."""
        g, features = low.graph, t.shape[1]
        x = g.op("Transpose", x, perm=[1, 0, 2])
        last = ""
        for level in range(self.layers):
            if level and self.dropout and low.seed is not None:
                x = g.op("Mul", x, keep_mask(g, x, low.seed, low.salt + level * _SALTS, self.dropout))
            if low.seed is None:
                x, last = self._native(low, x, t, level)
            else:
                rows = g.op("Reshape", x, g.ints(-1, features))
                all_steps = self.returns == "sequence" or level < self.layers - 1
                ways = [self._loop(low, rows, features, t, f"_l{level}{way}", all_steps) for way in self._ways]
                if all_steps:
                    x = self._side_by_side(g, [every for every, _ in ways], axis=2)
                last = self._side_by_side(g, [end for _, end in ways], axis=1)
            features = self._width
        return last if self.returns == "last" else g.op("Transpose", x, perm=[1, 0, 2])

    @property
    def _ways(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def _width(self) -> int:
        return self.units * len(self._ways)

    # ----- training: a loop -----

    def _loop(
        self, low: Lowering, rows: Value, features: int, t: TensorType, suffix: str, all_steps: bool
    ) -> tuple[Value, Value]:
        """One level in one direction: the states of `all_steps` [time, N, units], and the one where it ended.

        The products with the inputs of all steps are one before the loop, unless the `features` are few: then each step
        takes its own, which costs less than to write down the results of all and to read them again.
        """
        g, width, lengths = low.graph, len(self.gates) * self.units, low.lengths(t)
        backwards = suffix.endswith("_reverse")
        ends_inside = lengths is not None and not backwards
        all_steps = all_steps or ends_inside
        weight = low.parameters[f"weight_hh{suffix}"]
        biases = [low.parameters[f"bias_{side}{suffix}"] for side in ("ih", "hh")] if self.bias else []
        before, inside = self._place_biases(g, biases)
        few = features * _FEW <= self.units
        weights_of_x = [low.parameters[f"weight_ih{suffix}"], *before]
        if few:
            x, weight_of_x = _with_bias(g, g.op("Reshape", rows, g.ints(t.shape[0], -1, features)), *weights_of_x)
        else:
            x = g.op("Reshape", g.op("Gemm", rows, *weights_of_x, transB=1), g.ints(t.shape[0], -1, width))
        batch = g.op("Shape", x, start=1, end=2)
        start = g.op("Expand", g.constant(0.0), g.op("Concat", batch, g.ints(self.units), axis=0))

        body = g.nested(f"{self.name}{suffix}")
        shape = (BATCH, self.units)
        states = [body.input(body.fresh(f"net/state{k}"), g.dtype, shape) for k in range(self.states)]
        projected = body.input(body.fresh("net/x"), g.dtype, (BATCH, features + len(before) if few else width))
        if few:
            projected = body.op("Gemm", projected, weight_of_x, transB=1)
        new = self._step(body, projected, weight, inside, states)
        sequences = [x]
        if lengths is not None:
            sequences.append(_steps_that_count(g, lengths, t.shape[0]))
            counts = body.input(body.fresh("net/counts"), "bool", (BATCH, 1))
            counts = body.op("Cast", counts, to=g.onnx_type(g.dtype))
            new = tuple(body.op("Mul", state, counts) for state in new)
        for state in new:
            body.result(state, shape)
        if all_steps:
            body.result(new[0], shape)
        ways = {"scan_input_directions": [int(backwards)] * len(sequences)}
        ways |= {"scan_output_directions": [int(backwards)]} if all_steps else {}
        starts = [start] * self.states
        count = len(sequences)
        outputs = g.op_n("Scan", len(body.outputs), *starts, *sequences, body=body, num_scan_inputs=count, **ways)
        last = last_step(low, outputs[-1], t.steps_of(self.units), axis=0) if ends_inside else outputs[0]
        return outputs[-1], last

    def _place_biases(self, g: GraphBuilder, biases: list[Value]) -> tuple[list[Value], list[Value]]:
        """Biases to add before the loop, and in every step; as their sum before it where the equations allow."""
        return ([g.op("Add", *biases)] if biases else []), []

    def _step(
        self, g: GraphBuilder, x: Value, weight: Value, bias: list[Value], states: list[Value]
    ) -> tuple[Value, ...]:
        """New states, the one to be given first, from `x`, the product with the step's input [N, gates * units]."""
        raise NotImplementedError

    @staticmethod
    def _side_by_side(g: GraphBuilder, values: list[Value], axis: int) -> Value:
        return g.op("Concat", *values, axis=axis) if len(values) > 1 else values[0]

    # ----- inference: ONNX's own operator -----

    def _native(self, low: Lowering, x: Value, t: TensorType, level: int) -> tuple[Value, Value]:
        """As `_loop`, but for both directions: all states [time, N, width], and those where each ended [N, width]."""
        g = low.graph
        weights = [self._stacked(low, [f"weight_{side}_l{level}"]) for side in ("ih", "hh")]
        if self.bias:
            weights.append(self._stacked(low, [f"bias_ih_l{level}", f"bias_hh_l{level}"]))
        lengths = low.lengths(t)
        if lengths is not None:
            weights += [*[""] * (not self.bias), g.op("Cast", lengths, to=g.onnx_type("int32"))]
        direction = "bidirectional" if self.bidirectional else "forward"
        options = self._options() | {"hidden_size": self.units, "direction": direction}
        every, last = g.op_n(self.operator, 2, x, *weights, **options)
        width = g.ints(0, 0, self._width)
        every = g.op("Reshape", g.op("Transpose", every, perm=[0, 2, 1, 3]), width)
        return every, g.op("Reshape", g.op("Transpose", last, perm=[1, 0, 2]), g.ints(0, self._width))

    def _stacked(self, low: Lowering, names: list[str]) -> Value:
        """Parameters of both directions [directions, ...], their gates in ONNX's order."""
        g, ways = low.graph, []
        for way in self._ways:
            parts: list[Value] = []
            for name in names:
                gates = g.op_n(
                    "Split", len(self.gates), low.parameters[name + way], axis=0, num_outputs=len(self.gates)
                )
                parts += [gates[k] for k in self.gates]
            joined = g.op("Concat", *parts, axis=0)
            ways.append(g.op("Unsqueeze", joined, g.ints(0)))
        return self._side_by_side(g, ways, axis=0)

    def _options(self) -> dict[str, Any]:
        return {}


def _with_bias(g: GraphBuilder, x: Value, weight: Value, bias: Value = "") -> tuple[Value, Value]:
    """`x` [time, N, features] with ones behind its features, and the weight with the bias behind its columns."""
    if not bias:
        return x, weight
    shape = g.op("Concat", g.op("Shape", x, start=0, end=2), g.ints(1), axis=0)
    ones = g.op("Expand", g.constant(1.0), shape)
    return g.op("Concat", x, ones, axis=2), g.op("Concat", weight, g.op("Unsqueeze", bias, g.ints(1)), axis=1)


def _steps_that_count(g: GraphBuilder, lengths: Value, time: int) -> Value:
    """bool[time, N, 1]."""
    steps = g.op("Unsqueeze", g.ints(*range(time)), g.ints(1))
    return g.op("Unsqueeze", g.op("Less", steps, lengths), g.ints(2))


class Rnn(_Recurrent):
    """`rnn(units, activation)`: `h' = activation(W x + b + V h + c)` (Elman, 1990)."""

    name: ClassVar[str] = "rnn"
    operator: ClassVar[str] = "RNN"
    gates: ClassVar[tuple[int, ...]] = (0,)

    def _step(
        self, g: GraphBuilder, x: Value, weight: Value, bias: list[Value], states: list[Value]
    ) -> tuple[Value, ...]:
        return (g.op(self.activation.capitalize(), g.op("Gemm", states[0], weight, x, transB=1)),)

    def _options(self) -> dict[str, Any]:
        return {"activations": [self.activation.capitalize()] * len(self._ways)}


class Lstm(_Recurrent):
    """`lstm(units)`: gates `i, f, g, o`; `c' = f c + i g`, `h' = o tanh(c')` (Hochreiter & Schmidhuber, 1997)."""

    name: ClassVar[str] = "lstm"
    operator: ClassVar[str] = "LSTM"
    gates: ClassVar[tuple[int, ...]] = (0, 3, 1, 2)
    states: ClassVar[int] = 2

    activation: Literal["tanh"] = "tanh"

    def _step(
        self, g: GraphBuilder, x: Value, weight: Value, bias: list[Value], states: list[Value]
    ) -> tuple[Value, ...]:
        h, c = states
        i, f, new, o = g.op_n("Split", 4, g.op("Gemm", h, weight, x, transB=1), axis=1, num_outputs=4)
        i, f, new, o = g.op("Sigmoid", i), g.op("Sigmoid", f), g.op("Tanh", new), g.op("Sigmoid", o)
        c = g.op("Add", g.op("Mul", f, c), g.op("Mul", i, new))
        return g.op("Mul", o, g.op("Tanh", c)), c


class Gru(_Recurrent):
    """`gru(units)`: gates `r, z, n`; `n = tanh(W x + b + r (V h + c))`, `h' = n + z (h - n)` (Cho et al., 2014).

    The reset gate acts after the product, as in PyTorch and cuDNN.
    """

    name: ClassVar[str] = "gru"
    operator: ClassVar[str] = "GRU"
    gates: ClassVar[tuple[int, ...]] = (1, 0, 2)

    activation: Literal["tanh"] = "tanh"

    def _place_biases(self, g: GraphBuilder, biases: list[Value]) -> tuple[list[Value], list[Value]]:
        return biases[:1], biases[1:]

    def _step(
        self, g: GraphBuilder, x: Value, weight: Value, bias: list[Value], states: list[Value]
    ) -> tuple[Value, ...]:
        (h,) = states
        x_gates = g.op_n("Split", 3, x, axis=1, num_outputs=3)
        h_gates = g.op_n("Split", 3, g.op("Gemm", h, weight, *bias, transB=1), axis=1, num_outputs=3)
        r, z = (g.op("Sigmoid", g.op("Add", a, b)) for a, b in zip(x_gates[:2], h_gates[:2], strict=True))
        new = g.op("Tanh", g.op("Add", x_gates[2], g.op("Mul", r, h_gates[2])))
        return (g.op("Add", new, g.op("Mul", z, g.op("Sub", h, new))),)

    def _options(self) -> dict[str, Any]:
        return {"linear_before_reset": 1}


LAYERS: tuple[type[Layer], ...] = (Rnn, Lstm, Gru)
