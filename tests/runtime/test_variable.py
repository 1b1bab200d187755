"""Rows of different lengths, from lists in a table to predictions, here and on Spark; and those that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.compiled import Port
from sparknet.compiler.types import TensorType
from sparknet.grammar import SparkNetError
from sparknet.runtime.encoding.columns import read_column
from sparknet.runtime.run_folder import load
from sparknet.runtime.runs import OnSpark, predict_to_file, run_local, run_spark
from sparknet.runtime.spark.predict import predict_frame
from tests.runtime.conftest import only

NET = """
net Signals {
  input signal: float[6, 2, variable: true]
  gru(8)
  dense(2)
  output kind: class[2]
}
data {
  source = parquet("rows.parquet")
  signal = column("s") * 2
  kind   = column("y")
}
train {
  optimizer = adam(lr: 0.02)
  epochs = 12
  batch = 16
  workers = 1
}
"""


def signals(count: int = 320) -> list[list[list[float]]]:
    draw = np.random.Generator(np.random.Philox(3))
    lengths = draw.integers(1, 7, count)
    return [np.round(draw.normal(size=(length, 2)), 2).tolist() for length in lengths]


def net_of(folder: Path, rows: list[Any], kind: pa.DataType | None = None) -> CompiledNet:
    """Rows whose class says whether the last of their steps begins above 0."""
    steps = ([np.atleast_1d(step) for step in row or [] if step is not None] for row in rows)
    labels = [int(np.concatenate([np.zeros(2), *row])[-2] > 0) for row in steps]
    pq.write_table(pa.table({"s": pa.array(rows, kind), "y": labels}), folder / "rows.parquet")
    (folder / "signals.net").write_text(NET, "utf-8")
    return sparknet.compile(folder / "signals.net")


def flat(rows: list[list[list[float]]]) -> list[list[float]]:
    return [np.ravel(row).tolist() for row in rows]


def test_rows_of_different_lengths_train_and_are_scored(tmp_path: Path) -> None:
    run = run_local(net_of(tmp_path, signals()), tmp_path / "run")
    assert run.scores["test"].metrics["accuracy"] > 0.9
    assert predict_to_file(tmp_path / "run", str(tmp_path / "rows.parquet"), tmp_path / "out.parquet").rows == 320
    out = pq.read_table(tmp_path / "out.parquet")
    assert np.mean(np.equal(out["kind_predicted"], out["y"])) > 0.9
    saved = load(tmp_path / "run").manifest.inputs
    assert [(p.name, p.kind, p.shape, p.columns) for p in saved] == [
        ("signal", "float", (6, 2), ("s",)),
        ("signal_length", "length", (), ("s",)),
    ]


def test_nested_and_flat_lists_and_spark_give_the_same_weights(tmp_path: Path, spark: SparkSession) -> None:
    rows = signals(100)
    weights = [run_local(net_of(tmp_path, made)).parameters.tobytes() for made in (rows, flat(rows))]
    net = net_of(tmp_path, rows)
    on_spark = run_spark(net, tmp_path / "run", on=OnSpark(spark=spark))
    assert {*weights, on_spark.parameters.tobytes()} == {weights[0]}
    local = predict_to_file(tmp_path / "run", str(tmp_path / "rows.parquet"), tmp_path / "out.parquet")
    frame = spark.read.parquet(str(tmp_path / "rows.parquet"))
    scored = predict_frame(load(tmp_path / "run"), frame).toPandas()
    assert local.rows == len(scored) == 100
    expected = pq.read_table(tmp_path / "out.parquet")["kind_probability"].to_pylist()
    np.testing.assert_array_equal(np.stack(scored["kind_probability"]), expected)


TAKES = "`signal` takes 1 to 6 steps of 2 numbers"
STEP = [1.0, 2.0]


@pytest.mark.parametrize(
    ("last", "message", "help"),
    [
        ([STEP] * 7, f"R0012 row 40 of column `s` has 7 steps; {TAKES}", "cut longer rows before training"),
        ([], f"R0018 row 40 of column `s` has no steps; {TAKES}", "drop such rows before training"),
        ([STEP, [1.0]], f"R0012 row 40 of column `s` has 3 numbers, which do not make whole steps; {TAKES}", "cut"),
        ([[1.0], [1.0]], f"R0012 row 40 of column `s` has 2 numbers, which do not make whole steps; {TAKES}", "cut"),
        (None, f"R0010 row 40 of column `s` is null; {TAKES}", "fill in or drop"),
        ([STEP, None], f"R0010 row 40 of column `s` holds null; {TAKES}", "fill in or drop"),
        ([STEP, [np.inf, 0.0]], f"R0011 row 40 of column `s` holds inf; {TAKES}", "replace NaN"),
    ],
)
def test_rows_that_are_no_such_sequence(tmp_path: Path, last: Any, message: str, help: str) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, [*signals(39), last], pa.list_(pa.list_(pa.float64()))))
    assert only(error) == message
    assert help in error.value.diagnostics[0].helps[0]


def test_the_first_bad_row_is_named_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    rows = [*signals(37), [STEP, [np.nan, 0.0]], [STEP] * 9, []]
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, rows))
    assert only(error) == f"R0011 row 38 of column `s` holds nan; {TAKES}"
    assert "2 more rows are bad, of 40" in error.value.diagnostics[0].notes


SIGNAL = Port("s", "float", TensorType("float32", (3, 2), lengths="s_length"))
WORDS = Port("w", "token", TensorType("int64", (3,), 9, lengths="w_length"), 9)


@pytest.mark.parametrize(
    ("cells", "port", "numbers", "lengths"),
    [
        (pa.array([[[1, 2]], [[3, 4], [5, 6]]]), SIGNAL, [[1, 2, 0, 0, 0, 0], [3, 4, 5, 6, 0, 0]], [1, 2]),
        (pa.array([[1, 2], [3, 4, 5, 6]]), SIGNAL, [[1, 2, 0, 0, 0, 0], [3, 4, 5, 6, 0, 0]], [1, 2]),
        (pa.array([[1, 2, 3, 4]], pa.list_(pa.int64(), 4)), SIGNAL, [[1, 2, 3, 4, 0, 0]], [2]),
        (pa.array([[8], [1, 2, 3]]), WORDS, [[8, 0, 0], [1, 2, 3]], [1, 3]),
        (pa.array([7, 8]), WORDS, [[7, 0, 0], [8, 0, 0]], [1, 1]),
        (pa.array([[8]]).slice(1), WORDS, np.zeros((0, 3)), []),
    ],
)
def test_lists_are_filled_up_with_zeros(cells: pa.Array, port: Port, numbers: Any, lengths: list[int]) -> None:
    np.testing.assert_array_equal(read_column(cells, port).numbers, numbers)
    measure = Port("n", "length", TensorType("int64", ()), measures=port)
    np.testing.assert_array_equal(np.ravel(read_column(cells, measure).numbers), lengths)


def test_vectors_of_spark_ml_may_be_shorter(tmp_path: Path, spark: SparkSession) -> None:
    run_local(net_of(tmp_path, signals(100)), tmp_path / "run")
    vectors = [(Vectors.dense([1.0, 2.0]),), (Vectors.sparse(4, {0: 1.0, 3: 2.0}),)]
    lists = [([1.0, 2.0],), ([1.0, 0.0, 0.0, 2.0],)]
    given = (spark.createDataFrame(rows, ["s"]) for rows in (vectors, lists))
    first, second = (predict_frame(load(tmp_path / "run"), frame).toPandas()["kind_probability"] for frame in given)
    np.testing.assert_array_equal(np.stack(first), np.stack(second))
