"""`sparknet.tune`, and what the command calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknet.compiler.checking import read
from sparknet.compiler.choices import Choices
from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.stopping import Judge
from sparknet.grammar import Source, syntax
from sparknet.runtime import run_folder
from sparknet.runtime.engines.base import Engine
from sparknet.runtime.failures import diagnosed
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.model import Model, check_frames, load
from sparknet.runtime.runs import OnSpark, check_before
from sparknet.runtime.sources.frames import as_arrow, columns_of, fed_by, is_spark
from sparknet.runtime.sources.places import Place, in_memory
from sparknet.runtime.spark.waits import JOB_SECONDS, START_SECONDS, Waits
from sparknet.runtime.training.records import Note
from sparknet.runtime.tuning.folder import SearchFile, SearchFolder, digest_of
from sparknet.runtime.tuning.records import Event, Progress, Started, Trial, ranked
from sparknet.runtime.tuning.sampling import importances, sampler_for
from sparknet.runtime.tuning.search import Outcome, Rules, Search
from sparknet.runtime.tuning.shared import SharedData
from sparknet.runtime.tuning.subject import (
    Subject,
    check_choices,
    check_comparable,
    check_validation,
    judge_of,
    with_workers,
)

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

    from sparknet.runtime.model import Frame

TRIALS, BATCH = 20, 8


@dataclass(frozen=True)
class Options:
    """How a search goes; what is None is found out."""

    trials: int = TRIALS
    metric: str | None = None
    workers: int | None = None
    parallel: int | None = None
    batch: int = BATCH
    prune: bool = True
    timeout: float | None = None
    resume: bool = False


@dataclass(frozen=True)
class Tuned:
    """A search that is over."""

    records: tuple[Trial, ...]
    """The trials in order."""
    best: Trial
    model: Model
    """That of the best trial, whose net has the chosen values in the places of the choices."""
    judge: Judge
    choices: Choices

    @property
    def ranked(self) -> list[Trial]:
        """The trials from the best to the worst."""
        return ranked(self.records, self.judge)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row for each trial from the best to the worst: `trial`, `state`, `score`, a column for each choice, ..."""
        import pandas as pd

        rows = [
            {"trial": t.trial, "state": t.state, "score": t.score, **t.values, **t.scores}
            | {"rounds": t.rounds, "seconds": t.seconds, "why": t.why}
            for t in self.ranked
        ]
        return pd.DataFrame(rows)

    @cached_property
    def importances(self) -> dict[str, float]:
        """How much of the variance of the scores each choice accounts for, as far as the trials can tell."""
        return importances(self.records, self.choices, self.judge)


def tune(
    net: str | Path | Source | syntax.File,
    data: Frame | None = None,
    *,
    trials: int = TRIALS,
    metric: str | None = None,
    validation: Frame | None = None,
    test: Frame | None = None,
    settings: Sequence[str] = (),
    workers: int | None = None,
    parallel: int | None = None,
    batch: int = BATCH,
    prune: bool = True,
    timeout: float | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    callback: Callable[[Trial], None] | None = None,
    spark: SparkSession | None = None,
    start_timeout: float = START_SECONDS,
    job_timeout: float = JOB_SECONDS,
    root: str | Path | None = None,
    data_roots: Sequence[str | Path] = (),
) -> Tuned:
    """Search the choices of a net: on Spark where the rows are a Spark DataFrame, in this process else.

    Args:
        net: As `sparknet.compile` takes it, with `choose` or `range` in it.
        data: The rows, as in `sparknet.train`. There must be some for validation: trials are compared on them alone.
        validation: Rows for that, unless the `split` of the net gives some a share.
        test: Rows that training and choosing do not see.
        trials: How many at most. Where the choices have no more combinations than that, all are tried; else Optuna
            proposes them.
        metric: The score to compare by, `loss` or the name of a metric; by default that of `early_stop`, else the loss.
        settings: Lets and keys of sections to change; `lr=0.01` fixes a choice.
        workers: Workers of each trial, by default what the net says, else one.
        parallel: Trials at a time; by default as many as the task slots hold, at most `batch`.
        batch: Trials that are asked for together. They know nothing of each other, so that the result depends on the
            seed of the net and on this number, not on `parallel`.
        prune: Whether trials that do badly are ended early.
        timeout: Seconds after which no trial begins any more.
        output: A folder for the journal, the table and, in `best`, the run folder of the best trial.
        resume: Whether to go on with the search in `output`.
        callback: Called with each trial that is over, from the thread that ran it.
        spark: A session to read the sources of the `data` section with, where there is no `data`.
        start_timeout: Seconds until an executor of Spark has done its first task.
        job_timeout: Seconds that a job on Spark may take, such as a round; jobs of trials side by side share the slots.
        root: The folder below which imports may reach; by default that of the file.
        data_roots: Folders or URIs below which the `data` section may name sources, beside the folder of the file.

    Raises:
        SparkNetError: For mistakes in the net, columns and rows that do not fit, failures of Spark, and a search in
            which no trial finishes.
    """
    frames = {
        key: rows for key, rows in (("train", data), ("validation", validation), ("test", test)) if rows is not None
    }
    check_frames(frames, spark)
    given = Given(frames, tuple(map(str, data_roots)))
    options = Options(trials, metric, workers, parallel, batch, prune, timeout, resume)
    waits = Waits(job_timeout, start_timeout)
    on = OnSpark(spark=spark, waits=waits) if spark is not None or is_spark(data) else None

    def tell(event: Event) -> None:
        if isinstance(event, Note):
            getLogger("sparknet").info(event.text)
        elif isinstance(event, Trial) and callback is not None:
            callback(event)

    source = read(net)
    subject = Subject(source, tuple(settings), None if root is None else Path(root), frozenset(frames))
    return search(subject, options, on, given, None if output is None else Path(output), tell)


