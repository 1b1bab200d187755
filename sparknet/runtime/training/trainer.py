"""Training: data in, rounds of local steps, weighted averages, an evaluation after each round.

The trainer knows a compiled net and a backend; it knows neither Spark nor ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from time import perf_counter

import numpy as np

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.encoders import Categories
from sparknet.compiler.sections import DataSection, SplitName
from sparknet.runtime.backend import Backend, Encoded
from sparknet.runtime.encoding.binding import BoundPort, bind
from sparknet.runtime.encoding.encode import Layout, Shares, choose_layout
from sparknet.runtime.encoding.learning import learners, teach
from sparknet.runtime.encoding.profile import Profile
from sparknet.runtime.engines.base import Floats
from sparknet.runtime.evaluation.counting import error_task
from sparknet.runtime.evaluation.errors import Errors
from sparknet.runtime.problems import no_rows, problem
from sparknet.runtime.training.augment import augmented_fields
from sparknet.runtime.training.checkpoints import Checkpoint, Checkpoints, check_data, describe_run
from sparknet.runtime.training.course import plan_course
from sparknet.runtime.training.origin import Origin
from sparknet.runtime.training.records import Callback, Note, Prepared, Progress, RoundRecord, Score
from sparknet.runtime.training.rounds import Shard
from sparknet.runtime.training.scores import Scorer
from sparknet.runtime.training.sequence import SCORED, Rounds
from sparknet.runtime.training.standing import Standing, Weights, momentum_size
from sparknet.runtime.training.stores import Store
from sparknet.runtime.training.workers import Workers


@dataclass(frozen=True)
class TrainedNet:
    """What training hands over: the weights of round `kept_round` and their scores on each split but `train`.

    That is the round with the best score on the validation rows, the last one where there are none. A run of fewer
    rounds than the `planned` ones was stopped early.
    """

    parameters: Floats = field(repr=False)
    optimizer_state: Floats = field(repr=False)
    history: tuple[RoundRecord, ...]
    kept_round: int
    planned: int
    rows: dict[str, int]
    workers: int
    """Those that rows were placed for; where rows are few, some may have got none."""
    scores: dict[str, Score]
    seconds: float
    seconds_data: float
    """Those in which the data was checked and encoded."""
    bound: tuple[BoundPort, ...]
    """What fed the ports, as it was found in the data."""
    errors: Errors | None
    """Where the net errs on the test rows, or else on the validation rows, where there are any."""
    origin: Origin = field(default_factory=Origin)


# ----- training -----

STEPS_AN_EPOCH = 16
"""Workers are only added while each has so many steps an epoch: with fewer, averaging costs accuracy (on the digits
98.0 % with 2 workers, 95.9 % with 8)."""


def train(
    net: CompiledNet,
    backend: Backend,
    progress: Progress | None = None,
    store: Store | None = None,
    resumed: Checkpoint | None = None,
    callback: Callback | None = None,
) -> TrainedNet:
    """Train `net` on the data of its `data` section, which `backend` holds, on from `resumed` where that is given.

    Checkpoints, where the net asks for some, are written to `store`. `callback` gets each round's record; where it
    returns True, the run ends with that round.

    Raises SparkNetError for data that cannot be used, for a run that cannot start, and for one that diverges.
    """
    return _Run(net, data_section(net), backend, progress or (lambda event: None), store, resumed, callback).run()


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
    store: Store | None
    resumed: Checkpoint | None
    callback: Callback | None
    began: float = field(default_factory=perf_counter)

    @property
    def seconds(self) -> float:
        """What the run took until now, the time before the checkpoint that it goes on from included."""
        return perf_counter() - self.began + (self.resumed.reached.seconds if self.resumed else 0.0)

    def run(self) -> TrainedNet:
        graph = self.backend.engine.training_graph(self.net)
        bound = self.backend.resolve(bound_ports(self.net))
        profiles = self.backend.profile(bound, decode=False, keep=True)
        workers = self._workers(profiles)
        profile = reduce(Profile.merge, profiles.values())
        layout = choose_layout(bound, profile)
        augmented = augmented_fields(self.net.train.augment, layout, profile.ranges)
        shares = {key: supply.split for key, supply in self.data.supplies.items()}
        if learners(bound):
            bound = self._taught(bound, layout, shares)
        encoded = self.backend.encode(bound, layout, shares, workers)
        encoded.check(profiles.values())
        rows = self._check_splits(encoded)
        shards = self._balanced(encoded.shards(), layout)
        course = plan_course(self.net.train, rows["train"], len(shards), self.net.source, augmented)
        ready = perf_counter() - self.began
        done = self.resumed.standing.history if self.resumed else ()
        self.progress(
            Prepared(
                rows=rows,
                workers=len(shards),
                rounds=len(course.plans),
                steps=course.steps,
                row_bytes=layout.row_bytes,
                seconds=ready,
                rounds_done=len(done),
                steps_done=done[-1].steps if done else 0,
            )
        )
        scorer = Scorer(self.net, self.backend, layout)
        rounds = Rounds(
            net=self.net,
            workers=Workers(self.net, self.backend, layout, shards, graph, self.progress),
            scorer=scorer,
            split=next((s for s in SCORED if s in rows), None),
            course=course,
            checkpoints=self._checkpoints(workers, encoded),
            progress=self.progress,
            callback=self.callback,
            seconds=lambda: self.seconds,
        )
        standing = rounds.run(self._start(layout, bound))
        kept, score = standing.kept, standing.history[standing.kept_round - 1].score
        scores = {} if score is None else {score.split: score}
        if "test" in rows and "test" not in scores:
            scores["test"], _ = scorer.evaluate("test", kept.parameters, standing.kept_round)
        judged: SplitName | None = next((s for s in ("test", "validation") if s in rows), None)
        errors = judged and self.backend.errors(error_task(self.net, kept.parameters, layout, judged))
        return TrainedNet(
            parameters=kept.parameters,
            optimizer_state=kept.optimizer_state,
            history=standing.history,
            kept_round=standing.kept_round,
            planned=len(course.plans),
            rows=rows,
            workers=workers,
            scores=scores,
            seconds=self.seconds,
            seconds_data=ready,
            bound=bound,
            errors=errors,
        )

    # ----- before the first round -----

    def _taught(
        self, bound: tuple[BoundPort, ...], layout: Layout, shares: Mapping[str, Shares]
    ) -> tuple[BoundPort, ...]:
        """The ports with what their encoders learn from the training rows, to which all other rows are held."""
        found = teach(bound, self.backend.learn(bound, layout, shares))
        learnt = [found[index] for index in learners(bound) if isinstance(found[index].encoder, Categories)]
        if learnt and any(split != "train" for share in shares.values() for split in share):
            self.backend.profile(learnt)
        return found

    def _workers(self, profiles: Mapping[str, Profile]) -> int:
        """How many workers to place rows for: what the file asks for, else as many as slots and rows are good for."""
        settings, slots = self.net.train, self.backend.slots
        expected, total = 0.0, 0
        for key, supply in self.data.supplies.items():
            rows = profiles[key].rows
            expected, total = expected + rows * supply.split.get("train", 0), total + rows
            if rows == 0:
                raise no_rows(key, supply.named)
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
                    "turns; the result is the same, but lower `workers` or give Spark more cores to be quicker"
                )
            )
        return settings.workers

    def _balanced(self, shards: Sequence[Shard], layout: Layout) -> Sequence[Shard]:
        """The shards with the classes that come equally often, where the file names an output."""
        names = [field.port.name for field in layout.fields]
        if self.net.train.balance is None:
            return shards
        classes = self.backend.classes(layout, names.index(self.net.train.balance))
        return [replace(shard, classes=classes[shard.worker]) for shard in shards]

    def _check_splits(self, encoded: Encoded) -> dict[str, int]:
        labels = {split: supply.named for supply in self.data.supplies.values() for split in supply.split}
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

    def _checkpoints(self, workers: int, encoded: Encoded) -> Checkpoints | None:
        """What writes checkpoints, if anything does; raises SparkNetError for data that is not that of `resumed`."""
        if self.resumed is not None:
            label = next(iter(self.data.supplies.values())).named
            check_data(self.resumed.reached, encoded.digest, label)
        policy = self.net.train.checkpoint
        if policy is None:
            return None
        if self.store is None:
            self.progress(Note("no checkpoints are written, for they lie beside the run's folder, and it has none"))
            return None
        reached = describe_run(self.net, workers, encoded.digest)
        return Checkpoints(self.store, policy, reached, self.progress)

    # ----- rounds -----

    def _initial_parameters(self, layout: Layout, bound: Sequence[BoundPort]) -> Floats:
        """Fresh parameters, those that standardize inputs as the training rows have it."""
        parameters = self.net.initial_parameters()
        axes = {index: each.axis for index, each in enumerate(bound) if each.axis is not None}
        found: dict[str, Floats] = {}
        for index, moments in (self.backend.moments(layout, axes) if axes else {}).items():
            name = bound[index].port.name
            found |= {f"{name}.mean": moments.mean(), f"{name}.deviation": moments.deviation()}
        for slot in self.net.parameters:
            if slot.name in found:
                parameters[slot.offset : slot.offset + slot.size] = found[slot.name]
        return parameters

    def _start(self, layout: Layout, bound: Sequence[BoundPort]) -> Standing:
        if self.resumed is not None:
            return self.resumed.standing
        weights = Weights(self._initial_parameters(layout, bound), self.net.initial_optimizer_state())
        return Standing(weights, weights, np.zeros(momentum_size(self.net), np.float32))
