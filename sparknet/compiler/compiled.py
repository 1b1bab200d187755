"""What the compiler hands over: graphs, layouts and checked sections, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.engines import check_layers, check_settings
from sparknet.compiler.initializers import draw
from sparknet.compiler.layers import ForeignLayer
from sparknet.compiler.layout import Slot, named_specs, trained_size
from sparknet.compiler.lower import lower_gradient, lower_inference, lower_update
from sparknet.compiler.metrics import Statistic
from sparknet.compiler.net import TypedNet
from sparknet.compiler.outputs import judge, metric_scores
from sparknet.compiler.sections import DataSection, TrainSection
from sparknet.compiler.stopping import Judge
from sparknet.compiler.types import TensorType
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.grammar.source import Source

if TYPE_CHECKING:
    import onnx

_MOST_DRAWN = 40
"""A net of more layers is drawn with its blocks folded in a notebook."""

PortKind = Literal["float", "class", "bool", "token", "length", "weight"]


_COMPILED_IN = frozenset({"optimizer", "clip", "accumulate", "loss", "weights", "class_weights", "metrics"})
"""Keys of the `train` section that the graphs depend on."""


@dataclass(frozen=True)
class Port:
    """A graph input that the data feeds, batch first: `[N, *type.shape]` of `type.dtype`.

    The step and evaluation graphs take the net's inputs and, under the names of its outputs, the targets.
    A `class` target is an int64 index below `classes`, shape `[N]`; a `token` input holds such indices; a `bool` target
    is 0 or 1 for each number. An input whose `type` names `lengths` is followed by a port of that name and of the kind
    `length`: how many steps of each row count, int64[N], from 1 to what its shape says; what stands behind them in the
    row changes nothing.

    Where rows have weights, a port `row_weight` of the kind `weight` comes last among the targets: float32[N], from 0.
    The step graph takes it, the evaluation graph does not.
    """

    name: str
    kind: PortKind
    type: TensorType
    classes: int | None = None
    measures: Port | None = None
    """For lengths, the input that they are of."""


@dataclass(frozen=True)
class Prediction:
    """An output of the inference graph, batch first: `[N, *type.shape]` of `type.dtype`."""

    name: str
    type: TensorType


@dataclass(frozen=True)
class LayerRow:
    """One row of the table of layers: `shape` without the batch, `parameters` trained by this layer."""

    name: str
    text: str
    type: TensorType
    parameters: int


@dataclass(frozen=True)
class CompiledNet:
    """A compiled `.net` file.

    `step` is one training step as one graph: inputs are the ports, then `parameters` float32[P],
    `optimizer_state` float32[S], `learning_rate` float32[], `seed` int64[]; outputs are `loss` float32[] (mean over
    the batch), then each of `statistics` (means likewise, of which `scores` makes metrics), `new_parameters`
    float32[P], `new_optimizer_state` float32[S]. The optimizer changes the trained tensors, which come first in the
    vector; behind them lie the frozen ones, which no step changes, and the buffers (running means), which each step
    sets.

    An output `like` an input has no target: the input, as preprocessed, is what it is compared with.

    `evaluation` takes the ports and `parameters`; gives `loss` and the statistics, dropout and the like switched off.
    """

    name: str
    source: Source
    layers: tuple[LayerRow, ...]
    inputs: tuple[Port, ...]
    targets: tuple[Port, ...]
    predictions: tuple[Prediction, ...]
    metrics: tuple[str, ...]
    statistics: tuple[Statistic, ...]
    parameters: tuple[Slot, ...]
    optimizer_state: tuple[Slot, ...]
    step: onnx.ModelProto
    evaluation: onnx.ModelProto
    typed: TypedNet

    @property
    def models(self) -> dict[str, bytes]:
        """The files of foreign models that `source` names, by the names that it gives them."""
        layers = (use.layer for use in self.typed.net.layers)
        return {layer.model.stored: layer.model.data for layer in layers if isinstance(layer, ForeignLayer)}

    @property
    def data(self) -> DataSection | None:
        """The `data` section, if the file has one."""
        return self.typed.net.data

    @property
    def train(self) -> TrainSection:
        """The `train` section, its defaults filled in."""
        return self.typed.net.train

    @property
    def judge(self) -> Judge:
        """By which score on the validation rows the rounds of a run are compared."""
        return judge(self.typed.net)

    @property
    def statistics_size(self) -> int:
        """How many numbers the statistics hold together."""
        return sum(s.size for s in self.statistics)

    def scores(self, means: Sequence[float]) -> dict[str, float]:
        """The metrics by name, from the statistics as means over all rows, one behind the other."""
        return metric_scores(self.typed.net, means)

    @property
    def parameter_count(self) -> int:
        """Length P of the flat parameter vector."""
        return sum(slot.size for slot in self.parameters)

    @property
    def trained_count(self) -> int:
        """How many of the numbers of the parameter vector, its first ones, the optimizer trains."""
        return trained_size(self.parameters)

    @property
    def optimizer_state_size(self) -> int:
        """Length S of the flat optimizer state."""
        return sum(slot.size for slot in self.optimizer_state)

    def with_train(self, **changes: Any) -> CompiledNet:
        """The same net with other settings of the `train` section that no graph depends on.

        Raises ValueError for a setting that is compiled into the step graph, pydantic's for an impossible value, and
        SparkNetError for an `engine` that cannot train the net.
        """
        compiled_in = sorted(_COMPILED_IN & set(changes))
        if compiled_in:
            raise ValueError(f"`{compiled_in[0]}` is part of the step graph: change it in the .net file")
        train = TrainSection.model_validate({**dict(self.train), **changes})
        typed = replace(self.typed, net=replace(self.typed.net, train=train))
        missing = [*check_settings(train), *check_layers(typed)]
        if missing:
            raise SparkNetError(missing)
        return replace(self, typed=typed)

    def _repr_html_(self) -> str:
        """What a notebook shows: the drawing, blocks folded where there are many layers, and the table of layers."""
        from sparknet.compiler.drawing import draw, to_svg
        from sparknet.compiler.summary import summarize

        table = summarize(self.typed)._repr_html_()
        try:
            drawing = to_svg(draw(self.typed, fold=len(self.layers) > _MOST_DRAWN))
        except SparkNetError:
            return table
        return f"<div>{drawing}{table}</div>"

    def initial_parameters(self, seed: int | None = None) -> NDArray[np.float32]:
        """Fresh parameters, float32[P], drawn from `seed` (by default that of the `train` section).

        Those of foreign models are as their files have them.
        """
        seed = self.train.seed if seed is None else seed
        tensors = [
            (draw(p.initializer, name, p.shape, p.fan_in, p.fan_out, seed) if p.start is None else p.start).ravel()
            for name, p in named_specs(self.typed)
        ]
        return np.concatenate(tensors) if tensors else np.zeros(0, np.float32)

    def initial_optimizer_state(self) -> NDArray[np.float32]:
        """The optimizer's state before the first step, float32[S]."""
        return np.zeros(self.optimizer_state_size, np.float32)

    def gradient(self) -> onnx.ModelProto:
        """The half of a step that sees the data.

        Inputs are the ports, `parameters` float32[P] and `seed` int64[]; outputs are `loss`, the statistics, `gradient`
        float32[trained_count] of the loss, before any clipping, and `untrained` float32[P - trained_count], the rest of
        the parameter vector after the step.
        """
        return lower_gradient(self.typed)

    def update(self) -> onnx.ModelProto:
        """The half of a step that the optimizer makes of a gradient.

        Inputs are `trained` and `gradient` float32[trained_count], `optimizer_state` float32[S] and `learning_rate`
        float32[]; outputs are `new_trained` and `new_optimizer_state`.
        """
        return lower_update(self.typed)

    def inference(self, parameters: NDArray[np.float32], bindings: str | None = None) -> onnx.ModelProto:
        """The inference graph with `parameters` inside, float32[P].

        Takes the inputs and gives `predictions`, by the kind of each output:

        - `class`: `NAME` int64[N], the index of the likeliest class, and `NAME_probability` float32[N, classes];
        - `float`: the numbers `NAME` float32[N, n];
        - `bool`: `NAME` bool[N, n], whether the probability is 0.5 or more, and `NAME_probability` float32[N, n];
        - `like`: the reconstruction `NAME` and `NAME_error` float32[N], its mean squared error in each row; of a net
          with an `encoder` also `NAME_code`, what that gives.

        The metadata of the model hold the `.net` text that it was compiled from, `sparknet.net`, and its digest,
        `sparknet.net.sha256`; and, where they are given, `sparknet.bindings`: what has been learnt of the columns
        that feed the net, as in `bindings.json` of a run.
        """
        model = lower_inference(self.typed, parameters)
        text = self.source.text
        digest = sha256(text.encode()).hexdigest()
        found = {"sparknet.net": text, "sparknet.net.sha256": digest}
        found |= {} if bindings is None else {"sparknet.bindings": bindings}
        for key, value in found.items():
            model.metadata_props.add(key=key, value=value)
        return model