@dataclass(frozen=True)
class Given:
    """What a program hands over: frames by their splits, and where sources may be."""

    frames: Mapping[str, Any]
    data_roots: tuple[str, ...] = ()


def search(
    subject: Subject,
    options: Options,
    on: OnSpark | None,
    given: Given,
    output: Path | None,
    progress: Progress,
) -> Tuned:
    """A whole search, in this process where `on` is None. Raises SparkNetError as `tune` does."""
    if options.resume and output is None:
        raise ValueError("`resume` needs the `output` of the search")
    folder = None if output is None else SearchFolder(output)
    base = subject.base()
    choices = check_choices(base)
    subject = Subject(
        subject.source, with_workers(subject.settings, base, options.workers), subject.root, subject.frames
    )
    base = subject.base()
    check_validation(base, subject.frames)
    judge = judge_of(base, options.metric)
    check_comparable(subject, choices, base, judge)
    saved = None if folder is None else folder.saved(options.resume)
    sampler, trials = sampler_for(
        choices, options.trials, base.train.seed, judge, None if saved is None else saved.sampler
    )
    told = SearchFile(
        net=digest_of(base.source.text),
        metric=judge.metric,
        sampler=sampler.name,
        seed=base.train.seed,
        batch=options.batch,
        prune=options.prune,
    )
    fed, keys = fed_by(base, subject.frames) if subject.frames else (base, {})
    frames = {keys[key]: rows for key, rows in given.frames.items()}
    places, engine = check_before(fed, None, given.data_roots, given=frames)
    known = {} if folder is None else folder.known(told, saved)

    def at_once(slots: int) -> int:
        return min(options.parallel or max(1, slots // (fed.train.workers or 1)), options.batch, trials)

    with diagnosed("the search"), _shared(fed, frames, places, engine, on, progress, at_once) as shared:
        if folder is not None:
            folder.begin(told, known.values())
        parallel = at_once(shared.view().slots)
        progress(Started(trials, parallel, sampler.name, len(known), judge))
        rules = Rules(trials, options.batch, parallel, judge, options.prune, options.timeout)
        run = Search(subject, choices, rules, sampler, shared, folder, known, progress)
        outcome = run.run()
        model = _best_model(run, outcome, folder)
    return Tuned(tuple(outcome.trials), outcome.best, model, judge, choices)


def _best_model(run: Search, outcome: Outcome, folder: SearchFolder | None) -> Model:
    """The best trial as a model, in its folder; trained again where that was in another process."""
    if outcome.trained is None and folder is not None and folder.holds_best(outcome.net.source.text):
        return load(folder.best)
    if outcome.trained is None:
        run.progress(Note(f"training the best trial, {outcome.best.trial}, again"))
    trained = outcome.trained or run.train_again(outcome.net)
    model = Model(run_folder.finished(run.subject.fed(outcome.net), trained), outcome.net)
    if folder is not None:
        folder.save_best(model)
    return model


@contextmanager
def _shared(
    net: CompiledNet,
    frames: Mapping[str, Any],
    places: Mapping[str, Place],
    engine: Engine,
    on: OnSpark | None,
    progress: Progress,
    at_once: Callable[[int], int],
) -> Iterator[SharedData]:
    """The data of all trials, for as long as it is needed; `at_once` says how many run side by side in some slots."""
    if on is None:
        columns = columns_of(net.data.bindings if net.data is not None else ())
        tables = {key: in_memory(as_arrow(rows, columns)) for key, rows in frames.items()}
        yield from _closing(SharedData(lambda: LocalBackend(tables or places, engine)))
        return
    whole = replace(on, data=frames or None)
    with whole.session(lambda event: progress(event) if isinstance(event, Note) else None) as spark:
        from sparknet.runtime.spark.cluster import Cluster, settings_of
        from sparknet.runtime.spark.memory import check_memory
        from sparknet.runtime.spark.messages import check_message, sent_bytes
        from sparknet.runtime.spark.opening import open_data

        def check(cluster: Cluster, trial: CompiledNet = net) -> None:
            check_memory(trial, cluster, settings_of(spark), at_once(cluster.slots))
            check_message(spark, sent_bytes(trial))

        opened = open_data(spark, frames or places, engine, on.waits, check, lambda text: progress(Note(text)))
        yield from _closing(SharedData(opened.backend, lambda trial: check(opened.cluster, trial)))


def _closing(shared: SharedData) -> Iterator[SharedData]:
    try:
        yield shared
    finally:
        shared.close()
