"""The errors of a trained net on a worker's blocks: the inference graph's answers beside what is true, counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.sections import SplitName
from sparknet.runtime.encoding.encode import Block, Layout
from sparknet.runtime.engines.base import Engine, Feeds, Floats, Graph
from sparknet.runtime.evaluation.errors import BoolErrors, ClassErrors, Errors, FloatErrors, LikeErrors, OutputErrors
from sparknet.runtime.training.rounds import evaluation_batches

_COUNTED = 1 << 20
"""Numbers that are held before they are counted: to count costs little only for many at once."""


@dataclass(frozen=True)
class Answer:
    """An output of the inference graph that is held against what is true, and its kind; `classes` of a class."""

    name: str
    kind: str
    classes: int = 0

    @property
    def told(self) -> str:
        """What the graph tells of it: of an output like an input, the errors of the rows."""
        return f"{self.name}_error" if self.kind == "like" else self.name


@dataclass(frozen=True)
class ErrorTask:
    """What to count on all rows of a split; `graph` is the inference graph with the weights inside."""

    graph: Graph
    layout: Layout
    split: SplitName
    answers: tuple[Answer, ...]


def error_task(net: CompiledNet, parameters: Floats, layout: Layout, split: SplitName) -> ErrorTask:
    """The task for a net with `parameters` float32[P]."""
    model = net.inference(parameters).SerializeToString(deterministic=True)
    answers = tuple(Answer(o.name, o.kind, o.size if o.kind == "class" else 0) for o in net.typed.net.outputs)
    return ErrorTask(Graph("inference", model, 0), layout, split, answers)


def count_errors(engine: Engine, task: ErrorTask, blocks: Iterable[Block]) -> Errors:
    """The counts over all rows of some blocks, of which there is at least one."""
    parts: Iterator[Errors] = (_counted(task, held) for held in _held(engine, task, blocks))
    return reduce(Errors.merge, parts)


_Pairs = dict[str, list[NDArray[np.generic]]]


def _held(engine: Engine, task: ErrorTask, blocks: Iterable[Block]) -> Iterator[_Pairs]:
    """For each answer what is told, and for each target what is true, of many rows at a time."""
    held: _Pairs = {}
    numbers = 0
    for feeds, _ in evaluation_batches(task.layout, blocks):
        told = engine.infer(task.graph, feeds)
        for key, values in _of_batch(task.answers, told, feeds):
            held.setdefault(key, []).append(values)
            numbers += values.size
        if numbers >= _COUNTED:
            yield held
            held, numbers = {}, 0
    if held:
        yield held


def _of_batch(answers: Sequence[Answer], told: Feeds, feeds: Feeds) -> Iterator[tuple[str, NDArray[np.generic]]]:
    for answer in answers:
        yield f"told {answer.name}", told[answer.told]
        if answer.kind != "like":
            yield f"true {answer.name}", feeds[answer.name]


def _counted(task: ErrorTask, held: _Pairs) -> Errors:
    outputs = {answer.name: _count(answer, held) for answer in task.answers}
    rows = sum(len(part) for part in held[f"told {task.answers[0].name}"])
    return Errors(split=task.split, rows=rows, outputs=outputs)


def _count(answer: Answer, held: _Pairs) -> OutputErrors:
    told = np.concatenate(held[f"told {answer.name}"])
    if answer.kind == "like":
        return LikeErrors.of(told.astype(np.float32))
    true: NDArray[Any] = np.concatenate(held[f"true {answer.name}"])
    if answer.kind == "class":
        return ClassErrors.of(true.astype(np.int64), told.astype(np.int64), answer.classes)
    rows = len(told)
    if answer.kind == "bool":
        return BoolErrors.of(true.reshape(rows, -1) >= 0.5, told.reshape(rows, -1).astype(np.bool_))
    return FloatErrors.of(true.reshape(rows, -1).astype(np.float32), told.reshape(rows, -1).astype(np.float32))
