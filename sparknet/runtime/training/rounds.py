"""A round of local training and an evaluation, as pure functions: the same bytes wherever and however often they run.

A worker's examples come from an endless stream of epochs. In each epoch its blocks are in a new random order and so
are the rows of each block; batches are cut from that stream without regard to where blocks or epochs end. Any stretch
of the stream can be found directly from (seed, worker, position), so a round needs no memory of the rounds before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.schedules import Rates
from sparknet.compiler.sections import SplitName
from sparknet.runtime import spool
from sparknet.runtime.encoding.encode import Block, Layout
from sparknet.runtime.engines.base import Engine, Feeds, Floats, Graph, Step, Sums, Trained, weighted
from sparknet.runtime.training.augment import Augmented, augment
from sparknet.runtime.training.balance import Classes, Picks, balanced
from sparknet.runtime.training.draws import permutation
from sparknet.runtime.training.exchange import (
    PLAIN,
    Buffer,
    Exchange,
    Salt,
    Segment,
    VectorName,
    assemble,
    mean_of,
    pack,
    packed_bytes,
)
from sparknet.runtime.training.gathering import Indices, Rows, rows_of

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Plan:
    """What every worker does in a round: `steps` of `batch` rows, after the `position` steps already taken."""

    round: int
    position: int
    steps: int
    batch: int
    seed: int
    rates: Rates
    synchronous: bool = False
    """Whether the workers average the gradient of every step, not the weights behind the last one."""
    augmented: tuple[Augmented, ...] = ()
    """What may change the images that a step takes."""


@dataclass(frozen=True)
class Shard:
    """The training rows of one worker: row r is row `r % block_rows` of block `r // block_rows`."""

    worker: int
    rows: int
    block_rows: int
    classes: Classes | None = None
    """The classes that come equally often, where the run balances them."""


@dataclass(frozen=True)
class Scoring:
    """An evaluation of the weights that a round starts from."""

    graph: Graph
    split: SplitName


@dataclass(frozen=True)
class RoundTask:
    """A round of training: what to run, where every worker starts, and what it sends back.

    Of a synchronous plan a task is one step, `graph` the one of the gradient, and `optimizer_state` empty.
    """

    graph: Graph
    layout: Layout
    plan: Plan
    parameters: Floats
    optimizer_state: Floats
    exchange: Exchange = PLAIN
    fresh_state: int = 0
    """The length of the state of zeros that workers begin with in place of `optimizer_state`, where it is not 0."""

    held: int = field(default_factory=lambda: spool.HELD_BYTES)
    """Bytes of rows that a worker keeps in memory, more in a file."""
    scoring: Scoring | None = None
    """What the workers do beside: one job in the place of two."""

    @property
    def starts(self) -> dict[VectorName, Floats]:
        """The vectors that every worker starts from."""
        state = np.zeros(self.fresh_state, np.float32) if self.fresh_state else self.optimizer_state
        return {"parameters": self.parameters, "optimizer_state": state}

    @property
    def size(self) -> int:
        """Bytes of the graph and the vectors."""
        beside = 0 if self.scoring is None else self.scoring.graph.size
        return self.graph.size + self.parameters.nbytes + self.optimizer_state.nbytes + beside

    @property
    def evaluation(self) -> EvaluationTask | None:
        """What is to be scored beside, if anything."""
        if self.scoring is None:
            return None
        return EvaluationTask(self.scoring.graph, self.layout, self.scoring.split, self.parameters)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What every worker sends back."""
        return self.exchange.segments(len(self.parameters), self.fresh_state or len(self.optimizer_state))

    def weights(self, shards: Sequence[Shard]) -> dict[int, float]:
        """What each worker counts in the mean: its rows, but in a synchronous step, whose batches are equally large."""
        return {shard.worker: 1.0 if self.plan.synchronous else float(shard.rows) for shard in shards}

    def traffic(self, shards: Sequence[Shard]) -> tuple[int, int]:
        """The bytes that go down to all workers and come up from them."""
        down = self.parameters.nbytes + self.optimizer_state.nbytes
        return down * len(shards), packed_bytes(self.segments) * len(shards)


@dataclass(frozen=True)
class EvaluationTask:
    """An evaluation on all rows of a split."""

    graph: Graph
    layout: Layout
    split: SplitName
    parameters: Floats

    @property
    def size(self) -> int:
        """Bytes of the graph and the vector."""
        return self.graph.size + self.parameters.nbytes


@dataclass(frozen=True)
class Report:
    """What a worker tells of its round; `rows` is the size of its shard.

    `broken` is the step, counted from 0 over the whole run, whose loss was not finite. Of an evaluation there are only
    `sums` and `seconds`, and its `split`.
    """

    worker: int
    rows: int
    sums: Sums
    steps: int
    seconds: float
    broken: int | None = None
    split: SplitName = "train"


@dataclass(frozen=True)
class WorkerResult:
    """Where a worker's round ended.

    Of a synchronous step `parameters` are the gradient and, behind it, the parameters that are not trained.
    """

    report: Report
    parameters: Floats
    optimizer_state: Floats


