"""What `sparknet run` shows while it trains.

On a terminal `rich` draws a live progress bar; anywhere else every line is plain text and stays.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sparknet.cli.tables import count, line
from sparknet.runtime.training.records import Event, Note, Prepared, RoundRecord, Score


def metrics(score: Score) -> str:
    """`loss 0.0412  accuracy 98.6 %`."""
    parts = [f"loss {score.loss:.4f}" if score.loss < 10_000 else f"loss {score.loss:.4g}"]
    for name, value in score.metrics.items():
        parts.append(f"{name} {100 * value:.1f} %" if name.endswith("accuracy") else f"{name} {value:.4g}")
    return "  ".join(parts)


class TrainingDisplay:
    """Shows a training run as its events arrive."""

    def __init__(self, console: Console, where: str, rates: bool = False) -> None:
        """`rates` asks for the learning rate of each round."""
        self._console = console
        self._where = where
        self._rates = rates
        self._rounds = 0
        self._task: TaskID | None = None
        self._bar = Progress(
            TextColumn("round {task.completed}/{task.total}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[scores]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __call__(self, event: Event) -> None:
        """Show one event of the trainer."""
        match event:
            case Note():
                line(self._console, "note", event.text)
            case Prepared():
                self._prepared(event)
            case RoundRecord():
                self._round(event)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()

    def _prepared(self, event: Prepared) -> None:
        rows = ", ".join(f"{number:,} {split}" for split, number in event.rows.items())
        each = f"{event.row_bytes:,} bytes a row, ready in {event.seconds:.1f} s"
        line(self._console, "rows", f"{sum(event.rows.values()):,}: {rows}; {each}")
        workers = f"{count(event.workers, 'worker')} {self._where}"
        line(self._console, "work", f"{workers}; {count(event.rounds, 'round')}, {count(event.steps, 'step')} each")
        self._rounds = event.rounds
        self._task = self._bar.add_task("", total=event.rounds, scores="")
        self._bar.start()

    def _round(self, event: RoundRecord) -> None:
        scores = metrics(event.train)
        if self._rates:
            scores = f"lr {event.learning_rate:.3g}  {scores}"
        if event.score is not None:
            scores += f"  |  {event.score.split} {metrics(event.score)}"
        if self._console.is_terminal and self._task is not None:
            self._bar.update(self._task, completed=event.round, scores=scores)
            if event.round == self._rounds:
                self._bar.stop()
            return
        width = len(str(self._rounds))
        label = f"{event.round:{width}}/{self._rounds}"
        line(self._console, "round", f"{label}  epoch {event.epoch}  {scores}  {event.seconds_total:.2f} s")
