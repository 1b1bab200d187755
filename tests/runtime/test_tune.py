"""`sparknet tune` and `sparknet.tune`: the same trials however many run at a time, wherever, and after a kill."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler.choices import Choice, Choices, Range
from sparknet.compiler.stopping import Judge
from sparknet.grammar import Label, Source, SparkNetError
from sparknet.grammar.syntax import Span
from sparknet.runtime.encoding.encode import Layout
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.problems import problem
from sparknet.runtime.sources.places import in_memory
from sparknet.runtime.tuning.folder import SearchFolder
from sparknet.runtime.tuning.pruning import is_hopeless
from sparknet.runtime.tuning.records import Trial, ranked
from sparknet.runtime.tuning.sampling import Tpe
from sparknet.runtime.tuning.shared import SharedData
from sparknet.runtime.tuning.tune import Tuned
from tests.runtime.conftest import only, rows, small_net

ROOT = Path(__file__).parents[2]
SPLIT = "{train: 0.6, validation: 0.2, test: 0.2}"
LOWER = Judge("loss", True)


@pytest.fixture
def net(folder: Path) -> Path:
    """The small net with things to choose, beside its rows: one learning rate diverges, one width fits no tuple."""
    small_net(folder, split=SPLIT)
    path = folder / "small.net"
    text = path.read_text().replace("lr: 0.01", "lr: range(0.001, 1, log: true)")
    text = text.replace("dense(8, relu)", "dense(width, act)").replace("batch = 8", "batch = choose(8, 16)")
    path.write_text("let width = range(2, 12)\nlet act = choose(relu, tanh)\n" + text)
    return path


def journal(folder: Path) -> list[dict[str, Any]]:
    """The trials of a search but for their seconds."""
    found = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in found]


def search(net: Path, output: Path, **options: Any) -> Tuned:
    return sparknet.tune(net, output=output, **{"trials": 6, "batch": 3, "metric": "accuracy", **options})


# ----- the same trials -----


def test_the_trials_are_the_same_however_many_run_at_a_time(net: Path, tmp_path: Path) -> None:
    one = search(net, tmp_path / "one", parallel=1)
    three = search(net, tmp_path / "three", parallel=3)
    assert journal(tmp_path / "one") == journal(tmp_path / "three")
    assert len(one.records) == 6
    assert one.model.run.parameters.tobytes() == three.model.run.parameters.tobytes()
    assert one.records[0].values == {"width": 7, "act": "relu", "train.optimizer.lr": 0.03162, "train.batch": 8}
    assert journal(tmp_path / "one") != journal_of(search(net, tmp_path / "other", settings=["train.seed=4"]))


def journal_of(tuned: Tuned) -> list[dict[str, Any]]:
    return [{**trial.__dict__, "seconds": 0} for trial in tuned.records]


def test_trials_side_by_side_on_spark(net: Path, tmp_path: Path, spark: SparkSession) -> None:
    here = search(net, tmp_path / "here")
    there = search(net, tmp_path / "there", spark=spark)
    assert journal(tmp_path / "here") == journal(tmp_path / "there")
    assert here.model.run.parameters.tobytes() == there.model.run.parameters.tobytes()
    assert (tmp_path / "here/best/net.net").read_text() == (tmp_path / "there/best/net.net").read_text()


def test_what_has_no_room_on_spark_or_comes_late(net: Path, tmp_path: Path, spark: SparkSession) -> None:
    def refused(**options: Any) -> SparkNetError:
        with pytest.raises(SparkNetError) as raised:
            search(net, tmp_path / "none", spark=spark, settings=["act=relu"], **options)
        assert not (tmp_path / "none").exists()
        return raised.value

    text = net.read_text().replace("range(2, 12)", "20000").replace("range(0.001, 1, log: true)", "0.01")
    net.write_text(text.replace("choose(8, 16)", "choose(8, 1000000)"))
    tuned = search(net, tmp_path / "one", spark=spark, settings=["act=relu"], trials=2)
    assert [trial.state for trial in tuned.records] == ["finished", "failed"]
    assert re.match(r"2 tasks at once on \S+ take about [\d,.]+ GiB of memory", tuned.records[1].why or "")
    net.write_text(text.replace("choose(8, 16)", "choose(1000000, 8)"))
    (error,) = refused().diagnostics
    assert (error.code, error.helps[1]) == (
        "R0067",
        "fewer trials at a time take less: `--parallel`, or `parallel=` in Python",
    )
    assert refused(start_timeout=1e-3).diagnostics[0].code == "R0064"
    net.write_text(text)
    assert re.match("opening the data: no answer from Spark", refused(job_timeout=1e-3).diagnostics[0].message)


def test_a_search_that_was_killed_goes_on_as_if_nothing_had_been(net: Path, tmp_path: Path) -> None:
    whole = search(net, tmp_path / "whole")
    lines = (tmp_path / "whole/trials.jsonl").read_bytes().splitlines(keepends=True)
    for kept in (0, 2, 6):
        folder = tmp_path / f"kept{kept}"
        shutil.copytree(tmp_path / "whole", folder)
        shutil.rmtree(folder / "best")
        cut = lines[kept][:40] if kept < len(lines) else b""
        (folder / "trials.jsonl").write_bytes(b"".join(reversed(lines[:kept])) + cut)
        again = search(net, folder, resume=True)
        assert journal(folder) == journal(tmp_path / "whole")
        assert again.model.run.parameters.tobytes() == whole.model.run.parameters.tobytes()
        assert sparknet.load(folder / "best").net.source.text == whole.model.net.source.text
    more = search(net, tmp_path / "whole", resume=True, trials=8)
    assert journal(tmp_path / "whole")[:6] == journal(tmp_path / "kept0")
    assert len(more.records) == 8


@pytest.mark.parametrize("error", [problem("R0033", "the search: Spark failed: gone"), PySparkException("gone")])
def test_an_error_that_is_no_trials_own_ends_the_search_which_goes_on_later(
    net: Path, tmp_path: Path, error: Exception
) -> None:
    def breaks(trial: Trial) -> None:
        if trial.trial == 5:
            raise error

    whole = search(net, tmp_path / "whole")
    with pytest.raises(SparkNetError) as raised:
        search(net, tmp_path / "broken", parallel=2, callback=breaks)
    assert only(raised) == "R0033 the search: Spark failed: gone"
    assert "`--resume`, or `resume=True` in Python, goes on" in str(raised.value)
    assert 3 < len(journal(tmp_path / "broken")) < 7
    assert not (tmp_path / "broken/best").exists()
    assert search(net, tmp_path / "broken", resume=True).best.values == whole.best.values
    assert journal(tmp_path / "broken") == journal(tmp_path / "whole")


def test_a_search_whose_spark_dies_goes_on_without_it(net: Path, tmp_path: Path) -> None:
    net.write_text(net.read_text().replace("epochs = 2", "epochs = 8"))
    options = ["--metric", "accuracy", "--trials", "6", "--batch", "3"]
    command = [sys.executable, "-m", "sparknet.cli.main", "tune", str(net), "-o", str(tmp_path / "there"), *options]
    on_spark, lines = [*command, "--master", "local[2]"], tmp_path / "there/trials.jsonl"
    with subprocess.Popen(on_spark, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        end = time.monotonic() + 400
        while process.poll() is None and time.monotonic() < end and not (lines.exists() and lines.stat().st_size):
            time.sleep(0.1)
        for java in children(process.pid):
            os.kill(java, signal.SIGKILL)
        said = process.communicate(timeout=200)[1]
    assert process.returncode == 1
    told = r"error\[R0033\]: [^\n]*: Spark failed: nothing answers any more [^\n]*\n[^\n]*`--resume`, [^\n]* goes on\n"
    assert re.search(told, said)
    assert "Traceback" not in said
    subprocess.run([*command, "--local", "--resume"], check=True, capture_output=True, timeout=200, cwd=ROOT)
    search(net, tmp_path / "here")
    assert journal(tmp_path / "there") == journal(tmp_path / "here")


def children(pid: int) -> list[int]:
    """The Java processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = status.read_text().partition("(")[2].rpartition(")")
            if name == "java" and int(rest.split()[1]) == pid:
                found.append(int(status.parent.name))
    return found


