"""Where a net errs: counts that are exact, and the same however rows are cut and merged."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from sklearn.metrics import confusion_matrix, mean_absolute_error, mean_squared_error

import sparknet
from sparknet.runtime.evaluation.errors import BoolErrors, ClassErrors, Errors, FloatErrors, LikeErrors
from sparknet.runtime.evaluation.histogram import BINS, CELLS, Histogram, Plane
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from tests.runtime.conftest import rows, small_net

FLOATS = st.floats(-(2.0**100), 2.0**100, width=32) | st.sampled_from([0.0, 1.0, -1.0, 2.0**-140])
NUMBERS = hnp.arrays(np.float32, st.integers(2, 60), elements=FLOATS)


def parts(values: NDArray[Any], cuts: list[int]) -> list[NDArray[Any]]:
    edges = sorted({0, len(values), *(cut % len(values) for cut in cuts)})
    return [values[a:b] for a, b in pairwise(edges)]


@given(NUMBERS, st.lists(st.integers(0, 1000), max_size=4), st.randoms())
def test_histograms_are_the_same_however_numbers_are_cut(
    values: NDArray[np.float32], cuts: list[int], random: Any
) -> None:
    whole = Histogram.of(values)
    pieces = [Histogram.of(part) for part in parts(values, cuts)]
    random.shuffle(pieces)
    assert reduce(Histogram.merge, pieces) == whole
    assert sum(count for _, count in whole.counts) == len(values)
    width, axis = whole.axis.width, whole.axis
    first, last = (axis.bin(value, axis.exponent) for value in (axis.least, axis.greatest))
    assert last - first < BINS
    exact = np.floor(values.astype(np.float64) / width).astype(np.int64)
    assert dict(whole.counts) == dict(zip(*np.unique(exact, return_counts=True), strict=True))


@given(NUMBERS, st.integers(0, 1000))
def test_planes_are_the_same_however_pairs_are_cut(values: NDArray[np.float32], cut: int) -> None:
    x, y = values, values[::-1] * np.float32(0.5)
    pieces = [Plane.of(a, b) for a, b in zip(parts(x, [cut]), parts(y, [cut]), strict=True)]
    whole = Plane.of(x, y)
    assert reduce(Plane.merge, reversed(pieces)) == whole
    assert sum(count for *_, count in whole.cells) == len(values)
    assert len(whole.cells) <= CELLS**2


def test_bins_are_as_narrow_as_they_can_be() -> None:
    counts = dict(Histogram.of(np.array([0, 511], np.float32)).counts)
    assert counts == {0: 1, 511: 1}
    assert dict(Histogram.of(np.array([0, 512], np.float32)).counts) == {0: 1, 256: 1}


@given(st.data())
def test_classes_are_counted_as_scikit_learn_counts(data: st.DataObject) -> None:
    classes = data.draw(st.integers(2, 6))
    true, said = (data.draw(hnp.arrays(np.int64, 40, elements=st.integers(0, classes - 1))) for _ in range(2))
    found = ClassErrors.of(true[:13], said[:13], classes).merge(ClassErrors.of(true[13:], said[13:], classes))
    assert found == ClassErrors.of(true, said, classes)
    expected = confusion_matrix(true, said, labels=range(classes))
    matrix = np.zeros((classes, classes), int)
    for a, b, count in found.pairs:
        matrix[a, b] = count
    for place, _, _, hits in found.totals:
        matrix[place, place] = hits
    assert (matrix == expected).all()
    totals = {place: (rows, answers) for place, rows, answers, _ in found.totals}
    for place in range(classes):
        assert totals.get(place, (0, 0)) == (expected[place].sum(), expected[:, place].sum())


def test_only_the_most_frequent_pairs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparknet.runtime.evaluation.errors.MOST_PAIRS", 2)
    found = ClassErrors.of(np.array([0, 0, 1, 2, 2, 2]), np.array([1, 1, 0, 1, 1, 0]), 3)
    assert found.pairs == ((0, 1, 2), (1, 0, 1), (2, 0, 1), (2, 1, 2))
    assert found.kept().pairs == ((0, 1, 2), (2, 1, 2))
    assert found.kept().totals == found.totals


def test_answers_are_counted() -> None:
    true = np.array([[1, 0], [1, 0], [0, 1], [0, 0], [1, 1]], bool)
    said = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]], bool)
    whole = BoolErrors.of(true, said)
    assert whole.answers == ((2, 1, 1, 1), (1, 1, 1, 2))
    assert BoolErrors.of(true[:2], said[:2]).merge(BoolErrors.of(true[2:], said[2:])) == whole


def test_numbers_are_measured_as_scikit_learn_does() -> None:
    draw = np.random.Generator(np.random.Philox(1))
    true, said = (draw.normal(size=(500, 9)).astype(np.float32) for _ in range(2))
    whole = FloatErrors.of(true, said)
    assert FloatErrors.of(true[300:], said[300:]).merge(FloatErrors.of(true[:300], said[:300])) == whole
    assert len(whole.histograms) == len(whole.planes) == 6
    for i in range(9):
        assert whole.size.means()[i] == pytest.approx(mean_absolute_error(true[:, i], said[:, i]), rel=1e-6)
        assert whole.error.mean_squares()[i] == pytest.approx(mean_squared_error(true[:, i], said[:, i]), rel=1e-6)
    assert whole.true.variances() == pytest.approx(true.astype(np.float64).var(axis=0).tolist())


def several(folder: Path, workers: int) -> sparknet.compiler.CompiledNet:
    """A net with an output of each kind."""
    table = rows(300)
    points = np.array(table["x"].to_pylist(), np.float32)
    table = table.append_column("size", pa.array((points.sum(axis=1) * 2).astype(np.float32)))
    table = table.append_column("far", pa.array(points[:, 0] > 3))
    pq.write_table(table, folder / "rows.parquet")
    path = folder / "several.net"
    path.write_text(
        """
