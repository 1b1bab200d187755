"""`sparknet tune` as a command, and what it shows on a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from sparknet.cli.main import cli
from sparknet.cli.trials import SearchDisplay, short_names
from sparknet.compiler.stopping import Judge
from sparknet.grammar import SparkNetError
from sparknet.runtime.tuning.records import Started, Trial, TrialRound, TrialStarted

NET = """\
let width = choose(2, 16)

net Iris {
  input flower: float[4]
  dense(width, relu) -> dense(3)
  output kind: class[3]
}

data {
  source = iris()
  flower = columns("sepal_*", "petal_*") / 10
  kind   = column("species")
  split  = {train: 0.6, validation: 0.2, test: 0.2}
}

train {
  optimizer = adam(lr: choose(0.05, 1e38))
  batch     = 8
  epochs    = 5
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "iris.net").write_text(NET)
    return tmp_path / "iris.net"


def tune(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["tune", *map(str, arguments)], standalone_mode=False)


def test_a_line_a_trial_and_a_table_at_the_end(file: Path, tmp_path: Path) -> None:
    result = tune(file, "--local", "-o", tmp_path / "found", "--metric", "accuracy", "--parallel", 1)
    assert result.exception is None
    lines = [re.sub(r" +", " ", line).strip() for line in result.stdout.splitlines()]
    assert lines[0] == "search 4 trials, all combinations, 1 at a time in this process; by accuracy on validation"
    assert re.fullmatch(r"trial 1/4 width = 2, lr = 0.05 accuracy \S+ % 5 rounds \S+ s", lines[1])
    assert re.match(r"trial 2/4 width = 2, lr = 1e38 failed: the .* not finite: round 1", lines[2])
    head = lines.index("trial accuracy width lr rounds seconds ended")
    assert [line.split()[0] for line in lines[head + 1 : head + 5]] in (["1", "3", "2", "4"], ["3", "1", "2", "4"])
    assert re.match(r"best trial [13]: width = \d+, lr = 0.05", lines[head + 6])
    assert [line.split()[0] for line in lines[-4:]] == ["validation", "test", "time", "saved"]
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        "best",
        "search.json",
        "trials.csv",
        "trials.jsonl",
    }
    assert isinstance(tune(file, "--local", "-o", tmp_path / "found").exception, SparkNetError)
    again = tune(file, "--local", "-o", tmp_path / "found", "--metric", "accuracy", "--resume")
    assert "resumed    4 trials known already" in again.stdout
    assert re.sub(r"time .*", "", again.stdout[again.stdout.index("\n\n") :]) == re.sub(
        r"time .*", "", result.stdout[result.stdout.index("\n\n") :]
    ), "the same table"


def test_a_terminal_shows_the_trials_that_run() -> None:
    text = io.StringIO()
    display = SearchDisplay(Console(file=text, force_terminal=True, width=120, height=20), "here")
    judge = Judge("accuracy", False)
    for event in (
        Started(4, 2, "tpe", 0, judge),
        TrialStarted(1, {"train.optimizer.lr": 0.1}),
        TrialStarted(2, {"train.optimizer.lr": 0.2}),
        TrialRound(2, 3, 10, 0.5),
        Trial(2, "finished", {"train.optimizer.lr": 0.2}, 0.75, {}, 10, 10, 1, 1.0, None, None, ()),
    ):
        display(event)
    display.stop()
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text.getvalue())
    assert "4 trials, proposed by TPE, 2 at a time here; by accuracy on validation" in shown
    assert "trial 2  lr = 0.2  round 3/10  accuracy 50.0 %" in shown
    assert "1 of 4 trials, best accuracy 75.0 %: lr = 0.2" in shown


def test_columns_have_short_names_where_these_are_clear() -> None:
    assert short_names(["lr", "train.batch", "train.sync.lr"]) == {
        "lr": "lr",
        "train.batch": "batch",
        "train.sync.lr": "train.sync.lr",
    }