# ----- what a search finds -----

GRID = """\
let width = choose(4, 8)
let pools = choose(0, 2)

net N {
  input x: float[1, 4, 1]
  repeat pools { maxpool(2) }
  flatten -> dense(width, relu) -> dense(3)
  output y: class[3]
}

data {
  source = parquet("rows.parquet")
  x      = column("x")
  y      = column("y")
  split  = {train: 0.6, validation: 0.2, test: 0.2}
}

train {
  optimizer = sgd(lr: choose(0.01, 1e30))
  epochs    = 2
}
"""


def test_a_small_space_is_tried_whole_and_what_cannot_be_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "grid.net").write_text(GRID)
    tuned = search(folder / "grid.net", tmp_path / "grid", trials=8)
    assert len(tuned.records) == 8
    whys = {(t.values["pools"], t.values["train.optimizer.lr"]): t.why or t.state for t in tuned.records}
    assert whys[0, 0.01] == "finished"
    assert "not finite" in whys[0, 1e30]
    assert whys[2, 0.01] == "a window of 2x2 does not fit into an image of 4x1"
    assert tuned.best.state == "finished"
    assert [t.state for t in tuned.ranked] == ["finished"] * 2 + ["failed"] * 6
    table = pd.read_csv(tmp_path / "grid/trials.csv")
    assert list(table.columns[:6]) == ["trial", "state", "score", "width", "pools", "train.optimizer.lr"]
    assert table["trial"].tolist() == [t.trial for t in tuned.ranked] == tuned.trials["trial"].tolist()


