"""Whole runs and predictions, local or on Spark: what the command line and embedding programs call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.folder import check_output
from sparknet.compiler.sections import Supply
from sparknet.runtime import run_folder
from sparknet.runtime.backend import Backend
from sparknet.runtime.engines.base import Engine
from sparknet.runtime.engines.choose import engine_for
from sparknet.runtime.failures import diagnosed, letting_go
from sparknet.runtime.finished import check_unfinished
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.predict import (
    check_target,
    input_place,
    predict_local,
    predict_section,
    section_place,
    section_target,
)
from sparknet.runtime.problems import listing, problem
from sparknet.runtime.room import check_room
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.sources.places import Place, check_source, place_of
from sparknet.runtime.sources.readers import Table
from sparknet.runtime.spark.masters import check_master, chosen_master
from sparknet.runtime.spark.waits import DEFAULT_WAITS, Waits
from sparknet.runtime.tracking.base import Tracker, tracked
from sparknet.runtime.training import checkpoints
from sparknet.runtime.training.checkpoints import Checkpoint
from sparknet.runtime.training.counted import CountedEngine
from sparknet.runtime.training.origin import Origin
from sparknet.runtime.training.records import Callback, Note, Progress
from sparknet.runtime.training.stores import LocalStore, Store
from sparknet.runtime.training.trainer import TrainedNet, data_section, train

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class OnSpark:
    """Which Spark: the session of `data` or `spark`, else one that runs in this process, else one of our own.

    Ours is at `master`, by default where spark-submit or SPARK_REMOTE say or local[*], and the only one that is
    stopped at the end. `data` takes the place of the
    source in the `.net` file; of a file with sources apart it is a map: `{"train": df, "test": other}`.
    """

    master: str | None = None
    spark: SparkSession | None = None
    data: DataFrame | Mapping[str, DataFrame] | None = None
    waits: Waits = DEFAULT_WAITS

    def frames(self) -> dict[str, DataFrame]:
        """What `data` gives, by the keys of the `data` section."""
        if self.data is None:
            return {}
        return dict(self.data) if isinstance(self.data, Mapping) else {"source": self.data}

    @contextmanager
    def session(self, progress: Progress | None = None) -> Iterator[SparkSession]:
        """The session, set up for work of ours for as long as it is needed."""
        _need_pyspark()
        from sparknet.runtime.spark.connect import words_for
        from sparknet.runtime.spark.settings import small_batches

        with self._found_session(progress) as spark, words_for(spark), small_batches(spark):
            yield spark

    @contextmanager
    def _found_session(self, progress: Progress | None) -> Iterator[SparkSession]:
        frames = list(self.frames().values())
        given = frames[0].sparkSession if frames else self.spark
        if given is not None:
            yield given
            return
        from sparknet.runtime.spark.quiet import quiet_py4j
        from sparknet.runtime.spark.session import running_session, start_session

        running = running_session()
        if running is not None:
            if progress is not None:
                progress(Note("using the Spark session of this process, which is left running"))
            yield running
            return
        check_master(self.master)
        if progress is not None:
            progress(Note(f"starting Spark on {chosen_master(self.master)}"))
        began = perf_counter()
        with quiet_py4j():
            own = start_session(self.master, seconds=self.waits.start)
            try:
                if progress is not None:
                    progress(Note(f"Spark started in {perf_counter() - began:.1f} s"))
                yield own
            finally:
                with letting_go():
                    own.stop()


def run_local(
    net: CompiledNet,
    output: str | Path | None = None,
    progress: Progress | None = None,
    data_roots: Sequence[str | Path] = (),
    resume: bool = False,
    data: Mapping[str, Table] | None = None,
    callback: Callback | None = None,
    checkpoint_place: str | None = None,
    trackers: Sequence[Tracker] = (),
) -> TrainedNet:
    """Train in this process, without Spark or Java; where `output` is given, leave a run folder there.

    The `.net` file may name data below its own folder and below `data_roots`, folders or URIs. With `resume` the run
    of `output` that was not finished goes on from its newest checkpoint; raises SparkNetError where that cannot be.
    `data` takes the place of the sources, by their keys. `callback` as in `trainer.train`. Checkpoints lie beside
    `output`, or at the URI or path that `checkpoint_place` names. `trackers` are told of the run as it goes; one that
    fails ends its telling, not the run.
    """
    output = None if output is None else Path(output)
    if resume:
        check_unfinished(net, output, checkpoint_place)
    places, engine = check_before(net, output, data_roots, given=data, trackers=trackers)
    store = _store(net, output, checkpoint_place, resume)
    net, resumed = _resumed(net, store, progress, resume)
    origin, began = Origin(), perf_counter()
    with diagnosed("training"):
        counting = engine if progress is None else CountedEngine(engine, progress)
        backend = LocalBackend(data or places, counting)
        origin = replace(origin, seconds_start=perf_counter() - began)
        return _run(net, backend, output, store, progress, resumed, callback, origin, trackers)


def run_spark(
    net: CompiledNet,
    output: str | Path | None = None,
    progress: Progress | None = None,
    on: OnSpark | None = None,
    data_roots: Sequence[str | Path] = (),
    resume: bool = False,
    callback: Callback | None = None,
    checkpoint_place: str | None = None,
    trackers: Sequence[Tracker] = (),
) -> TrainedNet:
    """Train on Spark; where `output` is given, leave a run folder there. The rest as in `run_local`."""
    on = on or OnSpark()
    output = None if output is None else Path(output)
    frames = on.frames()
    if resume:
        check_unfinished(net, output, checkpoint_place)
    places, engine = check_before(net, output, data_roots, given=frames, trackers=trackers)
    store = _store(net, output, checkpoint_place, resume)
    net, resumed = _resumed(net, store, progress, resume)
    origin, began = Origin(), perf_counter()
    with diagnosed("training"), on.session(progress) as spark:
        place = f"Spark {spark.version} on {spark.conf.get('spark.master', 'a cluster')}"
        from sparknet.runtime.spark.cluster import Cluster, settings_of
        from sparknet.runtime.spark.memory import check_memory
        from sparknet.runtime.spark.messages import check_message, sent_bytes
        from sparknet.runtime.spark.opening import open_data, passing

        def tell(text: str) -> None:
            if progress is not None:
                progress(Note(text))

        def check(cluster: Cluster) -> None:
            check_memory(net, cluster, settings_of(spark))
            check_message(spark, sent_bytes(net))
            for text in passing(settings_of(spark), net.train.workers):
                tell(text)

        backend = open_data(spark, frames or places, engine, on.waits, check, tell).backend()
        origin = replace(origin, where=place, seconds_start=perf_counter() - began)
        return _run(net, backend, output, store, progress, resumed, callback, origin, trackers)


@dataclass(frozen=True)
class Predicted:
    """Where predictions went, and how many rows."""

    output: Path
    rows: int


def predict_to_file(
    folder: str | Path,
    source: str | Path | None = None,
    output: str | Path | None = None,
    on: OnSpark | None = None,
    keep: Sequence[str] | None = None,
) -> Predicted:
    """Predict with the run in `folder` for `source` into `output`.

    `source` is a path, or a call as in a `.net` file. In this process where `on` is None. `keep` names the input's
    columns that go into the output. What is left out is taken from the `predict` section of the net, whose paths start
    from the current folder; without a `keep` anywhere all columns are kept.
    """
    run = load_run(folder)
    section = predict_section(run)
    place = input_place(str(source)) if source is not None else section_place(section)
    target = Path(output) if output is not None else section_target(section)
    keep = keep or section.keep
    check_target(target)
    check_source(place)
    if on is None:
        with diagnosed("predicting"):
            return Predicted(target, predict_local(run, place, target, keep))
    with diagnosed("predicting"), on.session() as spark:
        from sparknet.runtime.spark.predict import predict_spark

        return Predicted(target, predict_spark(run, place, target, spark, keep, on.waits))


def load_run(folder: str | Path) -> SavedRun:
    """Read and verify a run folder."""
    return run_folder.load(Path(folder))


def _run(
    net: CompiledNet,
    backend: Backend,
    output: Path | None,
    store: Store | None,
    progress: Progress | None,
    resumed: Checkpoint | None,
    callback: Callback | None,
    origin: Origin,
    trackers: Sequence[Tracker],
) -> TrainedNet:
    history = resumed.standing.history if resumed else ()
    with tracked(trackers, net, history, progress) as tracking:
        with closing(backend):
            trained = replace(train(net, backend, tracking.progress, store, resumed, callback), origin=origin)
        if output is not None or trackers:
            run = run_folder.finished(net, trained)
        if output is not None:
            run_folder.save(output, run, net)
        if store is not None:
            checkpoints.remove(store)
        if trackers:
            tracking.finish(run)
    return trained


def _store(net: CompiledNet, output: Path | None, place: str | None, resume: bool) -> Store | None:
    """Where the checkpoints of a run lie; raises SparkNetError for a place of no use, or without room for the run."""
    if place is not None and net.train.checkpoint is None and not resume:
        helps = ["write `checkpoint = rounds(5)` into the `train` section, or add `--set train.checkpoint=rounds(5)`"]
        raise problem("R0048", f"there are no checkpoints for `{place}`: the net asks for none", helps=helps)
    if resume and output is None and place is None:
        raise ValueError("`resume` needs the `output` that the run was to have, or the place of its checkpoints")
    store = checkpoints.place_of(output, place)
    check_room(net, output, store.folder if isinstance(store, LocalStore) else None)
    return store


def _resumed(
    net: CompiledNet, store: Store | None, progress: Progress | None, resume: bool
) -> tuple[CompiledNet, Checkpoint | None]:
    """The checkpoint to go on from, if any, and the net with as many workers as it had then."""
    if store is None:
        return net, None
    if not resume:
        checkpoints.check_none(store)
        return net, None
    found = checkpoints.newest(store, net, progress or (lambda event: None))
    return net.with_train(workers=found.reached.workers), found


def _check_trains(net: CompiledNet) -> None:
    if net.trained_count == 0:
        frozen = any(slot.kind == "frozen" for slot in net.parameters)
        why = "all its layers are frozen" if frozen else "no layer has weights"
        raise problem(
            "R0025",
            f"net `{net.name}` has nothing to train: {why}",
            label=net.typed.net.label,
            helps=[
                "leave out a `frozen: true`" if frozen else "add a layer that has some, such as `dense(10)`",
                "`sparknet compile` writes the inference graph as it is",
            ],
        )


def check_before(
    net: CompiledNet,
    output: Path | None,
    data_roots: Sequence[str | Path],
    given: Mapping[str, object] | None = None,
    trackers: Sequence[Tracker] = (),
) -> tuple[dict[str, Place], Engine]:
    """All that can be known to fail before Spark starts; the places of the data, which `given` frames stand in for."""
    _check_trains(net)
    engine = engine_for(net.train.engine)
    supplies = data_section(net).supplies
    roots = tuple(map(str, data_roots))
    places = {k: place_of(each.source, each.label, roots) for k, each in supplies.items() if each.source is not None}
    if output is not None:
        check_output(output)
    if not given:
        _check_sources(supplies)
        for place in places.values():
            check_source(place)
    elif set(given) != set(supplies):
        wanted = "a DataFrame" if "source" in supplies else f"a map of DataFrames for {listing(supplies)}"
        found = "a DataFrame" if "source" in given else f"a map for {listing(given)}"
        raise problem(
            "R0008",
            f"`OnSpark(data=...)` must be {wanted}, as the `data` section names its rows, found {found}",
            label=next(iter(supplies.values())).label,
        )
    for tracker in trackers:
        tracker.check()
    return places, engine


def _check_sources(supplies: Mapping[str, Supply]) -> None:
    """Raise SparkNetError for a `data` section without a source where no program hands rows over."""
    for supply in supplies.values():
        if supply.source is None:
            raise problem(
                "R0004",
                "the `data` section has no `source`, so there is nothing to train on",
                label=supply.label,
                helps=[
                    'write for instance `source = parquet("data.parquet")`',
                    "or hand the rows over in Python: `sparknet.train(file, rows)`",
                ],
            )


def _need_pyspark() -> None:
    try:
        import pyspark  # noqa: F401
    except ImportError as error:
        raise problem(
            "R0062", "pyspark is not installed", helps=["pip install pyspark", "`--local` trains without it"]
        ) from error
