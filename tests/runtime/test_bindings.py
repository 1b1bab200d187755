"""What bindings make of columns: the same here and on Spark, and again when rows are scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError
from sparknet.runtime.run_folder import load
from sparknet.runtime.runs import OnSpark, predict_to_file, run_local, run_spark
from tests.runtime.conftest import only, rows, small_net

TAKES = "`point` takes 4 numbers"


def apart(names: tuple[str, ...] = ("f10", "f2", "f1", "g")) -> pa.Table:
    """The rows of `rows`, the numbers of `x` in four columns."""
    x = np.array(rows()["x"].to_pylist())
    order = {"f1": 0, "f2": 1, "f10": 2, "g": 3}
    return pa.table({name: x[:, order[name]] for name in names} | {"y": rows()["y"]})


def net_of(folder: Path, columns: str, source: str = 'parquet("rows.parquet")') -> CompiledNet:
    small_net(folder, source, workers=2)
    path = folder / "small.net"
    path.write_text(path.read_text("utf-8").replace('column("x")', columns), "utf-8")
    return sparknet.compile(path)


def test_columns_are_those_of_one_list(tmp_path: Path, spark: SparkSession) -> None:
    """Patterns find columns in natural order, whatever that in the file: Spark's reader of JSON sorts them."""
    pq.write_table(rows(), tmp_path / "rows.parquet")
    want = run_local(small_net(tmp_path, workers=2)).parameters.tobytes()
    pq.write_table(apart(), tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text("".join(json.dumps(row) + "\n" for row in apart().to_pylist()), "utf-8")
    for columns in ('columns("f*", "g")', 'columns("f1", "f2", "f10", "g")', 'columns("f?", "f*", "g")'):
        assert run_local(net_of(tmp_path, columns)).parameters.tobytes() == want
    net = net_of(tmp_path, 'columns("f*", "g*")', 'json("rows.json")')
    assert run_spark(net, on=OnSpark(spark=spark)).parameters.tobytes() == want
    assert run_local(net_of(tmp_path, 'columns("g", "f*")')).parameters.tobytes() != want


def test_columns_are_remembered_for_scoring(tmp_path: Path) -> None:
    pq.write_table(apart(), tmp_path / "rows.parquet")
    run_local(net_of(tmp_path, 'columns("f*", "g")'), tmp_path / "run")
    assert load(tmp_path / "run").manifest.inputs[0].columns == ("f1", "f2", "f10", "g")
    more = apart().append_column("f3", pa.array([0.0] * 200))
    pq.write_table(more, tmp_path / "more.parquet")
    assert predict_to_file(tmp_path / "run", str(tmp_path / "more.parquet"), tmp_path / "out.parquet").rows == 200


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ('columns("f*")', f"R0012 `columns` finds 3 columns; {TAKES}"),
        ('columns("*")', f"R0012 `columns` finds 5 columns; {TAKES}"),
        ('columns("F*", "g")', 'R0002 the data has no column like "F*"'),
        ('columns("f*", "h")', "R0002 the data has no column `h`"),
    ],
)
def test_columns_that_the_data_lacks(tmp_path: Path, columns: str, message: str) -> None:
    pq.write_table(apart(), tmp_path / "rows.parquet")
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, columns))
    assert only(error) == message
    (label,) = error.value.diagnostics[0].labels
    assert label.source.text[label.span.start : label.span.end].startswith("columns(")


def test_bad_cells_in_one_of_several_columns(tmp_path: Path, spark: SparkSession) -> None:
    table = apart()
    values = table["f2"].to_pylist()
    values[7], values[9] = None, float("nan")
    pq.write_table(table.set_column(1, "f2", pa.array(values)), tmp_path / "rows.parquet")
    net = net_of(tmp_path, 'columns("f*", "g")')
    for run in (lambda: run_local(net), lambda: run_spark(net, on=OnSpark(spark=spark))):
        with pytest.raises(SparkNetError) as error:
            run()
        assert only(error) == f"R0010 row 8 of column `f2` is null; {TAKES}"
        assert "1 more row is bad, of 200" in error.value.diagnostics[0].notes


def test_lists_among_several_columns(tmp_path: Path) -> None:
    pq.write_table(apart().set_column(0, "f10", pa.array([[1.0]] * 200)), tmp_path / "rows.parquet")
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, 'columns("f*", "g")'))
    assert only(error) == "R0013 column `f10` is of type list of double; each of several columns gives one number"


def test_bytes_are_numbers(tmp_path: Path, spark: SparkSession) -> None:
    """A number each, the same as a list of them, whatever Arrow keeps them in."""
    x = np.random.Generator(np.random.Philox(5)).integers(0, 256, (200, 4), np.uint8)
    cells = [row.tobytes() for row in x]
    net = small_net(tmp_path, workers=2)
    want = sparknet.train(net, pa.table({"x": list(x), "y": rows()["y"]})).run.parameters.tobytes()
    for kind in (pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary())):
        table = pa.table({"x": pa.array([b"one more", *cells]).cast(kind)[1:], "y": rows()["y"]})
        assert sparknet.train(net, table).run.parameters.tobytes() == want
    frame = spark.createDataFrame(table.set_column(0, "x", pa.array(cells)))
    assert sparknet.train(net, frame).run.parameters.tobytes() == want


def test_bytes_that_are_more_or_fewer(tmp_path: Path) -> None:
    net = small_net(tmp_path)
    for cell, message in (
        (b"\x89PNG..", "R0012 row 3 of column `x` has 6 bytes"),
        (None, "R0010 row 3 of column `x` is null"),
    ):
        cells = [b"four", b"four", cell, *[b"four"] * 197]
        with pytest.raises(SparkNetError) as error:
            sparknet.train(net, pa.table({"x": pa.array(cells, pa.binary()), "y": rows()["y"]}))
        assert only(error) == f"{message}; {TAKES}"
    with pytest.raises(SparkNetError) as error:
        sparknet.train(net, pa.table({"x": [[b"four"]] * 200, "y": rows()["y"]}))
    assert only(error) == f"R0013 column `x` is of type list of binary; {TAKES}"
