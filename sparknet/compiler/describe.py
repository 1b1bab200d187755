"""The `train` section in one line, as people read it."""

from __future__ import annotations

from sparknet.compiler.augmentations import AnyAugmentation
from sparknet.compiler.exchange import AverageMoments, Moments
from sparknet.compiler.optimizers import AnyOptimizer
from sparknet.compiler.schedules import Schedule
from sparknet.compiler.sections import AverageSync, Checkpointing, Sync, TrainSection


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
    for name, ways in train.augment.items():
        parts.append(f"augment {name} [{', '.join(map(_call, ways))}]")
    if train.balance is not None:
        parts.append(f"balance {train.balance}")
    if train.checkpoint is not None:
        parts.append(f"checkpoint {_call(train.checkpoint)}")
    return ", ".join(parts)


def count(number: int, what: str) -> str:
    """`1 round`, `1,797 rows`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _call(setting: AnyOptimizer | Schedule | Sync | Moments | AnyAugmentation | Checkpointing) -> str:
    """A setting as it is written, defaults left out."""
    options = ", ".join(f"{key}: {str(v).lower()}" for key, v in setting.model_dump(exclude_defaults=True).items())
    return f"{setting.name}({options})" if options else setting.name
