"""What the engine `onnxruntime-training` cannot train of a file, said before a run starts.

The package has been given up, so what it lacks stays lacking: the lists here and in `objective.py` hold for 1.19.2, its
last version. `tests_training` holds them against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparknet.compiler.net import TypedNet
from sparknet.compiler.optimizers import Adam, AdamW, ClipNorm, ClipValue, Sgd
from sparknet.compiler.scope import Scope
from sparknet.compiler.sections import AverageSync, StepSync, TrainSection
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic

OTHER = "write `engine = onnxruntime`, which has it"
"""What to do about all that is missing."""


def loss_decay(train: TrainSection) -> float:
    """The weight decay that is part of the gradient: the loss must hold it, as the package has no such optimizer."""
    optimizer = train.optimizer
    return optimizer.weight_decay if isinstance(optimizer, Sgd | Adam) and type(optimizer) is not AdamW else 0.0


def missing_settings(train: TrainSection) -> dict[str, str]:
    """What the engine lacks of what the `train` section asks for, by key."""
    missing, optimizer = {}, train.optimizer
    if type(optimizer) not in (Sgd, Adam, AdamW):
        missing["optimizer"] = f"optimizer `{optimizer.name}`"
    elif isinstance(optimizer, Sgd) and optimizer.momentum:
        missing["optimizer"] = "`momentum` for `sgd`"
    if isinstance(train.clip, ClipValue):
        missing["clip"] = "`clip = value(...)`"
    elif isinstance(train.clip, ClipNorm) and loss_decay(train):
        missing["clip"] = f"`clip` beside the `weight_decay` of `{optimizer.name}`"
    if isinstance(train.sync, StepSync):
        missing["sync"] = "`sync = step`"
    elif isinstance(train.sync, AverageSync) and train.sync.after:
        missing["sync"] = "`after` for `average`"
    return missing


def check_settings(
    train: TrainSection, entries: Mapping[str, syntax.Entry] | None = None, scope: Scope | None = None
) -> Iterator[Diagnostic]:
    """A diagnostic for each key of the `train` section that asks for what the engine of the run lacks.

    Each at its place where `entries` say what was written, in the text of `scope`.
    """
    if train.engine == "onnxruntime-training":
        for key, what in missing_settings(train).items():
            labels = (scope.label(entries[key].value),) if entries and scope else ()
            yield Diagnostic("E0507", f"the engine `{train.engine}` has no {what}", labels, (), (OTHER,))


def check_layers(typed: TypedNet) -> Iterator[Diagnostic]:
    """A diagnostic at each layer that the engine of the run cannot train."""
    train = typed.net.train
    if train.engine != "onnxruntime-training":
        return
    from sparknet.compiler.objective import missing_gradients  # loads numpy and onnx, which other checks do without

    missing = missing_gradients(typed)
    for use in typed.net.layers:
        if use.name in missing:
            operators = " and ".join(f"`{op}`" for op in missing[use.name])
            message = f"the engine `{train.engine}` has no gradient for {operators}, which this layer needs"
            yield Diagnostic("E0507", message, use.labels, (), (OTHER,))