net Several {
  input point: float[4]
  hidden = point -> dense(8, relu)
  kinds = hidden -> dense(3)
  sizes = hidden -> dense(1)
  fars = hidden -> dense(1)
  again = hidden -> dense(4)
  output kind: class[3] = kinds
  output size: float[1] = sizes
  output far: bool[1] = fars
  output back: like point = again
}
data {
  source = parquet("rows.parquet")
  point  = column("x") / 4
  kind   = column("y")
  size   = column("size")
  far    = column("far")
  split  = {train: 0.7, validation: 0.1, test: 0.2}
}
train {
  optimizer = adam(lr: 0.01)
  epochs = 2
  batch = 8
  seed = 3
  workers = """
        + str(workers)
        + "\n}\n",
        "utf-8",
    )
    return sparknet.compile(path)


def test_numbers_beyond_float32_are_the_largest_ones() -> None:
    far = np.array([[-3e38], [0]], np.float32)
    errors = FloatErrors.of(far, -far)
    assert errors.histograms[0].axis.greatest == float(np.finfo(np.float32).max)
    assert LikeErrors.of(np.array([np.inf, 1], np.float32)).error.plausible


def test_errors_of_a_run_are_those_of_its_predictions(tmp_path: Path, spark: SparkSession) -> None:
    trained = run_local(several(tmp_path, 2), tmp_path / "run")
    on_spark = run_spark(several(tmp_path, 2), on=OnSpark(spark=spark))
    errors = trained.errors
    assert errors is not None
    assert on_spark.errors == errors, "the same counts on Spark"
    assert (errors.split, errors.rows) == ("test", trained.rows["test"])
    scores = trained.scores["test"].metrics
    kind, size, far, back = (errors.outputs[name] for name in ("kind", "size", "far", "back"))
    assert isinstance(kind, ClassErrors)
    assert isinstance(size, FloatErrors)
    assert isinstance(far, BoolErrors)
    assert isinstance(back, LikeErrors)
    assert sum(hits for *_, hits in kind.totals) / errors.rows == pytest.approx(scores["kind_accuracy"])
    assert size.size.means()[0] == pytest.approx(scores["size_mae"], rel=1e-5)
    ((both, _, _, neither),) = far.answers
    assert (both + neither) / errors.rows == pytest.approx(scores["far_accuracy"])
    assert back.error.means()[0] == pytest.approx(scores["back_mse"], rel=1e-5)
    assert sparknet.load(tmp_path / "run").run.errors == errors
    assert Errors.model_validate_json(errors.model_dump_json()) == errors


def test_without_rows_that_were_held_out_there_are_no_errors(folder: Path) -> None:
    trained = run_local(small_net(folder, split="{train: 1.0}", epochs=1), folder / "run")
    assert trained.errors is None
    assert sparknet.load(folder / "run").run.errors is None
