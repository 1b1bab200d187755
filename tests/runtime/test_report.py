"""The report of a run: one file that needs no other, whose texts are escaped, and that tells what the run counted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sparknet
from sparknet.runtime import run_folder
from sparknet.runtime.evaluation.errors import BoolErrors, ClassErrors, Errors, FloatErrors, LikeErrors
from sparknet.runtime.evaluation.histogram import Histogram
from sparknet.runtime.report import page
from sparknet.runtime.report.charts import Series, bar_chart, line_chart, number
from sparknet.runtime.report.page import duration
from sparknet.runtime.run_folder import report_of
from tests.runtime.conftest import rows, small_net
from tests.runtime.test_run_folder import refused, resign

VOID = {"meta", "img", "br", "link", "input"}
EVIL = '<script>alert("x")</script>'


class Checked(HTMLParser):
    """Every tag is closed, nothing is loaded, every picture says what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(data: bytes) -> Checked:
    found = Checked()
    found.feed(data.decode())
    assert not found.open
    assert len(data) < 1_000_000
    for tag, attributes in found.tags:
        assert tag not in {"script", "link", "iframe", "object"}
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:").startswith("data:")  # type: ignore[union-attr]
        assert "href" not in attributes
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
    assert "url(" not in data.decode()
    assert "@import" not in data.decode()
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose labels are texts, some of them ugly."""
    folder = tmp_path_factory.mktemp("made")
    table = rows(200)
    names = pa.array([(EVIL, "b & c", "x" * 200)[y] for y in table["y"].to_pylist()])
    pq.write_table(table.drop(["y"]).append_column("y", names), folder / "rows.parquet")
    net = small_net(folder, more="\n  schedule = cosine", epochs=3, workers=2)
    text = (folder / "small.net").read_text()
    (folder / "small.net").write_text(f"# {EVIL}\n{text}")
    assert net.name == "Small"
    sparknet.train(folder / "small.net", output=folder / "run")
    return folder


def test_a_run_leaves_a_report(made: Path) -> None:
    data = (made / "run" / "report.html").read_bytes()
    found = checked(data)
    for text in ("Small", "confusion matrix", "learning rate", "b & c", "cosine", EVIL, "rows.parquet", "onnxruntime"):
        assert text.lower() in found.text.lower()
    manifest = json.loads((made / "run" / "manifest.json").read_text())
    assert manifest["files"]["report.html"]["bytes"] == len(data)
    assert manifest["files"]["parameters.safetensors"]["sha256"] in found.text
    assert "x" * 27 + "\N{HORIZONTAL ELLIPSIS}" in found.text
    assert "x" * 29 not in found.text.replace(manifest["net"], "")


def test_a_model_that_is_loaded_and_saved_leaves_the_same_bytes(made: Path, tmp_path: Path) -> None:
    sparknet.load(made / "run").save(tmp_path / "again")
    for file in (made / "run").iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_report_that_is_written_anew_is_the_same(made: Path, tmp_path: Path) -> None:
    sparknet.load(made / "run").report(tmp_path / "anew.html")
    assert (tmp_path / "anew.html").read_bytes() == (made / "run" / "report.html").read_bytes()


def with_errors(made: Path, errors: Errors | None) -> bytes:
    model = sparknet.load(made / "run")
    return report_of(replace(model.run, errors=errors), model.net)


def test_no_rows_held_out(made: Path) -> None:
    assert "Where it errs" not in checked(with_errors(made, None)).text


@pytest.mark.parametrize("numbers", [1, 3, 200])
def test_outputs_of_numbers(made: Path, numbers: int) -> None:
    draw = np.random.Generator(np.random.Philox(1))
    true = draw.normal(size=(300, numbers)).astype(np.float32)
    errors = FloatErrors.of(true, true + np.float32(0.1))
    found = checked(with_errors(made, Errors(split="test", rows=300, outputs={"size": errors})))
    assert "mean absolute error" in found.text
    assert found.text.count("error of size") == min(numbers, 6)
    assert ("first 60 of 200" in found.text) == (numbers == 200)


def test_numbers_that_are_all_alike(made: Path) -> None:
    alike = np.zeros((5, 1), np.float32)
    likeness = LikeErrors.of(np.ones(5, np.float32))
    outputs = {"size": FloatErrors.of(alike, alike), "back": likeness}
    checked(with_errors(made, Errors(split="test", rows=5, outputs=outputs)))


def test_many_classes_show_the_most_confused(made: Path) -> None:
    true = np.arange(5000) % 1000
    errors = ClassErrors.of(true, np.where(true == 7, 9, true), 1000)
    found = checked(with_errors(made, Errors(split="test", rows=5000, outputs={"other": errors})))
    assert "Confusion matrix" not in found.text
    assert re.search(r"Most confused\s+true class\s*predicted as.*?\s7\s*9\s*5\s*100.0 %", found.text, re.S)
    assert "60 of 1,000 classes" in found.text


@pytest.mark.parametrize("answers", [1, 4, 100])
def test_answers(made: Path, answers: int) -> None:
    true = (np.arange(50 * answers) % 3 == 0).reshape(50, answers)
    errors = BoolErrors.of(true, np.roll(true, 1, axis=0))
    found = checked(with_errors(made, Errors(split="validation", rows=50, outputs={"far": errors})))
    assert ("Confusion matrix" in found.text) == (answers == 1)
    assert "validation" in found.text


def test_a_report_that_cannot_be_made_costs_no_run(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError("1 < 0")

    monkeypatch.setattr(page, "_page", broken)
    model = sparknet.load(made / "run")
    run_folder.save(tmp_path / "again", replace(model.run, report=None), model.net)
    assert "1 &lt; 0" in (tmp_path / "again" / "report.html").read_text()
    assert run_folder.load(tmp_path / "again").manifest.rounds == 3


@pytest.mark.parametrize(
    "change",
    [
        {"classes": 4},
        {"totals": [[7, 1, 1, 1]]},
        {"pairs": [[0, 9, 1]]},
        {"kind": "bool", "answers": []},
    ],
)
def test_errors_that_were_tampered_with_are_refused(made: Path, change: dict[str, object], tmp_path: Path) -> None:
    sparknet.load(made / "run").save(tmp_path / "run")
    found = json.loads((tmp_path / "run" / "errors.json").read_text())
    found["outputs"]["kind"] |= change
    resign(tmp_path / "run", "errors.json", json.dumps(found).encode())
    refused(tmp_path / "run", "errors.json")


def test_long_curves_are_thinned_but_keep_their_peaks() -> None:
    values = [(i, 1.0 if i != 7777 else 9.0) for i in range(1, 20_001)]
    chart = line_chart("loss", [Series("train", "a", values)])
    (curve,) = chart.curves
    assert len(curve.points) <= 402
    assert min(y for _, y in curve.points) < 30, "the peak is drawn"
    assert [tick.text for tick in chart.x_ticks] == ["5,000", "10,000", "15,000", "20,000"]


def test_a_wide_span_is_drawn_on_a_logarithmic_scale() -> None:
    chart = line_chart("loss", [Series("train", "a", [(1, 1000.0), (2, 1.0), (3, 0.1)])])
    assert chart.logarithmic
    assert [tick.text for tick in chart.y_ticks] == ["0.1", "1", "10", "100", "1,000"]


def test_far_errors_share_a_bar() -> None:
    draw = np.random.Generator(np.random.Philox(1))
    values = np.concatenate([draw.normal(size=2000), [1000.0]]).astype(np.float32)
    chart = bar_chart("error", Histogram.of(values))
    assert sum(bar.beyond for bar in chart.bars) <= 2
    assert sum(int(bar.text.rpartition(": ")[2].replace(",", "")) for bar in chart.bars) == 2001


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.346, "0.35 s"), (28.14, "28.1 s"), (750, "12 min 30 s"), (11_100, "3 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers() -> None:
    assert [number(v) for v in (0, 1234567, -2, 0.000123456, 1e12)] == [
        "0",
        "1,234,567",
        "\N{MINUS SIGN}2",
        "0.0001235",
        "1e+12",
    ]
