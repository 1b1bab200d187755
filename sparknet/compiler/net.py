"""A net between the passes: a flat list of layers, each naming the values it reads, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

from sparknet.compiler.choices import Choices
from sparknet.compiler.layers import Join, Layer, ParameterSpec
from sparknet.compiler.sections import DataSection, PredictSection, TrainSection
from sparknet.compiler.types import TensorType
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Label
from sparknet.grammar.source import Source

ValueId = str
"""Name of an input, or of the layer that computes the value."""


OutputKind = Literal["class", "float", "bool", "like"]


@dataclass(frozen=True)
class NetInput:
    """One input: `input image: float[1, 8, 8]`."""

    name: str
    type: TensorType
    label: Label


@dataclass(frozen=True)
class BlockUse:
    """One expansion of a block: `number` differs for each, also where a `repeat` makes several from one `label`."""

    number: int
    label: Label
    text: str
    """What was written, as `text` of a layer."""


@dataclass(frozen=True)
class LayerUse:
    """One layer at its place in the net. `name` is unique and names its result.

    `text` is what was written, the values in place of lets and parameters of blocks: `conv(64, 3x3)`.

    `labels[0]` is where it is written; the others are the uses of the blocks that it stands in, innermost first.
    """

    name: str
    text: str
    layer: Layer | Join
    inputs: tuple[ValueId, ...]
    labels: tuple[Label, ...]
    size_label: Label
    """Where a layer tuple says the size that arrives; for other layers the layer itself."""
    blocks: tuple[BlockUse, ...] = ()
    """The blocks that it stands in, outermost first."""


@dataclass(frozen=True)
class NetOutput:
    """One output: `kind` decides the loss and what inference gives; each row of its value has `shape`."""

    name: str
    kind: OutputKind
    shape: tuple[int, ...]
    value: ValueId
    label: Label
    like: ValueId | None = None
    """The input that an output of kind `like` reconstructs, which is its target."""
    code: ValueId | None = None
    """What the `encoder` of an output of kind `like` gives, where the net has one."""

    @property
    def type(self) -> str:
        """As it is declared: `class[10]`, `like image`."""
        return f"like {self.like}" if self.like else f"{self.kind}[{self.size}]"

    @property
    def size(self) -> int:
        """Numbers in a row."""
        return prod(self.shape)


@dataclass(frozen=True)
class Preprocessing:
    """The arithmetic of a binding, `column("pixels") / 16`, to be compiled in front of the input `port`."""

    port: str
    expression: syntax.Expr
    axis: int | None = None
    """As in `Binding`."""


@dataclass(frozen=True)
class ElaboratedNet:
    """A net with lets, blocks and repeats resolved, and its checked sections."""

    name: str
    label: Label
    """Where its name is written."""
    source: Source
    inputs: tuple[NetInput, ...]
    layers: tuple[LayerUse, ...]
    outputs: tuple[NetOutput, ...]
    preprocessing: tuple[Preprocessing, ...]
    lets: dict[str, float]
    """The numbers that `preprocessing` may name."""
    data: DataSection | None
    train: TrainSection
    predict: PredictSection = field(default_factory=PredictSection)
    choices: Choices = field(default_factory=Choices)
    """What a search may change; all else has the defaults of it."""

    @property
    def weighs_rows(self) -> bool:
        """Whether each row of the training data has a weight."""
        return self.data is not None and self.data.weighs


@dataclass(frozen=True)
class TypedNet:
    """A net with a type on every value and a name for every parameter (`conv1.weight`)."""

    net: ElaboratedNet
    types: dict[ValueId, TensorType]
    parameters: dict[ValueId, tuple[ParameterSpec, ...]]
    """For each layer, the tensors that it keeps, their names as the layer itself calls them."""
