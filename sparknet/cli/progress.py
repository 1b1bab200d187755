"""What `sparknet run` shows while it trains.

On a terminal `rich` draws a live progress bar; anywhere else every line is plain text and stays.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sparknet.cli.pace import Pace
from sparknet.cli.tables import amount, count, line
from sparknet.runtime.training.records import Event, Exchanging, Note, Prepared, RoundRecord, Score, Stepped

_REDRAWN = 8
"""Times a second."""


def metrics(score: Score) -> str:
    """`loss 0.0412  accuracy 98.6 %`."""
    parts = [f"loss {score.loss:.4f}" if score.loss < 10_000 else f"loss {score.loss:.4g}"]
    for name, value in score.metrics.items():
        parts.append(f"{name} {100 * value:.1f} %" if name.endswith("accuracy") else f"{name} {value:.4g}")
    return "  ".join(parts)


def rate(rows: float) -> str:
    """`1,240 rows/s`."""
    return f"{rows:,.0f} rows/s" if rows >= 10 else f"{rows:.2g} rows/s"


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `3:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class TrainingDisplay:
    """Shows a training run as its events arrive."""

    def __init__(
        self,
        console: Console,
        where: str,
        step_rows: int,
        rates: bool = False,
        now: Callable[[], float] = perf_counter,
    ) -> None:
        """`step_rows` are those of a step of one worker; `rates` asks for the learning rate of each round."""
        self._console = console
        self._where = where
        self._step_rows = step_rows
        self._rates = rates
        self._now = now
        self._pace: Pace | None = None
        self._round = 0
        self._scores = ""
        self._began = now()
        self._live = Live(console=console, get_renderable=self._bar, refresh_per_second=_REDRAWN)

    def __call__(self, event: Event) -> None:
        """Show one event of the trainer."""
        match event:
            case Note():
                line(self._console, "note", event.text)
            case Prepared():
                self._prepared(event)
            case Exchanging():
                way = (
                    f"by {count(event.slices, 'slice')} through Spark's shuffle"
                    if event.slices
                    else "straight to the driver"
                )
                line(self._console, "exchange", f"{way}, {amount(event.bytes_up)} a round")
            case Stepped():
                if self._pace is not None:
                    self._pace.stepped(event.steps)
            case RoundRecord():
                self._finished(event)

    def stop(self) -> None:
        """Leave the terminal as it was, the bar as it stood last."""
        self._live.stop()

    def _prepared(self, event: Prepared) -> None:
        rows = ", ".join(f"{number:,} {split}" for split, number in event.rows.items())
        each = f"{event.row_bytes:,} bytes a row, ready in {event.seconds:.1f} s"
        line(self._console, "rows", f"{sum(event.rows.values()):,}: {rows}; {each}")
        workers = f"{count(event.workers, 'worker')} {self._where}"
        steps = count(event.steps, "step") + (" each worker" if event.workers > 1 else "")
        line(self._console, "work", f"{workers}; {count(event.rounds, 'round')}, {steps}")
        self._round, self._began = event.rounds_done, self._now()
        self._pace = Pace(event, self._began)
        if self._console.is_terminal:
            self._live.start()

    def _finished(self, event: RoundRecord) -> None:
        scores = metrics(event.train)
        if self._rates:
            scores = f"lr {event.learning_rate:.3g}  {scores}"
        if event.score is not None:
            scores += f"  |  {event.score.split} {metrics(event.score)}"
        if self._pace is None:
            return
        rounds = self._pace.prepared.rounds
        self._round, self._scores = event.round, scores
        self._pace.finished(event, self._now())
        if self._console.is_terminal:
            if event.round == rounds:
                self._live.stop()
            return
        label = f"{event.round:{len(str(rounds))}}/{rounds}"
        speed = f"{event.seconds_total:.2f} s  {rate(event.rows_a_second)}"
        line(self._console, "round", f"{label}  epoch {event.epoch}  {scores}  {speed}")

    def _bar(self) -> Group:
        """Two lines: how far and how fast, and below it the scores of the newest round."""
        if self._pace is None:
            return Group()
        now, prepared = self._now(), self._pace.prepared
        position = self._pace.position(now)
        share = None if position is None else position / prepared.steps
        left, rows = self._pace.left(now), self._pace.rows_a_second(now, self._step_rows)
        numbers = [
            "" if share is None else f"{100 * share:.0f} %",
            "" if rows is None else rate(rows),
            clock(now - self._began),
            "" if left is None or self._round == prepared.rounds else f"{clock(left)} left",
        ]
        grid = Table.grid(padding=(0, 1), expand=False)
        bar = ProgressBar(total=1.0, completed=share or 0.0, width=24, pulse=share is None)
        label = Text(f"{'round':<11}{self._round}/{prepared.rounds}", style="bold")
        grid.add_row(label, bar, Text("  ".join(filter(None, numbers))))
        return Group(grid, Text(f"{'':<11}{self._scores}", no_wrap=True, overflow="ellipsis"))
