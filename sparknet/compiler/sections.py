"""What the sections may say: one frozen pydantic model for each thing that can be written.

Field order is the order of positional arguments; `extra="forbid"` makes an unknown key an error. The elaborator
(`sparknet.compiler.elaborate`) fills these models and maps their errors back to the characters of the file.
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field, field_validator

from sparknet.compiler.augmentations import AnyAugmentation
from sparknet.compiler.criteria import Loss
from sparknet.compiler.encoders import AnyEncoder
from sparknet.compiler.exchange import AverageMoments, Moments, Precision
from sparknet.compiler.metrics import AnyMetric
from sparknet.compiler.optimizers import Adam, AnyOptimizer, Clip
from sparknet.compiler.phases import Unit
from sparknet.compiler.schedules import Schedule
from sparknet.compiler.sources import DataSink, DataSource, Setting
from sparknet.compiler.stopping import Patience
from sparknet.compiler.types import TensorType
from sparknet.grammar.diagnostics import Label

# ----- synchronisation of workers -----


class AverageSync(Setting):
    """Local SGD: every worker takes `every` steps on its own rows, then the weights are averaged (SparkNet, 2016)."""

    name: ClassVar[str] = "average"
    every: int = Field(50, ge=1, le=1_000_000)
    after: int = Field(0, ge=0, le=10**12)
    """So many steps are taken as with `step` before, which is post-local SGD (Lin et al., 2020, arXiv:1808.07217)."""


class OuterSync(Setting):
    """DiLoCo: the averaged change of a round is the gradient of an outer Nesterov momentum (arXiv:2311.08105).

    `m = momentum * m + (start - mean); weights = start - lr * (momentum * m + (start - mean))`.
    """

    name: ClassVar[str] = "outer"
    lr: float = Field(0.7, gt=0, le=10)
    momentum: float = Field(0.9, ge=0, lt=1)
    every: int = Field(100, ge=1, le=1_000_000)


class StepSync(Setting):
    """The gradients of all workers are averaged in every step, which is then that of one batch as large as all."""

    name: ClassVar[str] = "step"
    every: ClassVar[int] = 50
    """Steps that are scored together."""


Sync = AverageSync | OuterSync | StepSync
SYNCS: dict[str, type[Sync]] = {sync.name: sync for sync in (AverageSync, OuterSync, StepSync)}


# ----- checkpoints -----


class EveryRounds(Setting):
    """A checkpoint after every so many rounds."""

    name: ClassVar[str] = "rounds"
    every: int = Field(ge=1, le=1_000_000)


class EveryMinutes(Setting):
    """A checkpoint after the first round that ends so many minutes after the last one."""

    name: ClassVar[str] = "minutes"
    every: float = Field(gt=0, le=1_000_000)


Checkpointing = EveryRounds | EveryMinutes
CHECKPOINTS: dict[str, type[Checkpointing]] = {c.name: c for c in (EveryRounds, EveryMinutes)}


# ----- engines -----

EngineName = Literal["onnxruntime", "onnxruntime-training"]
"""What runs the training steps: stock ONNX Runtime, or the package that has gradients of its own."""

# ----- the sections -----

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

SUPPLY_KEYS = ("source", *SPLITS)
"""Keys of `data` whose values are sources."""
ROW_WEIGHT = "row_weight"
"""The key of `data` that says what each row counts in the training loss, and the input of the step graph for it."""
ROW_WEIGHT_TYPE = TensorType("float32", ())
SOURCE_KEYS = ("source", "split", *SPLITS)
"""Keys of `data` that say where rows come from."""
DATA_KEYS = (*SOURCE_KEYS, ROW_WEIGHT)
"""Keys of `data` that no input or output can have."""


class Binding(Setting):
    """The columns that feed an input or an output. The arithmetic around them is compiled into the graphs."""

    port: str
    columns: tuple[str, ...]
    label: Label
    """Where the columns are named, for messages about the data."""
    patterns: bool = False
    """Whether `*` and `?` in the names stand for other characters."""
    encoder: AnyEncoder | None = None
    """What becomes of the cells of the column; None where they are numbers."""
    axis: int | None = None
    """Where the numbers are standardized, the axis along which each place has a mean and a deviation of its own."""

    def describe(self) -> str:
        """The columns in a few words."""
        return f"column{'s' * (len(self.columns) > 1 or self.patterns)} {', '.join(map(repr, self.columns))}"


class Supply(Setting):
    """A source, where the file names it, and the shares of its rows that each split gets; they sum to 1.

    The source is None where a program hands the rows over.
    """

    source: DataSource | None
    label: Label
    split: dict[SplitName, float]

    @property
    def named(self) -> Label | None:
        """Where the file names the source that is read; None where a program hands the rows over."""
        return None if self.source is None else self.label

    @field_validator("split")
    @classmethod
    def _shares(cls, split: dict[SplitName, float]) -> dict[SplitName, float]:
        if any(not 0 < share <= 1 for share in split.values()) or abs(sum(split.values()) - 1) > 1e-6:
            raise ValueError("shares must be above 0 and sum to 1")
        return split


class DataSection(Setting):
    """`data { ... }`."""

    supplies: dict[str, Supply]
    """By the key that names each: `source`, which is then alone, or `train`, `validation` and `test`."""
    bindings: tuple[Binding, ...]

    @property
    def weighs(self) -> bool:
        """Whether rows have weights."""
        return any(binding.port == ROW_WEIGHT for binding in self.bindings)

    def describe(self) -> str:
        """The section in one line."""
        sources = [
            f"{'' if key == 'source' else key + ' '}{supply.source or 'the rows of a program'}"
            for key, supply in self.supplies.items()
        ]
        columns = ", ".join(f"{b.port} from {b.describe()}" for b in self.bindings)
        return f"{', '.join(sources)}: {columns}"


class TrainSection(Setting):
    """`train { ... }`; every key has a default, so the section may be left out."""

    optimizer: AnyOptimizer = Adam()
    schedule: tuple[Schedule, ...] = ()
    """Phases of the learning rate, the optimizer's `lr` the whole time where there are none."""
    epochs: int = Field(10, ge=1, le=1_000_000)
    steps: int | None = Field(None, ge=1, le=10**12)
    """The length of the run in place of `epochs`: steps that every worker takes."""
    batch: int = Field(32, ge=1, le=1_000_000)
    accumulate: int = Field(1, ge=1, le=10_000)
    """Batches whose gradients make one step."""
    seed: int = Field(0, ge=0, lt=2**31)
    workers: int | None = Field(None, ge=1, le=10_000)
    """Workers that train side by side; None takes one for each task slot."""
    sync: Sync = AverageSync()
    moments: Moments = AverageMoments()
    """What becomes of the optimizer's state when the weights of several workers are averaged."""
    exchange: Precision = "float32"
    """The numbers in which the changes of several workers travel."""
    loss: dict[str, Loss] = Field(default_factory=dict)
    """The loss of an output, by its name; one left out takes that of its kind."""
    weights: dict[str, float] = Field(default_factory=dict)
    """What the loss of an output counts in the sum; 1 where left out."""
    class_weights: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """What each class of an output counts; 1 where left out."""
    metrics: dict[str, tuple[AnyMetric, ...]] = Field(default_factory=dict)
    """What is measured of an output, by its name; one left out is measured by the metric of its kind."""
    balance: str | None = None
    """The output whose classes come equally often among the examples of every worker."""
    augment: dict[str, tuple[AnyAugmentation, ...]] = Field(default_factory=dict)
    """What may change the images of a training step, by the name of the input."""
    clip: Clip | None = None
    """How the gradient is kept small before the optimizer sees it."""
    early_stop: Patience | None = None
    """When the run ends before its time."""
    checkpoint: Checkpointing | None = None
    """When what a run has reached is written down, so that it can go on from there."""
    engine: EngineName = "onnxruntime"

    @property
    def step_rows(self) -> int:
        """Rows that a worker takes for a step."""
        return self.batch * self.accumulate

    @property
    def length(self) -> tuple[int, Unit]:
        """How long the run is."""
        return (self.epochs, "epochs") if self.steps is None else (self.steps, "steps")


class PredictSection(Setting):
    """`predict { ... }`: what is scored unless the command line says otherwise, and where the scores go."""

    input: DataSource | None = None
    output: DataSink | None = None
    keep: tuple[str, ...] | None = None
    """Columns of the input that stand beside the scores; None keeps all."""

    @field_validator("keep", mode="before")
    @classmethod
    def _names(cls, keep: object) -> object:
        if not isinstance(keep, tuple) or not all(isinstance(name, str) for name in keep):
            raise ValueError('must be a list of columns, such as `["id", "name"]`')
        return keep
