"""What `sparknet tune` shows: a live table of the trials on a terminal, a plain line a trial elsewhere, the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sparknet.cli.tables import count, line
from sparknet.runtime.training.records import Note
from sparknet.runtime.tuning.records import (
    Event,
    Started,
    Trial,
    TrialRound,
    TrialStarted,
    Value,
    written,
)
from sparknet.runtime.tuning.tune import Tuned

_SHOWN = 30
"""Rows of the table of results; all are in the file."""


def short_names(names: Sequence[str]) -> dict[str, str]:
    """What a column is called: the last part of a name where no other name ends so, `lr` for `train.optimizer.lr`."""
    last = Counter(name.rpartition(".")[2] for name in names)
    return {name: name if last[end] > 1 else end for name in names if (end := name.rpartition(".")[2])}


def assigned(values: Mapping[str, Value], names: Mapping[str, str] | None = None) -> str:
    """`lr = 0.01, width = 64`."""
    names = names or short_names(list(values))
    return ", ".join(f"{names[name]} = {written(value)}" for name, value in values.items())


def shown(metric: str, score: float) -> str:
    """A score as people read it."""
    return f"{100 * score:.1f} %" if metric.endswith("accuracy") else f"{score:.4g}"


class SearchDisplay:
    """Shows a search as its events arrive."""

    def __init__(self, console: Console, where: str) -> None:
        self._console = console
        self._where = where
        self._started: Started | None = None
        self._running: dict[int, tuple[TrialStarted, TrialRound | None]] = {}
        self._over = 0
        self._best: Trial | None = None
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __call__(self, event: Event) -> None:
        """Show one event of the search."""
        match event:
            case Note():
                line(self._console, "note", event.text)
            case Started():
                self._begin(event)
            case TrialStarted():
                self._running[event.trial] = (event, None)
            case TrialRound():
                self._running[event.trial] = (self._running[event.trial][0], event)
            case Trial():
                self._trial(event)
        if self._live is not None and self._started is not None:
            self._live.update(Group(*self._shown()), refresh=True)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()

    def _begin(self, event: Started) -> None:
        self._started, self._over = event, 0
        how = "all combinations" if event.sampler == "grid" else "proposed by TPE"
        beside = f"{event.parallel} at a time {self._where}"
        line(
            self._console,
            "search",
            f"{count(event.trials, 'trial')}, {how}, {beside}; by {event.judge.metric} on validation",
        )
        if event.known:
            line(self._console, "resumed", f"{count(event.known, 'trial')} known already")
            self._over = event.known
        if self._live is not None:
            self._live.start()

    def _trial(self, event: Trial) -> None:
        self._running.pop(event.trial, None)
        self._over += 1
        assert self._started is not None  # noqa: S101 - trials come after the beginning
        width = len(str(self._started.trials))
        rounds, metric = count(event.rounds, "round"), self._started.judge.metric
        what = f"failed: {event.why}"
        if event.score is not None:
            score = f"{metric} {shown(metric, event.score)}"
            what = f"{score}  {'pruned after ' * (event.state == 'pruned')}{rounds}"
            if event.state == "finished" and self._is_best(event.score):
                self._best = event
        if self._live is None:
            label = f"{event.trial:{width}}/{self._started.trials}"
            line(self._console, "trial", f"{label}  {assigned(event.values)}  {what}  {event.seconds:.2f} s")

    def _is_best(self, score: float) -> bool:
        assert self._started is not None  # noqa: S101 - trials come after the beginning
        if self._best is None or self._best.score is None:
            return True
        return self._started.judge.gain(score, self._best.score) > 0

    def _shown(self) -> tuple[RenderableType, ...]:
        """How far the search is, and the trials that run."""
        assert self._started is not None  # noqa: S101 - asked for later
        metric = self._started.judge.metric
        title = f"{self._over} of {count(self._started.trials, 'trial')}"
        if self._best is not None and self._best.score is not None:
            title += f", best {metric} {shown(metric, self._best.score)}: {assigned(self._best.values)}"
        table = Table(box=None, pad_edge=False, show_header=False)
        for number, (trial, last) in sorted(self._running.items()):
            rounds = "" if last is None else f"round {last.round}/{last.rounds}"
            score = "" if last is None else f"{metric} {shown(metric, last.score)}"
            table.add_row(f"trial {number}", Text(assigned(trial.values)), rounds, score)
        return Text(title, style="bold"), table


def results(tuned: Tuned, names: Mapping[str, str]) -> Table:
    """The trials from the best to the worst."""
    metric = tuned.judge.metric
    ends = any(trial.state != "finished" for trial in tuned.records)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("trial", metric, *names.values(), "rounds", "seconds"):
        table.add_column(name, justify="right")
    if ends:
        table.add_column("ended", overflow="fold")
    ranked = tuned.ranked
    for trial in ranked[:_SHOWN]:
        score = "" if trial.score is None else shown(metric, trial.score)
        values = [written(trial.values[name]) for name in names]
        why = "pruned" if trial.state == "pruned" else trial.why or ""
        row = [str(trial.trial), score, *values, str(trial.rounds), f"{trial.seconds:.1f}", *([why] if ends else [])]
        table.add_row(*map(Text, row))
    if len(ranked) > _SHOWN:
        table.caption, table.caption_justify = f"and {len(ranked) - _SHOWN} more in trials.csv", "left"
    return table
