"""The backend of `--local`: rounds in this process, a thread a worker, neither Spark nor Java."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TypeVar

import pyarrow as pa

from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.backend import Encoded, Sources, digest_of, explained, resolve
from sparknet.runtime.encoding.binding import BoundPort, all_columns, check_columns, within
from sparknet.runtime.encoding.encode import Block, Layout, Shares
from sparknet.runtime.encoding.learning import Terms, learn_local
from sparknet.runtime.encoding.local import encode_local
from sparknet.runtime.encoding.moments import Axes, Moments, moments_of
from sparknet.runtime.encoding.profile import Profile, check_profile, profile_batches
from sparknet.runtime.encoding.store import BlockStore
from sparknet.runtime.engines.base import Engine, EngineError, OnnxRuntimeEngine
from sparknet.runtime.evaluation.counting import ErrorTask, count_errors
from sparknet.runtime.evaluation.errors import Errors, merged
from sparknet.runtime.failures import worker_failure
from sparknet.runtime.sources.places import Place, open_table
from sparknet.runtime.sources.readers import Table
from sparknet.runtime.training.balance import Classes, classes_of, count_classes
from sparknet.runtime.training.counted import CountedEngine
from sparknet.runtime.training.exchange import Buffer
from sparknet.runtime.training.rounds import (
    Evaluation,
    EvaluationTask,
    Report,
    RoundResult,
    RoundTask,
    Shard,
    blocks_needed,
    evaluate,
    receive,
    send,
    train_round,
)

Result = TypeVar("Result")


def usable_cpus() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_empty(table: Table) -> bool:
    """Whether a table has no rows, as far as it can be read."""
    try:
        return not any(batch.num_rows for batch in table.batches(table.schema.names[:1]))
    except SparkNetError:
        return False


class LocalBackend:
    """Blocks in memory or a file, and a pool of threads; ONNX Runtime lets go of the interpreter meanwhile."""

    def __init__(
        self, data: Mapping[str, Place | Table], engine: Engine | None = None, before: str = "training"
    ) -> None:
        self._tables = {key: open_table(each) if isinstance(each, Place) else each for key, each in data.items()}
        self._labels = {key: each.label if isinstance(each, Place) else None for key, each in data.items()}
        self._before = before
        self.engine = engine or OnnxRuntimeEngine()
        self._store = BlockStore()
        self._pool = ThreadPoolExecutor(usable_cpus(), thread_name_prefix="sparknet-worker")
        self._interrupted = Event()

    job_overhead_seconds = 0.0
    """As `Backend.job_overhead_seconds`."""

    @property
    def slots(self) -> int:
        """A slot a CPU."""
        return usable_cpus()

    def resolve(self, bound: Sequence[BoundPort]) -> tuple[BoundPort, ...]:
        """As `Backend.resolve`."""

        def checked(key: str, ports: Sequence[BoundPort]) -> pa.Schema:
            check_columns(ports, self._tables[key].schema.names)
            return self._tables[key].schema

        first = next(iter(self._tables.values())).schema.names
        return resolve(bound, Sources(self._labels, first, checked, lambda key: _is_empty(self._tables[key])))

    def profile(self, bound: Sequence[BoundPort], decode: bool = True, keep: bool = False) -> dict[str, Profile]:
        """As `Backend.profile`; rows are read again, which is quick here."""
        profiles = {}
        for key, table in self._tables.items():
            with within(key, self._tables):
                profiles[key] = profile_batches(table.batches(all_columns(bound)), bound, decode)
                check_profile(profiles[key], bound, self._before)
        return profiles

    def learn(self, bound: Sequence[BoundPort], layout: Layout, shares: Mapping[str, Shares]) -> Terms:
        """As `Backend.learn`."""
        tables = {key: table for key, table in self._tables.items() if "train" in shares[key]}
        sources = ((table.batches(all_columns(bound)), shares[key]) for key, table in tables.items())
        return learn_local(sources, bound, layout)

    def encode(self, bound: Sequence[BoundPort], layout: Layout, shares: Mapping[str, Shares], workers: int) -> Encoded:
        """As `Backend.encode`."""
        self._store.close()
        self._store = BlockStore()
        found = []
        with explained(self, bound):
            for key, table in self._tables.items():
                for block in encode_local(table.batches(all_columns(bound)), bound, layout, shares[key], workers):
                    found.append((block.split, block.worker, block.index, block.digest()))
                    self._store.add(block)
        return Encoded(self._store.rows(), layout.block_rows, digest_of(found))

    def moments(self, layout: Layout, axes: Axes) -> dict[int, Moments]:
        """As `Backend.moments`."""
        training = (
            block for place in self._store.places() if place[0] == "train" for block in self._store.blocks(place)
        )
        return moments_of(training, layout, axes)

    def classes(self, layout: Layout, field: int) -> dict[int, Classes]:
        """As `Backend.classes`."""
        return {
            worker: classes_of(field, count_classes(self._store.blocks((split, worker)), layout, field))
            for split, worker in self._store.places()
            if split == "train"
        }

    def train(self, task: RoundTask, shards: Sequence[Shard]) -> RoundResult:
        """As `Backend.train`."""
        engine = CountedEngine(self.engine, lambda event: self._check_goes_on())

        def train_one(shard: Shard) -> tuple[Report, list[Buffer]]:
            needed = blocks_needed(task.plan, shard) if self._store.spooled else None
            blocks = self._store.blocks(("train", shard.worker), needed)
            result = train_round(engine, task, shard, self._while_it_goes_on(blocks))
            return result.report, send(task, task.segments, result)

        found = self._side_by_side(partial(train_one, shard) for shard in shards)
        sent = {report.worker: packed for report, packed in found}
        result = receive(task, shards, [report for report, _ in found], sent)
        return result if task.evaluation is None else replace(result, evaluations=tuple(self.evaluate(task.evaluation)))

    def slices(self, task: RoundTask, shards: Sequence[Shard]) -> None:
        """As `Backend.slices`."""

    def evaluate(self, task: EvaluationTask) -> list[Evaluation]:
        """As `Backend.evaluate`."""
        places = [place for place in self._store.places() if place[0] == task.split]
        return self._side_by_side(
            partial(evaluate, self.engine, task, place[1], self._while_it_goes_on(self._store.blocks(place)))
            for place in places
        )

    def errors(self, task: ErrorTask) -> Errors:
        """As `Backend.errors`."""
        places = [place for place in self._store.places() if place[0] == task.split]
        return merged(
            self._side_by_side(
                partial(count_errors, self.engine, task, self._while_it_goes_on(self._store.blocks(place)))
                for place in places
            )
        )

    def close(self) -> None:
        """As `Backend.close`."""
        self._store.close()
        self._pool.shutdown(cancel_futures=True)

    def _side_by_side(self, works: Iterable[Callable[[], Result]]) -> list[Result]:
        futures = [self._pool.submit(work) for work in works]
        try:
            return [future.result() for future in futures]
        except EngineError as error:
            raise worker_failure("a round", error) from error
        except KeyboardInterrupt:
            self._interrupted.set()  # or the workers would hold up the end until their rounds are over
            raise

    def _while_it_goes_on(self, blocks: Iterable[Block]) -> Iterator[Block]:
        for block in blocks:
            self._check_goes_on()
            yield block

    def _check_goes_on(self) -> None:
        if self._interrupted.is_set():
            raise CancelledError
