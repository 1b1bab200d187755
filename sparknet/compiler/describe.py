"""The `train` section in one line, as people read it."""

from __future__ import annotations

from sparknet.compiler.exchange import AverageMoments, Moments
from sparknet.compiler.optimizers import AnyOptimizer
from sparknet.compiler.schedules import Schedule
from sparknet.compiler.sections import AverageSync, Sync, TrainSection


def describe_train(train: TrainSection) -> str:
    """What the section says, most defaults left out: `adam, 10 epochs, batch 32, seed 0`."""
    number, unit = train.length
    more = f" x {train.accumulate}" if train.accumulate > 1 else ""
    parts = [_call(train.optimizer), count(number, unit[:-1]), f"batch {train.batch}{more}", f"seed {train.seed}"]
    if train.schedule:
        parts.insert(1, " then ".join(map(_call, train.schedule)))
    if train.sync != AverageSync():
        parts.append(f"sync {_call(train.sync)}")
    if train.moments != AverageMoments():
        parts.append(f"moments {_call(train.moments)}")
    if train.exchange != "float32":
        parts.append(f"exchange {train.exchange}")
    return ", ".join(parts)


def count(number: int, what: str) -> str:
    """`1 round`, `1,797 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _call(setting: AnyOptimizer | Schedule | Sync | Moments) -> str:
    """A setting as it is written, defaults left out."""
    options = ", ".join(f"{key}: {str(v).lower()}" for key, v in setting.model_dump(exclude_defaults=True).items())
    return f"{setting.name}({options})" if options else setting.name
