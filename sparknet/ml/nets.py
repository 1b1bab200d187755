"""The nets of the stages: params and what the data says, to the tree of a `.net` file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

from sparknet.compiler.sections import ROW_WEIGHT
from sparknet.grammar import construct as c
from sparknet.grammar import syntax
from sparknet.ml.origins import Given, layer_origins
from sparknet.ml.schema import Features
from sparknet.runtime.problems import problem

if TYPE_CHECKING:
    from pyspark.ml.param import Param

    from sparknet.ml.params.training import TrainingParams

DEFAULT_LAYERS = "conv({filters}, 3x3, {activation}) -> conv({more}, 3x3, {activation}) -> maxpool(2) -> flatten -> \
dense(128, {activation}) -> dropout(0.3)"
"""What a convolutional stage is made of unless its `layers` say otherwise."""


@dataclass(frozen=True)
class Task:
    """What a net is to give: one of so many classes, or where there are none one number."""

    classes: int | None

    def output(self) -> syntax.Output:
        """The output of the net."""
        return c.output("label", "float", 1) if self.classes is None else c.output("label", "class", self.classes)


# ----- layers -----


def layer_lines(item: str | tuple[int | str, ...], filters: int, activation: str, name: str) -> list[syntax.Statement]:
    """A layer as a stage's param has it, as statements; raises SparkNetError for a text that is none.

    `name` is what messages call it, such as `layers[2]`.
    """
    return list(c.lines(item, name)) if isinstance(item, str) else [c.chain(filled(item, filters, activation))]


def filled(layer: tuple[int | str, ...], filters: int, activation: str) -> tuple[int | str, ...]:
    """A layer tuple with the filters and the activation that it leaves out."""
    *sizes, last = layer if isinstance(layer[-1], str) else (*layer, activation)
    return (*sizes, *([filters] if len(sizes) == 3 else []), last)


def head_size(body: Sequence[syntax.Statement]) -> int | None:
    """How many numbers a net's last layer gives if it is a softmax of a size that it says: then it is the output."""
    last = body[-1] if body else None
    if not isinstance(last, syntax.Chain):
        return None
    step = last.steps[-1]
    if isinstance(step, syntax.LayerTuple):
        softmax = len(step.items) == 5 and _text(step.items[4]).lower() == "softmax"
        return _number(step.items[3]) if softmax else None
    if step.name.text == "softmax" and len(last.steps) > 1:
        step = last.steps[-2]
    elif "softmax" not in map(_text, _values(step)):
        return None
    return _units(step) if isinstance(step, syntax.Call) and step.name.text == "dense" else None


def _values(call: syntax.Call) -> list[syntax.Expr]:
    return [argument.value for argument in call.arguments or ()]


def _units(dense: syntax.Call) -> int | None:
    return _number(_values(dense)[0]) if dense.arguments else None


def _number(value: syntax.Expr) -> int | None:
    return value.value if isinstance(value, syntax.Number) and isinstance(value.value, int) else None


def _text(value: syntax.Expr) -> str:
    if isinstance(value, syntax.Name):
        return value.text
    return value.value if isinstance(value, syntax.String) else ""


# ----- images -----


