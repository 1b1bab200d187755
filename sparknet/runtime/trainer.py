"""Training: data in, rounds of local steps, weighted averages, an evaluation after each round.

The trainer knows a compiled net and a backend; it knows neither Spark nor ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import isfinite
from time import perf_counter

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.sections import DataSection, SplitName
from sparknet.runtime.backend import Backend, Encoded
from sparknet.runtime.course import Course, plan_course
from sparknet.runtime.encode import Layout, choose_layout
from sparknet.runtime.engine import Floats, Graph, Sums
from sparknet.runtime.problems import problem
from sparknet.runtime.profile import BoundPort, Profile, bind
from sparknet.runtime.rounds import EvaluationTask, Plan, RoundTask, Shard, WorkerResult, average

# ----- what a caller may watch -----


@dataclass(frozen=True)
class Note:
    """Something worth knowing that is no error."""

    text: str


@dataclass(frozen=True)
class Prepared:
    """The data is encoded and training begins; `rows` by split, `steps` of every worker in all."""

    rows: dict[str, int]
    workers: int
    rounds: int
    steps: int
    row_bytes: int
    seconds: float


@dataclass(frozen=True)
class Score:
    """Mean loss and metrics over `rows` rows of a split."""

    split: str
    rows: int
    loss: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class RoundRecord:
    """One round, as in `metrics.jsonl`. `train` is measured while training, `score` with the averaged parameters."""

    round: int
    epoch: int
    steps: int
    learning_rate: float
    """That of the round's last step."""
    train: Score
    score: Score | None
    seconds_compute: float
    """The slowest worker's own time in this round's steps."""
    seconds_total: float
    """Wall time of the round: steps, moving the parameters, averaging, evaluation."""


Event = Note | Prepared | RoundRecord
Progress = Callable[[Event], None]


@dataclass(frozen=True)
class TrainedNet:
    """What training hands over. `scores` holds the last evaluation on each split that was evaluated."""

    parameters: Floats = field(repr=False)
    optimizer_state: Floats = field(repr=False)
    history: tuple[RoundRecord, ...]
    rows: dict[str, int]
    workers: int
    scores: dict[str, Score]
    seconds: float


# ----- training -----

STEPS_AN_EPOCH = 16
"""Workers are only added while each has so many steps an epoch: with fewer, averaging costs accuracy (on the digits
98.0 % with 2 workers, 95.9 % with 8)."""


_DIVERGED = ("lower `lr` of the optimizer", "scale the inputs, for example `column(...) / 255`")


def train(net: CompiledNet, backend: Backend, progress: Progress | None = None) -> TrainedNet:
    """Train `net` on the data of its `data` section, which `backend` holds.

    Raises SparkNetError for data that cannot be used, for a run that cannot start, and for one that diverges.
    """
    return _Run(net, data_section(net), backend, progress or (lambda event: None)).run()


def data_section(net: CompiledNet) -> DataSection:
    """The `data` section; raises SparkNetError where the file has none."""
    if net.data is None:
        raise problem(
            "R0004",
            f"`{net.source.name}` has no `data` section, so there is nothing to train on",
            helps=["add `data { source = ... }` with a column for every input and output"],
        )
    return net.data


def bound_ports(net: CompiledNet) -> tuple[BoundPort, ...]:
    """All ports of the step graph with their columns: inputs, then targets."""
    return bind((*net.inputs, *net.targets), data_section(net).bindings)