@dataclass(frozen=True)
class RoundResult:
    """A round of all workers: their reports, in worker order, and the means of what they sent.

    Where a report is missing or of a broken step, the vectors mean nothing.
    """

    reports: tuple[Report, ...]
    parameters: Floats
    optimizer_state: Floats
    seconds: float
    """What the driver took to make one set of vectors of those of the workers."""
    evaluations: tuple[Evaluation, ...] = ()
    """What came of `RoundTask.scoring`, in worker order."""


@dataclass(frozen=True)
class Evaluation:
    """What a worker hands back from an evaluation."""

    worker: int
    sums: Sums
    seconds: float


# ----- the order of examples -----


def _stretches(seed: int, shard: Shard, epoch: int, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The blocks that hold the places `start` to `stop` of an epoch: block, first and last place within it."""
    passed = 0
    for block in permutation(-(-shard.rows // shard.block_rows), seed, shard.worker, epoch, -1).tolist():
        size = min(shard.block_rows, shard.rows - block * shard.block_rows)
        if passed >= stop:
            return
        if start < passed + size:
            yield block, max(start - passed, 0), min(stop - passed, size)
        passed += size


def epoch_order(seed: int, shard: Shard, epoch: int, start: int = 0, stop: int | None = None) -> Indices:
    """The rows of a shard in the order of one epoch, or a stretch of it, int64[rows].

    Only blocks that the stretch touches are put in order: what a round costs depends on its steps, not on its shard.
    """
    parts = []
    for block, first, last in _stretches(seed, shard, epoch, start, shard.rows if stop is None else stop):
        base = block * shard.block_rows
        size = min(shard.block_rows, shard.rows - base)
        parts.append(permutation(size, seed, shard.worker, epoch, block)[first:last] + base)
    return np.concatenate(parts)


def examples(plan: Plan, shard: Shard) -> Indices:
    """The rows of a shard that a round trains on, in order, int64[steps * batch]."""
    start, stop = plan.position * plan.batch, (plan.position + plan.steps) * plan.batch
    parts = []
    for epoch in range(start // shard.rows, -(-stop // shard.rows)):
        before = epoch * shard.rows
        parts.append(epoch_order(plan.seed, shard, epoch, max(start - before, 0), stop - before))
    return np.concatenate(parts)


def picks(plan: Plan, shard: Shard) -> Picks:
    """What a round trains on, in order, and the blocks where that lies: steps * batch rows."""
    if shard.classes is None:
        chosen = examples(plan, shard)
        return Picks(chosen // shard.block_rows, chosen % shard.block_rows)
    start, stop = plan.position * plan.batch, (plan.position + plan.steps) * plan.batch
    return balanced(shard.classes, plan.seed, shard.worker, start, stop)


def blocks_needed(plan: Plan, shard: Shard) -> tuple[int, ...]:
    """The indices of the blocks that a round reads, found without putting any row in order."""
    if shard.classes is not None:
        return tuple(np.unique(picks(plan, shard).blocks).tolist())
    start, stop = plan.position * plan.batch, (plan.position + plan.steps) * plan.batch
    count = -(-shard.rows // shard.block_rows)
    needed: set[int] = set()
    for epoch in range(start // shard.rows, -(-stop // shard.rows)):
        before = epoch * shard.rows
        needed.update(block for block, _, _ in _stretches(plan.seed, shard, epoch, start - before, stop - before))
        if len(needed) == count:
            break
    return tuple(sorted(needed))


def step_seed(seed: int, worker: int, step: int) -> int:
    """The seed of a step's randomness, int64 and not negative."""
    digest = blake2b(np.array([seed, worker, step, -2], "<i8").tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


# ----- training and evaluation -----


def train_round(engine: Engine, task: RoundTask, shard: Shard, blocks: Iterable[Block]) -> WorkerResult:
    """Take the steps of the plan on a worker's shard; `blocks` may come in any order.

    Raises ValueError where a block that the plan needs does not come.
    """
    began = perf_counter()
    chosen = picks(task.plan, shard)
    with rows_of(task.layout, len(chosen.blocks), task.held) as rows:
        _put(rows, task.layout, chosen, shard, blocks)
        steps = _steps(task.layout, task.plan, shard.worker, rows)
        if task.plan.synchronous:
            trained = _gradient(engine, task, next(steps))
        else:
            starts = task.starts
            trained = engine.train(task.graph, starts["parameters"], starts["optimizer_state"], steps)
    report = Report(
        worker=shard.worker,
        rows=shard.rows,
        sums=trained.sums,
        steps=trained.steps,
        seconds=perf_counter() - began,
        broken=None if trained.broken is None else task.plan.position + trained.broken,
    )
    return WorkerResult(report, trained.parameters, trained.optimizer_state)


def _gradient(engine: Engine, task: RoundTask, step: Step) -> Trained:
    """The gradient of one step where the parameters would be, the untrained ones behind it."""
    seed = np.asarray(step.seed, np.int64)
    found = engine.infer(task.graph, {**step.feeds, "parameters": task.parameters, "seed": seed})
    vector = np.concatenate([found.pop("gradient"), found.pop("untrained")])
    loss = found.pop("loss")
    broken = None if np.isfinite(loss) and np.isfinite(vector).all() else 0
    return Trained(vector, np.zeros(0, np.float32), weighted(loss, found.values(), step.rows), 1, broken)


def _put(rows: Rows, layout: Layout, chosen: Picks, shard: Shard, blocks: Iterable[Block]) -> None:
    """Put the chosen rows where the round takes them, from blocks as they stream by."""
    missing = len(chosen.blocks)
    order = np.argsort(chosen.blocks, kind="stable")  # the places of each block side by side, ascending
    blocks_in_order = chosen.blocks[order]
    for block in blocks:
        first, last = np.searchsorted(blocks_in_order, [block.index, block.index + 1])
        here = order[first:last]
        missing -= len(here)
        if len(here):
            row = chosen.ranks[here]
            if shard.classes is not None and chosen.kinds is not None:
                row = shard.classes.rows(block, layout, chosen.kinds[here], row)
            rows.put(here, [stored[row] for stored in block.arrays(layout)])
    if missing:
        raise ValueError(f"{missing} of {len(chosen.blocks)} examples lie in blocks that did not arrive")


def _steps(layout: Layout, plan: Plan, worker: int, rows: Rows) -> Iterator[Step]:
    for step in range(plan.steps):
        seed = step_seed(plan.seed, worker, plan.position + step)
        fields = rows.get(step * plan.batch, (step + 1) * plan.batch)
        fields = augment(fields, plan.augmented, plan.seed, worker, plan.position + step)
        feeds = feed(layout, fields)
        yield Step(feeds, plan.batch, plan.rates.at(plan.position + step), seed)


def feed(layout: Layout, columns: Sequence[NDArray[np.generic]]) -> Feeds:
    """Stored numbers as the graphs take them: float32 or int64, batch first."""
    pairs = zip(layout.fields, columns, strict=True)
    return {field.port.name: np.ascontiguousarray(column, field.port.type.dtype) for field, column in pairs}


def evaluate(engine: Engine, task: EvaluationTask, worker: int, blocks: Iterable[Block]) -> Evaluation:
    """Loss and metrics over all rows of a worker's blocks, which come in the order of their indices."""
    began = perf_counter()
    sums = engine.evaluate(task.graph, task.parameters, evaluation_batches(task.layout, blocks))
    return Evaluation(worker, sums, perf_counter() - began)


def evaluation_batches(layout: Layout, blocks: Iterable[Block]) -> Iterator[tuple[Feeds, int]]:
    """All rows of some blocks as the graphs take them, and how many rows each batch has."""
    for block in blocks:
        arrays = block.arrays(layout)
        for start in range(0, block.rows, EVALUATION_BATCH):
            stop = min(start + EVALUATION_BATCH, block.rows)
            yield feed(layout, [array[start:stop] for array in arrays]), stop - start


# ----- what goes back -----


def send(task: RoundTask, segments: Sequence[Segment], result: WorkerResult) -> list[Buffer]:
    """The segments of a worker's vectors, packed; none of a broken round, whose numbers are none."""
    if result.report.broken is not None:
        return []
    salt = Salt(task.plan.seed, task.plan.round, result.report.worker)
    ends: dict[VectorName, Floats] = {"parameters": result.parameters, "optimizer_state": result.optimizer_state}
    starts = task.starts
    return [pack(each, ends[each.vector], starts[each.vector], salt) for each in segments]


def receive(
    task: RoundTask, shards: Sequence[Shard], reports: Sequence[Report], sent: Mapping[int, Sequence[Buffer]]
) -> RoundResult:
    """The round of all workers; `sent` are the packed `task.segments` of each."""
    weights, segments = task.weights(shards), task.segments
    workers = [worker for worker in sorted(sent) if sent[worker]]
    means = (
        (segment, mean_of(segment, ((worker, sent[worker][number]) for worker in workers), weights))
        for number, segment in enumerate(segments)
    )
    return round_result(task, reports, segments, means if len(workers) == len(shards) else ())


def round_result(
    task: RoundTask,
    reports: Sequence[Report],
    segments: Sequence[Segment],
    means: Iterable[tuple[Segment, Floats]],
) -> RoundResult:
    """The round of all workers, from the means of all segments and the reports, which are in worker order."""
    began = perf_counter()
    found = assemble(segments, means, {"parameters": task.parameters, "optimizer_state": task.optimizer_state})
    trained = tuple(report for report in reports if report.split == "train")
    seconds = perf_counter() - began
    return RoundResult(trained, found["parameters"], found["optimizer_state"], seconds, evaluations_of(reports))


def evaluations_of(reports: Iterable[Report]) -> tuple[Evaluation, ...]:
    """What the reports tell of evaluations."""
    return tuple(Evaluation(each.worker, each.sums, each.seconds) for each in reports if each.split != "train")
