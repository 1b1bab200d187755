"""Trials and what a search tells of itself; `trials.jsonl`, its journal, and `trials.csv`, its table."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from sparknet.compiler.stopping import Judge
from sparknet.grammar.spell import number
from sparknet.runtime.hostile import damaged, explain, read_file
from sparknet.runtime.training.records import Note

JOURNAL, TABLE = "trials.jsonl", "trials.csv"
MAX_JOURNAL = 256 << 20
"""The most bytes of a journal that are read."""

State = Literal["finished", "pruned", "failed"]
Value = bool | int | float | str
"""A number or truth as such; any other value as it is written in a file."""
Curve = tuple[tuple[int, float], ...]
"""After each round the rows trained on so far, and the score on the validation rows."""

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


@dataclass(frozen=True)
class Trial:
    """A trial that is over, one line of the journal; `score` is by the metric of the search, on validation rows."""

    __pydantic_config__ = _STRICT

    trial: int
    state: State
    values: dict[str, Value]
    score: float | None
    """That of the round whose weights the run keeps."""
    scores: dict[str, float]
    """Loss and all metrics of that round."""
    rounds: int
    kept_round: int
    workers: int
    seconds: float
    why: str | None
    """What it failed by."""
    data: str | None
    """How its rows were encoded and what became of them, as two short digests; None where it did not come so far."""
    curve: Curve


# ----- what a search tells while it runs -----


@dataclass(frozen=True)
class Started:
    """A search begins: how many trials there will be at most, how many of them at a time."""

    trials: int
    parallel: int
    sampler: Literal["grid", "tpe"]
    known: int
    """How many of them are in the journal already."""
    judge: Judge


@dataclass(frozen=True)
class TrialStarted:
    """A trial begins."""

    trial: int
    values: dict[str, Value]


@dataclass(frozen=True)
class TrialRound:
    """A trial has a round more behind it, of so many."""

    trial: int
    round: int
    rounds: int
    score: float


Event = Note | Started | TrialStarted | TrialRound | Trial
Progress = Callable[[Event], None]


# ----- values -----


def native(text: str) -> Value:
    """A value as it is written, as a number or a truth where it is one."""
    if text in ("true", "false"):
        return text == "true"
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, int | float) else text


def written(value: Value) -> str:
    """A value as it is written in a file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number(value)


# ----- order -----


def ranked(trials: Iterable[Trial], judge: Judge) -> list[Trial]:
    """Finished trials from the best to the worst, then pruned ones, then failed ones; the first of equals first."""
    states = ("finished", "pruned", "failed")

    def place(trial: Trial) -> tuple[int, float, int]:
        score = 0.0 if trial.score is None else trial.score
        return states.index(trial.state), score if judge.lower_is_better else -score, trial.trial

    return sorted(trials, key=place)


# ----- files -----


def line_of(trial: Trial) -> bytes:
    """A trial as a line of the journal."""
    return TypeAdapter(Trial).dump_json(trial) + b"\n"


def append(path: Path, trial: Trial) -> None:
    """Add a trial to a journal, down to the disk."""
    with path.open("ab") as file:
        file.write(line_of(trial))
        file.flush()
        os.fsync(file.fileno())


def rewrite(path: Path, data: bytes) -> None:
    """Replace a file at once, so that whatever happens it is the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_journal(path: Path) -> list[Trial]:
    """The trials of a journal in their order, whose last line may be cut off; raises SparkNetError."""
    if not path.exists():
        return []
    data = read_file(path, MAX_JOURNAL)
    reader, found = TypeAdapter(Trial), dict[int, Trial]()
    for position, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            trial = reader.validate_json(line)
        except ValidationError as error:
            raise damaged(path, f"line {position}: {explain(error)}") from error
        if trial.trial in found or trial.trial < 1:
            raise damaged(path, f"line {position}: trial {trial.trial} is there already")
        found[trial.trial] = trial
    return [found[key] for key in sorted(found)]


def csv_of(trials: Sequence[Trial], names: Sequence[str]) -> str:
    """Trials as a table with a column for each choice and each score, in the order given."""
    scores = list(dict.fromkeys(name for trial in trials for name in trial.scores))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["trial", "state", "score", *names, *scores, "rounds", "seconds", "why"])
    for trial in trials:
        values = [written(trial.values[name]) for name in names]
        own = [trial.scores.get(name, "") for name in scores]
        score = "" if trial.score is None else trial.score
        rows.writerow([trial.trial, trial.state, score, *values, *own, trial.rounds, trial.seconds, trial.why or ""])
    return text.getvalue()


def texts_of(values: Mapping[str, Value]) -> dict[str, str]:
    """Values as they are written."""
    return {name: written(value) for name, value in values.items()}
