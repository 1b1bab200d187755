"""The search: batches of trials side by side, what they tell each other, the best one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from threading import Event as Flag
from threading import Lock
from time import perf_counter

from sparknet.compiler.choices import Choices
from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.stopping import Judge
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.failures import diagnosed
from sparknet.runtime.problems import changed, problem
from sparknet.runtime.training import records as training
from sparknet.runtime.training.records import Note, Prepared, RoundRecord
from sparknet.runtime.training.stopping import judged
from sparknet.runtime.training.trainer import TrainedNet, train
from sparknet.runtime.tuning.folder import SearchFolder
from sparknet.runtime.tuning.pruning import is_hopeless
from sparknet.runtime.tuning.records import (
    Curve,
    Event,
    State,
    Trial,
    TrialRound,
    TrialStarted,
    native,
    ranked,
    texts_of,
)
from sparknet.runtime.tuning.sampling import Sampler, Values
from sparknet.runtime.tuning.shared import SharedData
from sparknet.runtime.tuning.subject import Subject

OF_THE_TRIAL = frozenset({"R0022", "R0024", "R0025", "R0030", "R0067", "R0069", "R0071"})
"""What a trial may fail by, beside mistakes that the compiler finds; all else ends the search."""


@dataclass(frozen=True)
class Rules:
    """How a search goes: at most so many trials, asked for in batches, so many at a time."""

    trials: int
    batch: int
    parallel: int
    judge: Judge
    prune: bool
    seconds: float | None
    """After so long no trial begins any more."""


@dataclass(frozen=True)
class Outcome:
    """A search that is over: its trials in order, and what was trained for the best one, unless that was before."""

    trials: list[Trial]
    best: Trial
    net: CompiledNet
    trained: TrainedNet | None


@dataclass
class Search:
    """A search under way."""

    subject: Subject
    choices: Choices
    rules: Rules
    sampler: Sampler
    shared: SharedData
    folder: SearchFolder | None
    known: dict[int, Trial]
    progress: Callable[[Event], None]
    began: float = field(default_factory=perf_counter)
    _lock: Lock = field(default_factory=Lock)
    _stop: Flag = field(default_factory=Flag)
    _others: tuple[Curve, ...] = ()
    _best: tuple[Trial, CompiledNet, TrainedNet] | None = None
    _notes: set[str] = field(default_factory=set)
    _data: dict[str, str] = field(default_factory=dict)
    """Digests of the rows by how they were encoded."""

    def run(self) -> Outcome:
        """All trials; raises SparkNetError where one breaks in a way that is not its own, and where none finishes."""
        trials: list[Trial] = []
        with ThreadPoolExecutor(self.rules.parallel, thread_name_prefix="sparknet-trial") as pool:
            while len(trials) < self.rules.trials:
                proposed = self.sampler.ask(min(self.rules.batch, self.rules.trials - len(trials)))
                batch = self._batch(pool, len(trials) + 1, proposed)
                trials += batch
                if not proposed or len(batch) < len(proposed):
                    break  # nothing is left to try, or no time
                self.sampler.tell(batch)
                self._others = tuple(t.curve for t in trials if t.curve and t.state != "failed")
        return self._outcome(trials)

    def train_again(self, net: CompiledNet) -> TrainedNet:
        """The best trial once more, which gives the same bytes."""
        view = self.shared.view(self._check_data)
        with self._resumable(), closing(view), diagnosed("training"):
            return train(self._quiet(net), view)

    # ----- batches -----

    def _batch(self, pool: ThreadPoolExecutor, first: int, proposed: Sequence[Values]) -> list[Trial]:
        """The trials of a batch in order, without those for which there was no time."""
        futures: list[Future[Trial | None]] = []
        try:
            for number, values in enumerate(proposed, first):
                if number in self.known:
                    futures.append(_done(self._recalled(number, values)))
                else:
                    futures.append(pool.submit(self._trial, number, values))
            wait(futures, return_when=FIRST_EXCEPTION)
            failed = next((f for f in futures if f.done() and f.exception() is not None), None)
            if failed is not None:
                with self._resumable():
                    failed.result()
        except BaseException:
            self._stop.set()  # the trials that run end after their rounds
            for future in futures:
                future.cancel()
            raise
        return [trial for future in futures if (trial := future.result()) is not None]

    def _recalled(self, number: int, values: Values) -> Trial:
        """A trial of the journal, which must be the one that is proposed now."""
        trial = self.known[number]
        if trial.values != {name: native(text) for name, text in values.items()}:
            message = f"trial {number} of the journal has other values than this search proposes"
            helps = ["the version of Optuna has changed, perhaps; begin a search in another folder"]
            raise problem("R0095", message, helps=helps)
        return trial

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        """What is raised inside ends the search, which can be gone on with, as the error says."""
        try:
            with diagnosed("the search"):
                yield
        except SparkNetError as error:
            if self.folder is None:
                raise
            kept = f"the trials until now are kept in `{self.folder.path}`"
            note = f"{kept}; the same with `--resume`, or `resume=True` in Python, goes on"
            raise SparkNetError([replace(d, notes=(*d.notes, note)) for d in error.diagnostics]) from error

    # ----- one trial -----

    def _trial(self, number: int, values: Values) -> Trial | None:
        """A trial from beginning to end; None where there is no time for it, or no more use."""
        late = self.rules.seconds is not None and perf_counter() - self.began > self.rules.seconds
        if late or self._stop.is_set():
            return None
        natives = {name: native(text) for name, text in values.items()}
        began = perf_counter()
        self._tell(TrialStarted(number, natives))
        watch = _Watch(self, number)
        try:
            net = self.subject.net(self.choices, values)
            self.shared.check(net)
            trained = self._train(net, watch)
        except SparkNetError as error:
            if not all(d.code.startswith("E") or d.code in OF_THE_TRIAL for d in error.diagnostics):
                raise
            why = "; ".join(d.message for d in error.diagnostics[:1])
            rounds, curve = len(watch.curve), tuple(watch.curve)
            return self._over(
                Trial(number, "failed", natives, None, {}, rounds, 0, 0, _since(began), why, watch.data, curve)
            )
        if watch.is_cancelled:
            return None
        state: State = "pruned" if watch.is_pruned else "finished"
        score = trained.history[trained.kept_round - 1].score
        assert score is not None  # noqa: S101 - there are validation rows
        trial = Trial(
            trial=number,
            state=state,
            values=natives,
            score=judged(score, self.rules.judge),
            scores={"loss": score.loss, **score.metrics},
            rounds=len(trained.history),
            kept_round=trained.kept_round,
            workers=trained.workers,
            seconds=_since(began),
            why=None,
            data=watch.data,
            curve=tuple(watch.curve),
        )
        return self._over(trial, net, trained)

    def _train(self, net: CompiledNet, watch: _Watch) -> TrainedNet:
        view = self.shared.view(self._check_data)
        try:
            with diagnosed("training"):
                return train(self._quiet(net), view, watch.event, callback=watch.round)
        finally:
            watch.data = view.data
            view.close()

    def _check_data(self, data: str) -> None:
        """Raise SparkNetError where the rows are others than those of a trial that had them alike.

        Asked before the first round of each trial, and of the best one when it is trained again.
        """
        alike, _, digest = data.partition(":")
        journal = {trial.data for trial in self.known.values() if trial.data and trial.data.partition(":")[0] == alike}
        with self._lock:
            if self._data.setdefault(alike, digest) != digest:
                raise changed("the data")
        if journal - {data}:
            helps = ["take back what was changed, or begin a search in another folder"]
            raise problem("R0095", "the rows are others than those of the trials in the journal", helps=helps)

    def _quiet(self, net: CompiledNet) -> CompiledNet:
        """The net as a trial has it: without checkpoints, as the journal serves for going on."""
        return self.subject.fed(net).with_train(checkpoint=None)

    def _over(self, trial: Trial, net: CompiledNet | None = None, trained: TrainedNet | None = None) -> Trial:
        """Write down a trial, and keep what was trained where it is the best until now."""
        with self._lock:
            if self.folder is not None:
                self.folder.add(trial)
            if trial.state == "finished" and net is not None and trained is not None:
                before = [] if self._best is None else [self._best[0]]
                if ranked([trial, *before], self.rules.judge)[0] is trial:
                    self._best = (trial, net, trained)
        self._tell(trial)
        return trial

    def _tell(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Note):
                if event.text in self._notes:
                    return
                self._notes.add(event.text)
            self.progress(event)

    def _outcome(self, trials: list[Trial]) -> Outcome:
        order = ranked(trials, self.rules.judge)
        if self.folder is not None:
            every = {**self.known, **{trial.trial: trial for trial in trials}}  # a shorter search forgets none
            journal = [every[number] for number in sorted(every)]
            self.folder.finish(journal, order, [choice.name for choice in self.choices.every])
        if not order:
            raise problem(
                "R0094",
                "there was no time for a single trial",
                helps=["give it a longer `--timeout`, or `timeout=` in Python"],
            )
        best = order[0]
        if best.state != "finished":
            notes = [f"trial {best.trial}: {best.why}"] if best.why else []
            raise problem("R0094", f"none of {len(trials)} trials finished", notes=notes)
        if self._best is not None and self._best[0].trial == best.trial:
            return Outcome(trials, best, self._best[1], self._best[2])
        return Outcome(trials, best, self.subject.net(self.choices, texts_of(best.values)), None)


class _Watch:
    """What the search sees of a trial that runs."""

    def __init__(self, search: Search, number: int) -> None:
        self._search = search
        self._number = number
        self._rows = 0
        self._rounds = 0
        self.curve: list[tuple[int, float]] = []
        self.data: str | None = None
        self.is_pruned = False
        self.is_cancelled = False

    def event(self, event: training.Event) -> None:
        """What the trainer tells."""
        if isinstance(event, Prepared):
            self._rounds = event.rounds
        elif isinstance(event, Note):
            self._search._tell(event)

    def round(self, record: RoundRecord) -> bool:
        """Whether the trial ends with this round."""
        assert record.score is not None  # noqa: S101 - there are validation rows
        search, score = self._search, judged(record.score, self._search.rules.judge)
        self._rows += record.train.rows
        self.curve.append((self._rows, score))
        search._tell(TrialRound(self._number, record.round, self._rounds, score))
        self.is_cancelled = search._stop.is_set()
        last = record.round == self._rounds
        self.is_pruned = (
            search.rules.prune
            and not last
            and is_hopeless(tuple(self.curve), self._rounds, search._others, search.rules.judge)
        )
        return self.is_cancelled or self.is_pruned


def _since(began: float) -> float:
    return round(perf_counter() - began, 3)


def _done(trial: Trial) -> Future[Trial | None]:
    future: Future[Trial | None] = Future()
    future.set_result(trial)
    return future