def test_the_best_run_is_that_of_its_own_source(folder: Path, tmp_path: Path) -> None:
    (folder / "grid.net").write_text(GRID)
    tuned = search(folder / "grid.net", tmp_path / "grid")
    text = (tmp_path / "grid/best/net.net").read_text()
    assert "choose" not in text
    assert f"let width = {tuned.best.values['width']}" in text
    shutil.copy(tmp_path / "grid/best/net.net", folder / "again.net")
    again = sparknet.train(folder / "again.net")
    assert again.run.parameters.tobytes() == tuned.model.run.parameters.tobytes()
    assert tuned.best.score == again.scores["validation"]["accuracy"]


def test_frames_of_a_program(net: Path) -> None:
    table, heard = rows(240).to_pandas(), list[int]()
    text = re.sub(r"split *=.*\n", "", net.read_text())
    with pytest.raises(SparkNetError) as raised:
        sparknet.tune(text, table, trials=2)
    assert "R0092" in only(raised)
    tuned = sparknet.tune(
        text, table[:180], validation=table[180:], trials=3, batch=2, callback=lambda trial: heard.append(trial.trial)
    )
    assert sorted(heard) == [1, 2, 3]
    assert tuned.best.score == tuned.model.evaluate(table[180:])["loss"]
    assert (tuned.judge.metric, len(tuned.trials)) == ("loss", 3)


def test_a_search_ends_when_its_time_is_over_or_nothing_is_left(net: Path, tmp_path: Path) -> None:
    with pytest.raises(SparkNetError) as raised:
        search(net, tmp_path / "late", timeout=1e-9)
    assert only(raised) == "R0094 there was no time for a single trial"
    text = net.read_text().replace("range(0.001, 1, log: true)", "0.01").replace("range(2, 12)", "range(2, 3)")
    net.write_text(text)
    search(net, tmp_path / "few", trials=5)
    assert len(search(net, tmp_path / "few", trials=50, resume=True).records) == 8, "all that there are"


