"""The backend on Spark: blocks persisted once, a `mapInArrow` for each round, DataFrame API only.

A round is a plain stage of stateless tasks, one for each worker: not a barrier stage, so Spark retries a lost task by
itself and workers may outnumber task slots.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial, reduce
from typing import Any, cast

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as sf

from sparknet.compiler.sections import SplitName
from sparknet.grammar.diagnostics import Label, SparkNetError
from sparknet.runtime.backend import Encoded, Sources, digest_of, explained, resolve
from sparknet.runtime.encoding.binding import BoundPort, within
from sparknet.runtime.encoding.encode import Layout, Shares
from sparknet.runtime.encoding.learning import Terms, learners
from sparknet.runtime.encoding.moments import Axes, Moments
from sparknet.runtime.encoding.profile import Profile, check_profile
from sparknet.runtime.engines.base import Engine, OnnxRuntimeEngine
from sparknet.runtime.evaluation.counting import ErrorTask
from sparknet.runtime.evaluation.errors import Errors, merged
from sparknet.runtime.failures import letting_go, worker_failure
from sparknet.runtime.problems import CHANGED, changed
from sparknet.runtime.spark.alike import Checked
from sparknet.runtime.spark.cluster import Cluster, executor_fault, inspect
from sparknet.runtime.spark.columns import check_names, select_plain
from sparknet.runtime.spark.digests import BlockDigests, block_digests
from sparknet.runtime.spark.exchange import Route, choose_route, collect_round, handed_down, max_result_bytes
from sparknet.runtime.spark.jobs import rows_of, side_by_side
from sparknet.runtime.spark.keeping import keep
from sparknet.runtime.spark.placing import Part, is_among, pack_rows, place_rows
from sparknet.runtime.spark.preparing import (
    PROFILE_SCHEMA,
    REPEATED,
    TERM_SCHEMA,
    Batches,
    EncodeRows,
    ProfileRows,
    RecodeRows,
    TermRows,
)
from sparknet.runtime.spark.tasks import (
    CLASS_SCHEMA,
    ERROR_SCHEMA,
    MOMENT_SCHEMA,
    RESULT_SCHEMA,
    CountClasses,
    CountErrors,
    EvaluateRound,
    MomentBlocks,
    TrainRound,
    read_reports,
)
from sparknet.runtime.spark.waits import CALL_SECONDS, DEFAULT_WAITS, LateError, Waits, in_time
from sparknet.runtime.training.balance import BlockClasses, Classes, classes_of
from sparknet.runtime.training.rounds import (
    Evaluation,
    EvaluationTask,
    RoundResult,
    RoundTask,
    Shard,
    blocks_needed,
    evaluations_of,
)


class SparkBackend:
    """Blocks in Spark's storage, a partition a worker."""

    def __init__(
        self,
        data: Mapping[str, DataFrame],
        labels: Mapping[str, Label | None] | None = None,
        cluster: Cluster | None = None,
        waits: Waits = DEFAULT_WAITS,
        before: str = "training",
        engine: Engine | None = None,
    ) -> None:
        """`data` by the names of the sources, and `labels`, where the `.net` file names them."""
        self._data = data
        self._labels = {key: (labels or {}).get(key) for key in data}
        self._spark: SparkSession = next(iter(data.values())).sparkSession
        self._known_cluster = cluster
        self._waits = waits
        self._before = before
        self._read: dict[str, tuple[DataFrame, tuple[BoundPort, ...]]] = {}
        """What the profile of each source has read of numbers, for the encoding, and the ports it was read for."""

        self._repeated: set[str] = set()
        """The sources of which a batch had equal rows."""

        self._blocks: DataFrame | None = None
        self._splits: dict[tuple[SplitName, ...], DataFrame] = {}
        self._digests: BlockDigests = {}
        self._rows: dict[tuple[SplitName, int], int] = {}
        self.engine = engine or OnnxRuntimeEngine()

    @cached_property
    def cluster(self) -> Cluster:
        """What the executors have."""
        return self._known_cluster or inspect(self._spark, self._waits.start)

    job_overhead_seconds = 0.1
    """As `Backend.job_overhead_seconds`; `python bench/round.py` measures it."""

    @property
    def slots(self) -> int:
        """As `Backend.slots`."""
        return self.cluster.slots

    def resolve(self, bound: Sequence[BoundPort]) -> tuple[BoundPort, ...]:
        """As `Backend.resolve`."""
        first = next(iter(self._data.values())).columns
        return resolve(bound, Sources(self._labels, first, self._schema, self._is_empty))

    def _schema(self, key: str, bound: Sequence[BoundPort]) -> pa.Schema:
        return check_names(self._data[key], bound)

    def _is_empty(self, key: str) -> bool:
        """Whether a source has no rows, as far as it can be read."""
        try:
            return bool(self._collect(self._data[key].select(sf.lit(1)).limit(1), "checking the data").num_rows == 0)
        except SparkNetError:
            return False

    def profile(self, bound: Sequence[BoundPort], decode: bool = True, keep: bool = False) -> dict[str, Profile]:
        """As `Backend.profile`."""
        self._let_go_of_what_was_read()
        checked = {}
        for key in self._data:
            with within(key, self._data):
                checked[key] = self._profiled(key, bound, decode, keep)
        rows = self._collect_each(checked, "checking the data")
        profiles = {}
        for key, found in rows.items():
            parts = [Profile.model_validate_json(text) for text in found.sort_by("partition")["profile"].to_pylist()]
            if any(found["repeats"].to_pylist()):
                self._repeated.add(key)
            profiles[key] = reduce(Profile.merge, parts, Profile.empty(len(bound)))
            with within(key, self._data):
                check_profile(profiles[key], bound, self._before)
        return profiles

    def _profiled(self, key: str, bound: Sequence[BoundPort], decode: bool, kept: bool) -> DataFrame:
        """The profiles of a source's partitions, not made yet."""
        chosen, plain = select_plain(self._data[key], bound)
        keeps = kept and all(each.encoder is None for each in bound)
        rows = chosen.mapInArrow(self._checked(ProfileRows(plain, decode, keeps)), PROFILE_SCHEMA)
        if keeps:
            rows = self._keep(rows, "checking the data", self._labels[key])
            self._read[key] = rows, plain
        return rows.filter(sf.col("profile").isNotNull()).select("partition", "profile", "repeats")

    def learn(self, bound: Sequence[BoundPort], layout: Layout, shares: Mapping[str, Shares]) -> Terms:
        """As `Backend.learn`."""
        learning = learners(bound)
        parts = []
        for key, data in self._data.items():
            if "train" in shares[key]:
                chosen, plain = select_plain(data, bound)
                rows = chosen.mapInArrow(self._checked(TermRows(plain, layout)), TERM_SCHEMA)
                parts.append(place_rows(rows, shares[key], 1, "terms").filter(sf.col("split") == "train"))
        each = reduce(DataFrame.unionAll, parts).select(sf.explode("terms").alias("each")).select("each.*")
        by_count = Window.partitionBy("port").orderBy(sf.desc("count"), "term")
        ranked = each.groupBy("port", "term").count().withColumn("rank", sf.row_number().over(by_count))
        most = max(learner.encoder.learns for learner in learning.values())
        found = self._collect(ranked.filter(sf.col("rank") <= most), "learning from the data").to_pylist()
        found.sort(key=lambda row: row["rank"])
        terms = {index: [row["term"] for row in found if row["port"] == index] for index in learning}
        return {index: terms[index][: learner.encoder.learns] for index, learner in learning.items()}

    def encode(self, bound: Sequence[BoundPort], layout: Layout, shares: Mapping[str, Shares], workers: int) -> Encoded:
        """As `Backend.encode`."""
        counts = self._pack(bound, layout, shares, workers, self._read.keys() - self._repeated)
        if _is_repeated(counts):
            counts = self._pack(bound, layout, shares, workers, distinct=())
            if _is_repeated(counts):  # the rows came out of one source in two ways
                raise changed("the data")
        self._let_go_of_what_was_read()
        found: dict[tuple[SplitName, int], int] = {}
        for row in counts:
            place = (cast(SplitName, row["split"]), row["worker"])
            found[place] = found.get(place, 0) + row["rows"]
        self._rows = found
        every = [(row["split"], row["worker"], row["index"], row["digest"]) for row in counts]
        self._digests = block_digests(every)
        return Encoded(found, layout.block_rows, digest_of(every))

    def _pack(
        self,
        bound: Sequence[BoundPort],
        layout: Layout,
        shares: Mapping[str, Shares],
        workers: int,
        distinct: Collection[str],
    ) -> list[dict[str, Any]]:
        """Keep the blocks, and give their rows without payloads; the rows of `distinct` sources are taken to be so."""
        self._let_go_of_blocks(blocking=True)  # before there are others, for which there must be room
        parts = [Part(*self._known_rows(key, bound, layout), shares[key], key in distinct) for key in self._data]
        doing = "encoding the data"
        self._blocks = self._keep(pack_rows(parts, layout, workers), doing)
        with explained(self, bound):
            found: list[dict[str, Any]] = self._collect(self._blocks.drop("payload"), doing).to_pylist()
        return found

    def _known_rows(self, key: str, bound: Sequence[BoundPort], layout: Layout) -> tuple[DataFrame, Checked]:
        """A source, or what the profile has kept of it, and what makes rows of `ROW_SCHEMA` of that."""
        if key in self._read:
            read, plain = self._read[key]
            kept = read.filter(sf.col("payloads").isNotNull()).select("types", "payloads")
            return kept, self._checked(RecodeRows(plain, layout))
        chosen, plain = select_plain(self._data[key], bound)
        return chosen, self._checked(EncodeRows(plain, layout))

    def moments(self, layout: Layout, axes: Axes) -> dict[int, Moments]:
        """As `Backend.moments`."""
        job = self._checked(MomentBlocks(layout, axes, self._known("train")))
        found: dict[int, Moments] = {}
        for row in self._collect(self._split("train").mapInArrow(job, MOMENT_SCHEMA), "standardizing").to_pylist():
            part = Moments.model_validate_json(row["moments"])
            found[row["port"]] = found[row["port"]].merge(part) if row["port"] in found else part
        return found

    def classes(self, layout: Layout, field: int) -> dict[int, Classes]:
        """As `Backend.classes`."""
        job = self._checked(CountClasses(layout, field, self._known("train")))
        found: dict[int, list[BlockClasses]] = {}
        for row in self._collect(self._split("train").mapInArrow(job, CLASS_SCHEMA), "counting classes").to_pylist():
            block = row["index"], np.array(row["kinds"], np.int64), np.array(row["counts"], np.int64)
            found.setdefault(row["worker"], []).append(block)
        return {worker: classes_of(field, blocks) for worker, blocks in found.items()}

    def train(self, task: RoundTask, shards: Sequence[Shard]) -> RoundResult:
        """As `Backend.train`."""
        splits: tuple[SplitName, ...] = ("train",) if task.scoring is None else ("train", task.scoring.split)
        blocks = self._split(*splits)
        needed = {(shard.worker, index) for shard in shards for index in blocks_needed(task.plan, shard)}
        held = sum(-(-shard.rows // shard.block_rows) for shard in shards)
        if len(needed) < held:  # Python is handed no more than the round trains on
            blocks = blocks.filter((sf.col("split") != "train") | is_among(needed))
        route = self._route(task, shards)
        segments = route.segments or task.segments
        job = self._checked(TrainRound(task, segments, tuple(shards), self.engine, self._known(*splits)))
        counts = sum(shard.classes.nbytes for shard in shards if shard.classes is not None)
        with handed_down(self._spark, job, task.size + counts + self._listed(*splits)) as function:
            results = blocks.mapInArrow(function, RESULT_SCHEMA)
            doing = f"round {task.plan.round + 1}"
            if task.scoring is not None:
                doing += f", and the score of round {task.plan.round}"
            found = collect_round(results, route, task, shards, partial(self._collect, doing=doing))
        if task.scoring is not None:
            self._check_all_scored(task.scoring.split, found.evaluations)
        return found

    def slices(self, task: RoundTask, shards: Sequence[Shard]) -> int:
        """As `Backend.slices`."""
        return len(self._route(task, shards).segments)

    def _route(self, task: RoundTask, shards: Sequence[Shard]) -> Route:
        return choose_route(max_result_bytes(self._spark), task, shards)

    def evaluate(self, task: EvaluationTask) -> list[Evaluation]:
        """As `Backend.evaluate`."""
        job = self._checked(EvaluateRound(task, self.engine, self._known(task.split)))
        with handed_down(self._spark, job, task.size + self._listed(task.split)) as function:
            results = self._split(task.split).mapInArrow(function, RESULT_SCHEMA)
            found = evaluations_of(read_reports(self._collect(results, f"evaluating on `{task.split}`")))
        self._check_all_scored(task.split, found)
        return list(found)

    def errors(self, task: ErrorTask) -> Errors:
        """As `Backend.errors`."""
        job = self._checked(CountErrors(task, self.engine, self._known(task.split)))
        with handed_down(self._spark, job, task.graph.size + self._listed(task.split)) as function:
            counted = self._split(task.split).mapInArrow(function, ERROR_SCHEMA)
            found = self._collect(counted, f"errors on `{task.split}`")
        rows = sorted(found.to_pylist(), key=lambda row: row["worker"])
        errors = [Errors.model_validate_json(row["errors"]) for row in rows]
        if sum(each.rows for each in errors) != sum(n for (split, _), n in self._rows.items() if split == task.split):
            raise changed("the data")
        return merged(errors)

    def _check_all_scored(self, split: SplitName, found: Sequence[Evaluation]) -> None:
        rows = {(split, each.worker): each.sums.rows for each in found}
        if rows != {place: count for place, count in self._rows.items() if place[0] == split}:
            raise changed("the data")  # blocks that are gone altogether

    def _checked(self, job: Callable[[Batches], Batches]) -> Checked:
        return Checked(job, self.cluster.alike)

    def _known(self, *splits: SplitName) -> BlockDigests:
        return {split: self._digests[split] for split in splits}

    def _listed(self, *splits: SplitName) -> int:
        """Bytes of the digests of splits in a job."""
        return sum(len(own) for split in splits for own in self._digests[split].values())

    def close(self) -> None:
        """As `Backend.close`."""
        self._let_go_of_what_was_read()
        self._let_go_of_blocks()

    def _let_go_of_what_was_read(self) -> None:
        while self._read:
            with letting_go():
                self._read.popitem()[1][0].unpersist()
        self._repeated.clear()

    def _let_go_of_blocks(self, blocking: bool = False) -> None:
        if self._blocks is not None:
            with letting_go(), suppress(LateError):
                in_time(self._waits.job if blocking else CALL_SECONDS, partial(self._blocks.unpersist, blocking))
            self._blocks = None
            self._splits.clear()

    def _split(self, *splits: SplitName) -> DataFrame:
        """The blocks of some splits; each frame is made once, for Spark analyzes it whenever it is."""
        if self._blocks is None:
            raise ValueError("encode the data first")
        if {split for split, _ in self._rows} <= set(splits):
            return self._blocks
        if splits not in self._splits:
            self._splits[splits] = self._blocks.filter(sf.col("split").isin(*splits))
        return self._splits[splits]

    def _collect(self, frame: DataFrame, doing: str, label: Label | None = None) -> pa.Table:
        """Run a job and wait for it, `Waits.job` at most; a failure says what was being done and the first cause."""
        with self._told(doing, label):
            return rows_of(frame, self._waits.job, doing)

    def _collect_each(self, frames: Mapping[str, DataFrame], doing: str) -> dict[str, pa.Table]:
        """As `_collect`, for a frame of each source, at the same time."""

        def collect(key: str, frame: DataFrame) -> pa.Table:
            with within(key, frames):
                return self._collect(frame, doing, self._labels[key])

        works = [partial(collect, key, frame) for key, frame in frames.items()]
        return dict(zip(frames, side_by_side(self._spark, works), strict=True))

    def _keep(self, frame: DataFrame, doing: str, label: Label | None = None) -> DataFrame:
        """As `keep`, for which Spark plans the job, and fails where a job would."""
        with self._told(doing, label):
            return keep(frame)

    @contextmanager
    def _told(self, doing: str, label: Label | None) -> Iterator[None]:
        self.cluster  # noqa: B018  # nothing runs where it could not
        try:
            yield
        except SparkNetError:
            raise
        except Exception as error:
            if CHANGED in str(error):  # raised by `changed` in a worker
                raise changed("the data") from error
            failed = executor_fault(error, self._spark) or worker_failure(doing, error, label)
            raise failed from error


def _is_repeated(counts: Sequence[Mapping[str, Any]]) -> bool:
    return any(row["index"] == REPEATED for row in counts)
