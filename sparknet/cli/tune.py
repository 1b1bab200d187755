"""`sparknet tune`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from click.exceptions import Exit
from rich.console import Console

from sparknet.cli.files import read
from sparknet.cli.progress import metrics
from sparknet.cli.run import NO_JAVA
from sparknet.cli.tables import count, line, make_console
from sparknet.cli.trials import SearchDisplay, assigned, results, short_names
from sparknet.runtime.runs import OnSpark
from sparknet.runtime.spark.java import lacks_java
from sparknet.runtime.spark.masters import check_master, chosen_master
from sparknet.runtime.spark.waits import DEFAULT_WAITS, Waits
from sparknet.runtime.training.records import Score
from sparknet.runtime.tuning.folder import BEST
from sparknet.runtime.tuning.records import TABLE
from sparknet.runtime.tuning.subject import Subject
from sparknet.runtime.tuning.tune import Given, Options, Tuned, search

_UNBOUNDED = 10_000
"""The width of what is no terminal: a row stays in its line."""


def tune_file(
    file: Path,
    output: Path,
    options: Options,
    master: str | None,
    local: bool,
    settings: Sequence[str] = (),
    root: Path | None = None,
    data_roots: Sequence[str] = (),
    waits: Waits = DEFAULT_WAITS,
) -> None:
    """Search the choices of the net in `file`, show how it goes and leave the search in `output`."""
    console, began = make_console(), perf_counter()
    if not console.is_terminal:
        console.width = _UNBOUNDED
    check_master(master)
    if not local and lacks_java(master):
        line(console, "note", NO_JAVA)
        local = True
    where = "in this process" if local else f"on {chosen_master(master)}"
    display = SearchDisplay(console, where)
    on = None if local else OnSpark(master, waits=waits)
    subject = Subject(read(file), tuple(settings), root)
    try:
        tuned = search(subject, options, on, Given({}, tuple(data_roots)), output, display)
    except KeyboardInterrupt:
        display.stop()
        line(console, "stopped", f"the trials until now are in {output}; the same command with --resume goes on")
        raise Exit(130) from None
    finally:
        display.stop()
    _summary(console, tuned, output, perf_counter() - began)


def _summary(console: Console, tuned: Tuned, output: Path, seconds: float) -> None:
    names = short_names([choice.name for choice in tuned.choices.every])
    console.print("")
    console.print(results(tuned, names))
    console.print("")
    shares = [f"{names[name]} {100 * share:.0f} %" for name, share in tuned.importances.items()]
    if shares:
        line(console, "mattered", ", ".join(shares))
    best, manifest = tuned.best, tuned.model.run.manifest
    line(console, "best", f"trial {best.trial}: {assigned(best.values, names)}")
    for split, score in manifest.scores.items():
        line(console, split, f"{metrics(Score(split, score.rows, score.loss, score.metrics))}  ({score.rows:,} rows)")
    trained = sum(trial.seconds for trial in tuned.records)
    time = f"{seconds:.1f} s for {count(len(tuned.records), 'trial')} of {trained:.1f} s together"
    line(console, "time", time)
    line(console, "saved", f"{output / BEST}, the run of the best trial; {output / TABLE}")