# ----- what it refuses -----


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            ("let width = range(2, 12)", "let width = 3"),
            {"settings": ["act=relu", "train.batch=8", "train.optimizer=adam"]},
            "R0091 `{net}` has nothing to choose",
        ),
        (
            (SPLIT, "{train: 0.8, test: 0.2}"),
            {},
            "R0092 trials are compared on rows for `validation`, and there are none; those for `test` choose nothing",
        ),
        (("", ""), {"metric": "acuracy"}, "R0093 nothing called `acuracy` is measured"),
        (
            ("seed = 3", "seed = 3\n  loss = choose(cross_entropy, cross_entropy(label_smoothing: 0.1))"),
            {"metric": "loss"},
            "R0093 `train.loss` changes what the loss is, so that trials cannot be compared by it",
        ),
        (
            ("seed = 3", "seed = 3\n  loss = cross_entropy(label_smoothing: range(0.1, 0.3))"),
            {"metric": "loss"},
            "R0093 `train.loss.label_smoothing` changes what the loss is, so that trials cannot be compared by it",
        ),
    ],
    ids=["choices", "validation", "metric", "loss", "range"],
)
def test_what_is_said_before_a_search_begins(
    net: Path, tmp_path: Path, change: tuple[str, str], options: dict[str, Any], message: str
) -> None:
    net.write_text(net.read_text().replace(*change))
    with pytest.raises(SparkNetError) as raised:
        search(net, tmp_path / "search", **options)
    assert only(raised) == message.format(net=net)
    assert not (tmp_path / "search").exists()


def test_what_is_said_of_a_search_that_is_there(net: Path, tmp_path: Path) -> None:
    folder = tmp_path / "search"
    search(net, folder, trials=2)

    def refused(**options: Any) -> str:
        with pytest.raises(SparkNetError) as raised:
            search(net, folder, **options)
        return only(raised)

    assert refused() == f"R0095 `{folder}` holds a search already"
    gone = f"R0095 the search in `{folder}` cannot be gone on with: "
    assert refused(resume=True, metric="loss") == gone + "`metric`, accuracy then, changed since"
    changed = "the net, its settings or its workers changed since"
    assert refused(resume=True, settings=["train.epochs=3"]) == gone + changed
    assert refused(resume=True, workers=2) == gone + changed
    lines = (folder / "trials.jsonl").read_text()
    (folder / "trials.jsonl").write_text(lines.replace('"width":7', '"width":8'))
    assert "trial 1 of the journal has other values" in refused(resume=True)
    for wrong in (lines + lines, lines.replace('"finished"', '"won"'), '{"trial":1}\n', lines.replace("2,", "NaN,", 1)):
        (folder / "trials.jsonl").write_text(wrong)
        assert refused(resume=True).startswith(f"R0042 `{folder / 'trials.jsonl'}` is damaged: line ")
    (folder / "search.json").write_text("{}")
    assert refused(resume=True).startswith(f"R0042 `{folder / 'search.json'}` is damaged")


def test_rows_that_have_changed_since(net: Path, tmp_path: Path) -> None:
    search(net, tmp_path / "search", trials=2)
    pq.write_table(rows(220), net.parent / "rows.parquet")
    with pytest.raises(SparkNetError) as raised:
        search(net, tmp_path / "search", trials=4, resume=True)
    assert only(raised) == "R0095 the rows are others than those of the trials in the journal"
    assert len(journal(tmp_path / "search")) == 2


def test_rows_that_have_changed_before_the_best_trial_is_trained_again(net: Path, tmp_path: Path) -> None:
    """Every trial is in the journal, the best run is not there: only its own training meets the rows."""
    search(net, tmp_path / "search", trials=2)
    shutil.rmtree(tmp_path / "search/best")
    pq.write_table(rows(200, duplicates=False), net.parent / "rows.parquet")
    with pytest.raises(SparkNetError) as raised:
        search(net, tmp_path / "search", trials=2, resume=True)
    assert only(raised) == "R0095 the rows are others than those of the trials in the journal"
    assert not (tmp_path / "search/best").exists()


@pytest.mark.parametrize(("count", "workers"), [(220, "choose(1, 2)"), (200, "1")])
def test_rows_that_change_within_a_search(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, workers: str
) -> None:
    """More rows in another encoding; others in one that was let go of, and is made again."""

    def change(trial: Trial) -> None:
        pq.write_table(rows(count, duplicates=False), net.parent / "rows.parquet")

    monkeypatch.setattr(SharedData, "release", forget)
    with pytest.raises(SparkNetError) as raised:
        search(net, tmp_path / "search", batch=2, parallel=1, callback=change, settings=[f"train.workers={workers}"])
    assert only(raised) == "R0023 the data changed while it was being read"