@dataclass
class _Run:
    net: CompiledNet
    data: DataSection
    backend: Backend
    progress: Progress
    history: list[RoundRecord] = field(default_factory=list)
    scores: dict[str, Score] = field(default_factory=dict)

    def run(self) -> TrainedNet:
        began = perf_counter()
        bound = bound_ports(self.net)
        profiles = self.backend.profile(bound)
        workers = self._workers(profiles)
        layout = choose_layout(bound, reduce(Profile.merge, profiles.values()))
        shares = {key: supply.split for key, supply in self.data.supplies.items()}
        encoded = self.backend.encode(bound, layout, shares, workers)
        rows = self._check_splits(encoded)
        shards = encoded.shards()
        course = plan_course(self.net.train, rows["train"], len(shards))
        self.progress(
            Prepared(rows, len(shards), len(course.plans), course.steps, layout.row_bytes, perf_counter() - began)
        )
        parameters, state = self._rounds(course, layout, shards, rows)
        if "test" in rows and "test" not in self.scores:
            self._evaluate(layout, "test", parameters)
        seconds = perf_counter() - began
        return TrainedNet(parameters, state, tuple(self.history), rows, len(shards), self.scores, seconds)

    # ----- before the first round -----

    def _workers(self, profiles: Mapping[str, Profile]) -> int:
        """How many workers to place rows for: what the file asks for, else as many as slots and rows are good for."""
        settings, slots = self.net.train, self.backend.slots
        expected, total = 0.0, 0
        for key, supply in self.data.supplies.items():
            rows = profiles[key].rows
            expected, total = expected + rows * supply.split.get("train", 0), total + rows
            if rows == 0:
                raise problem("R0020", "the data holds no rows", label=supply.label)
        parts = settings.accumulate
        what, each = "a batch", "a batch"
        if parts > 1:
            what, each = f"a step of {parts:,} batches", "steps"
        if settings.step_rows > expected:
            raise problem(
                "R0022",
                f"{what} takes {settings.step_rows:,} rows, but only about {expected:,.0f} of the {total:,} "
                "are for training",
                helps=[f"lower `batch`{' or `accumulate`' * (parts > 1)} in the `train` section"],
            )
        most = max(1, int(expected // settings.step_rows))
        if settings.workers is None:
            return min(slots, max(1, int(expected // (settings.step_rows * STEPS_AN_EPOCH))))
        if settings.workers > most:
            raise problem(
                "R0022",
                f"{settings.workers} workers with {each} of {settings.step_rows:,} rows each take more "
                f"than the about {expected:,.0f} rows there are for training",
                helps=[f"lower `workers` to {most} or less, or lower `batch`"],
            )
        if settings.workers > slots:
            self.progress(
                Note(
                    f"{settings.workers} workers share {slots} task {'slot' if slots == 1 else 'slots'}, so they take "
                    "turns; the result is the same, but lower `workers` or give Spark more cores, "
                    "which it counts in `spark.default.parallelism`, to be quicker"
                )
            )
        return settings.workers

    def _check_splits(self, encoded: Encoded) -> dict[str, int]:
        labels = {split: supply.label for supply in self.data.supplies.values() for split in supply.split}
        rows = {str(split): encoded.split_rows(split) for split in labels}
        for split, label in labels.items():
            if rows[split] == 0:
                raise problem(
                    "R0021",
                    f"none of the {sum(rows.values()):,} rows fell into `{split}`",
                    label=label,
                    helps=[f"give `{split}` a larger share in `split`, or more rows"],
                )
        return rows

    # ----- rounds -----

    def _rounds(
        self, course: Course, layout: Layout, shards: Sequence[Shard], rows: dict[str, int]
    ) -> tuple[Floats, Floats]:
        graph = Graph("training step", self.net.step.SerializeToString(deterministic=True), self.net.statistics_size)
        parameters, state = self.net.initial_parameters(), self.net.initial_optimizer_state()
        split: SplitName | None = next((s for s in ("validation", "test") if s in rows), None)
        for plan in course.plans:
            began = perf_counter()
            results = self.backend.train(RoundTask(graph, layout, plan, parameters, state), shards)
            self._check_results(plan, results, shards)
            parameters, state = average(results)
            score = None if split is None else self._evaluate(layout, split, parameters)
            record = RoundRecord(
                round=plan.round + 1,
                epoch=course.epoch(plan),
                steps=plan.position + plan.steps,
                learning_rate=plan.rates.at(plan.position + plan.steps - 1),
                train=self._score("train", [result.sums for result in results]),
                score=score,
                seconds_compute=max(result.seconds for result in results),
                seconds_total=perf_counter() - began,
            )
            self.history.append(record)
            self.progress(record)
        return parameters, state

    def _check_results(self, plan: Plan, results: Sequence[WorkerResult], shards: Sequence[Shard]) -> None:
        missing = {shard.worker for shard in shards} - {result.worker for result in results}
        if missing:
            raise problem("R0031", f"round {plan.round + 1}: no answer from worker {min(missing) + 1} of {len(shards)}")
        for result in results:
            if result.broken is not None:
                place = f"round {plan.round + 1}, worker {result.worker + 1}, step {result.broken + 1}"
                raise problem(
                    "R0030",
                    f"the loss is not finite: {place}",
                    notes=[f"the learning rate is {plan.rates.at(result.broken):g}"],
                    helps=_DIVERGED,
                )

    def _evaluate(self, layout: Layout, split: SplitName, parameters: Floats) -> Score:
        model = self.net.evaluation.SerializeToString(deterministic=True)
        graph = Graph("evaluation", model, self.net.statistics_size)
        results = self.backend.evaluate(EvaluationTask(graph, layout, split, parameters))
        score = self._score(split, [result.sums for result in sorted(results, key=lambda r: r.worker)])
        if not all(map(isfinite, (score.loss, *score.metrics.values()))):
            raise problem(
                "R0030",
                f"the loss is not finite: round {len(self.history) + 1}, on `{split}`",
                notes=[f"the learning rate is {self.net.train.optimizer.lr:g}"],
                helps=_DIVERGED,
            )
        self.scores[split] = score
        return score

    def _score(self, split: str, parts: Sequence[Sums]) -> Score:
        total = sum_in_order(parts)
        return Score(split, total.rows, total.mean_loss, self.net.scores(total.mean_metrics))


def sum_in_order(parts: Sequence[Sums]) -> Sums:
    """The sums of all workers, added in the order given."""
    total = Sums()
    for part in parts:
        total = total.add(part)
    return total
