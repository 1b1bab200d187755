"""The `train` section in one line, as people read it, and its settings as they are written in a file."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from sparknet.compiler.sections import TrainSection
from sparknet.compiler.stopping import Patience
from sparknet.grammar.spell import number

_SAID_IF_GIVEN = (
    "loss",
    "weights",
    "class_weights",
    "metrics",
    "clip",
    "sync",
    "moments",
    "exchange",
    "augment",
    "balance",
    "early_stop",
    "checkpoint",
    "engine",
)
_LONGEST = 80
"""Characters of a setting; a longer one, such as the weights of many classes, is only named."""


def describe_train(train: TrainSection) -> str:
    """What the section says, most defaults left out: `adam, 10 epochs, batch 32, seed 0`."""
    length, unit = train.length
    more = f" x {train.accumulate}" if train.accumulate > 1 else ""
    parts = [spelled(train.optimizer), count(length, unit[:-1]), f"batch {train.batch}{more}", f"seed {train.seed}"]
    if train.schedule:
        parts.insert(1, " then ".join(map(spelled, train.schedule)))
    for key in _SAID_IF_GIVEN:
        value = getattr(train, key)
        if value != TrainSection.model_fields[key].get_default(call_default_factory=True):
            each = [(f"{key} {name}", v) for name, v in value.items()] if isinstance(value, Mapping) else [(key, value)]
            parts.extend(f"{name} {text}" if len(text := spelled(v)) <= _LONGEST else name for name, v in each)
    return ", ".join(parts)


def count(number: int, what: str) -> str:
    """`1 round`, `1,797 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def spelled(value: object) -> str:
    """A value of a section as it is written in a file, defaults left out: `adam(lr: 0.01)`, `[flip, shift(2)]`."""
    if isinstance(value, BaseModel):
        return _call(value)
    if value is None or (isinstance(value, tuple | Mapping) and not value):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return number(int(value) if value.is_integer() and value < 1e15 else value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(spelled, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {spelled(each)}' for name, each in value.items())}}}"
    return str(value)


def _call(setting: BaseModel) -> str:
    """What there has to be stands in its place, and so do the rounds of `patience`; the rest has its name."""
    name: str = getattr(setting, "name", "")
    arguments: list[str] = []
    for key, field in type(setting).model_fields.items():
        value = getattr(setting, key)
        if field.is_required() or (isinstance(setting, Patience) and key == "rounds"):
            arguments.append(spelled(value))
        elif value != field.get_default(call_default_factory=True):
            arguments.append(f"{key}: {spelled(value)}")
    return f"{name}({', '.join(arguments)})" if arguments else name