def forget(shared: SharedData, held: Any) -> None:
    """Let go of an encoding at once."""
    del shared._held[held.key], shared._known[held.key]
    held.backend.close()


def test_a_shorter_search_forgets_no_trial(net: Path, tmp_path: Path) -> None:
    search(net, tmp_path / "search", trials=4)
    before = journal(tmp_path / "search")
    assert len(search(net, tmp_path / "search", trials=2, resume=True).records) == 2
    assert journal(tmp_path / "search") == before


# ----- its parts -----


def test_a_backend_whose_encoding_fails_is_let_go_of() -> None:
    closed: list[Failing] = []

    class Failing(LocalBackend):
        def encode(self, *_: object) -> NoReturn:
            raise problem("R0034", "no room")

        def close(self) -> None:
            super().close()
            closed.append(self)

    table = in_memory(pa.table({"x": [1.0]}))
    shared = SharedData(lambda: Failing({"source": table}))
    with pytest.raises(SparkNetError, match="no room"):
        shared.view().encode((), Layout((), 1), {}, 1)
    assert len(closed) == 1
    shared.close()


def test_a_trial_is_hopeless_below_the_median_of_those_before() -> None:
    others = [((10, 1.0), (20, score), (40, score / 2)) for score in (0.9, 0.8, 0.7, 0.6)]
    assert not is_hopeless(((10, 1.0), (20, 0.9)), 6, others, LOWER), "it has just begun"
    assert is_hopeless(((5, 1.0), (10, 0.9), (20, 0.76)), 6, others, LOWER)
    assert not is_hopeless(((5, 1.0), (10, 0.7), (20, 0.9)), 6, others, LOWER), "its best counts"
    assert not is_hopeless(((5, 1.0), (10, 0.9), (20, 0.76)), 6, others[1:], LOWER), "too few others"
    assert not is_hopeless(((5, 1.0), (10, 0.9), (60, 0.76)), 6, others, LOWER), "none came so far"
    assert is_hopeless(((5, 0.1), (10, 0.2), (20, 0.7)), 6, others, Judge("accuracy", False))


def test_failed_and_pruned_trials_come_last() -> None:
    def trial(number: int, state: Any, score: float | None) -> Trial:
        return Trial(number, state, {}, score, {}, 1, 1, 1, 0.0, None, None, ())

    found = [trial(1, "failed", None), trial(2, "pruned", 0.1), trial(3, "finished", 0.5), trial(4, "finished", 0.2)]
    again = trial(5, "finished", 0.2)
    assert [t.trial for t in ranked([again, *found], LOWER)] == [4, 5, 3, 2, 1]
    assert [t.trial for t in ranked(found, Judge("accuracy", False))] == [3, 4, 2, 1]


def test_what_tpe_proposes_is_in_the_ranges_and_never_twice() -> None:
    label = Label(Source("n", ""), Span(start=0, end=0))
    ranges = {
        "whole": Range(low=1, high=3),
        "log": Range(low=2, high=9, log=True),
        "even": Range(low=2, high=9, step=2),
        "tenths": Range(low=0.1, high=0.45, step=0.1),
        "rate": Range(low=1e-5, high=0.1, log=True),
    }
    every = [Choice(name, label, str(numbers.middle), (), numbers) for name, numbers in ranges.items()]
    sampler = Tpe(Choices((*every, Choice("word", label, "relu", ("relu", "tanh")))), 0, LOWER)
    found = [values for _ in range(6) for values in sampler.ask(5)]
    assert len({tuple(values.values()) for values in found}) == len(found) == 30
    assert {values["even"] for values in found} == {"2", "4", "6", "8"}
    assert {values["tenths"] for values in found} == {"0.1", "0.2", "0.3", "0.4"}
    assert all(re.fullmatch(r"[\d.]{1,9}(e-\d)?", values["rate"]) for values in found)
    assert found[0]["rate"] == "0.001"


def test_the_folder_is_no_search(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for resume in (False, True):
        with pytest.raises(SparkNetError, match="exists already"):
            SearchFolder(tmp_path / "other").saved(resume)