def image_shape(found: Features, asked: Sequence[int] | None, layers: Any, name: str) -> tuple[int, int, int]:
    """Channels, height and width of images of `found.size` numbers in column `name`; raises SparkNetError.

    What `inputShape` asks for, what the column says, what a first layer tuple says of the side, else a square in one,
    three or four channels, whichever fits first.
    """
    if asked is not None:
        shape = tuple(asked)
        if len(shape) != 3 or min(shape) < 1:
            message = f"`inputShape` must be channels, height and width, found {list(shape)}"
            raise problem("M0001", message, helps=["write for instance `inputShape=[3, 32, 32]`"])
        if shape[0] == shape[1] > 4 >= shape[2]:
            message = f"`inputShape` is {list(shape)}, but the channels come first"
            helps = [f"write `inputShape={[shape[2], *shape[:2]]}`"]
            if shape[2] > 1:
                helps.append(f"where they lie last, `ImageFeature(inputShape={list(shape)}, ...)` puts them there")
            raise problem("M0001", message, helps=helps)
        if shape[0] * shape[1] * shape[2] != found.size:
            message = f"`inputShape` is {list(shape)}, but a row of `{name}` has {found.size:,} numbers"
            raise problem("M0002", message, helps=["channels x height x width must be as many"])
        return shape[0], shape[1], shape[2]
    if found.shape is not None and len(found.shape) == 3:
        return found.shape[0], found.shape[1], found.shape[2]
    first = layers[0] if isinstance(layers, list) else None
    if isinstance(first, tuple) and isinstance(first[0], int) and len(first) > 2 and first[1:3] != (1, 1):
        side = first[0]
        if side > 0 and found.size % (side * side) == 0:
            return found.size // (side * side), side, side
        message = (
            f"the first layer takes images with a side of {side}, but a row of `{name}` has {found.size:,} numbers"
        )
        raise problem("M0002", message, helps=["`inputShape=[channels, height, width]` says how the numbers lie"])
    for channels in (1, 3, 4):
        side = isqrt(found.size // channels)
        if side * side * channels == found.size:
            return channels, side, side
    message = f"a row of `{name}` has {found.size:,} numbers, which make no square image in 1, 3 or 4 channels"
    raise problem("M0002", message, helps=["`inputShape=[channels, height, width]` says how the numbers lie"])


def convolutional(
    layers: Sequence[str | tuple[int | str, ...]] | None,
    filters: int,
    activation: str,
    shape: tuple[int, int, int],
    task: Task,
) -> tuple[list[syntax.Statement], list[Given | None]]:
    """The body of a convolutional net, and the params that its statements come from.

    A last layer with a softmax is its output, with the classes that it has.
    """
    given = layers
    if layers is None:
        layers = [DEFAULT_LAYERS.format(filters=filters, more=2 * filters, activation=activation.lower())]
    made = [layer_lines(item, filters, activation, f"layers[{place}]") for place, item in enumerate(layers)]
    origins: list[Given | None] = [None, Given("activation", activation)]
    if given is not None:
        origins = [None, *layer_origins("layers", given, list(map(len, made)))]
    body = [c.input("image", "float", *shape), *(line for lines in made for line in lines)]
    own = head_size(body)
    if task.classes is None or own is None:
        return [*body, *_head(task), task.output()], origins
    if own < task.classes:
        message = f"the last layer gives {own} classes, but the labels are {task.classes}"
        raise problem("M0003", message, helps=[f"give it {task.classes}, or leave it out: the stage adds one"])
    return [*body, Task(own).output()], origins


def _head(task: Task) -> list[syntax.Statement]:
    return [c.chain("flatten", c.layer("dense", task.classes or 1))]


# ----- sections -----


def train_section(stage: TrainingParams, given: Mapping[str, syntax.Expr] | None = None) -> syntax.Section:
    """The `train` section that the params of a stage make; those that are set go before what is `given`."""
    entries: dict[str, Any] = dict(given or {})
    length = "steps" if "steps" in entries and not stage.isSet(stage.maxIter) else "epochs"
    asked: dict[str, tuple[Param[Any], Any]] = {
        "optimizer": (stage.optimizer, c.expr(stage.getOptimizer())),
        "epochs": (stage.maxIter, stage.getMaxIter() if length == "epochs" else None),
        "batch": (stage.blockSize, stage.getBlockSize()),
        "seed": (stage.seed, stage.getSeed()),
        "workers": (stage.numWorkers, stage.getNumWorkers()),
        "schedule": (stage.schedule, _read_value(stage.getSchedule())),
        "loss": (stage.loss, _read_value(stage.getLoss())),
        "clip": (stage.clip, _read_value(stage.getClip())),
        "sync": (stage.sync, _read_value(stage.getSync())),
        "early_stop": (stage.patience, _patience(stage.getPatience(), stage.getTol())),
        "checkpoint": (stage.checkpointInterval, _checkpoint(stage)),
    }
    if length == "epochs":
        entries.pop("steps", None)
    for key, (param, value) in asked.items():
        if value is not None and (stage.isSet(param) or key not in entries):
            entries[key] = value
    rate = stage.getStepSize()
    if rate is not None:
        entries["optimizer"] = _with_rate(entries["optimizer"], rate)
    return c.section("train", **entries)


def _read_value(text: str | None) -> syntax.Expr | None:
    return None if text is None else c.expr(text)


def _patience(rounds: int | None, tol: float) -> syntax.Expr | None:
    return None if rounds is None else c.call("patience", rounds, min_delta=tol)


def _checkpoint(stage: TrainingParams) -> syntax.Expr | None:
    return None if stage.getCheckpointDir() is None else c.call("rounds", stage.getCheckpointInterval())


def _with_rate(value: syntax.Expr, rate: float) -> syntax.Expr:
    """An optimizer with the learning rate that `stepSize` asks for."""
    arguments: tuple[syntax.Argument, ...] = ()
    name = value.text if isinstance(value, syntax.Name) else ""
    if isinstance(value, syntax.Call):
        name, arguments = value.name.text, value.arguments or ()
    if not name or any(argument.key is None or argument.key.text == "lr" for argument in arguments):
        message = f"the optimizer says its learning rate, and `stepSize` is {rate:g}"
        raise problem("M0001", message, helps=["leave `lr` out of the optimizer, or leave out `stepSize`"])
    options = {argument.key.text: argument.value for argument in arguments if argument.key is not None}
    return c.call(name, lr=rate, **options)


def data_section(bindings: Mapping[str, syntax.Expr], validates: bool, weight: str | None = None) -> syntax.Section:
    """The `data` section. Its sources are where the rows would lie if the text were run by `sparknet run`.

    `weight` is the column of what each row counts.
    """
    sources: dict[str, Any] = {"source": c.call("parquet", "train.parquet")}
    shares: dict[str, Any] = {"split": {"train": 1.0}}
    if validates:
        sources = {key: c.call("parquet", f"{key}.parquet") for key in ("train", "validation")}
        shares = {}
    weights = {} if weight is None else {ROW_WEIGHT: column_binding(weight, False)}
    return c.section("data", **sources, **{**bindings, **weights}, **shares)


def column_binding(name: str, standardized: bool) -> syntax.Expr:
    """`column("name")`, or `standardize(column("name"))`."""
    found = c.call("column", name)
    return c.call("standardize", found) if standardized else found


def word_binding(name: str) -> syntax.Expr:
    """`words(column("name"))`."""
    return c.call("words", c.call("column", name))
