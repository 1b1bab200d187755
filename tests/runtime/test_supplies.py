"""A source for each split: what each gives, here and on Spark alike."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from tests.runtime.conftest import only, rows

NET = """
net Small {{
  input point: float[4]
  dense(3)
  output kind: class[3]
}}
data {{
  {sources}
  point = column("{x}")
  kind  = column("{y}")
}}
train {{
  epochs  = 2
  batch   = 8
  workers = 2
}}
"""
APART = 'train = parquet("a.parquet")\n  validation = parquet("b.parquet")\n  test = json("c.json")'


def net_of(folder: Path, sources: str, x: str = "x", y: str = "y") -> CompiledNet:
    """The net with its sources, to be found in `folder`."""
    path = folder / "small.net"
    path.write_text(NET.format(sources=sources, x=x, y=y), "utf-8")
    return sparknet.compile(path)


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """A folder with 100, 40 and 60 rows; the last are copies of some of the first."""
    table = rows(140)
    pq.write_table(table.slice(0, 100), tmp_path / "a.parquet")
    pq.write_table(table.slice(100), tmp_path / "b.parquet")
    lines = table.slice(20, 60).to_pandas().to_json(orient="records", lines=True)
    (tmp_path / "c.json").write_text(lines, "utf-8")
    return tmp_path


def test_every_split_has_the_rows_of_its_source(apart: Path, spark: SparkSession) -> None:
    net = net_of(apart, APART)
    here = run_local(net)
    there = run_spark(net, on=OnSpark(spark=spark))
    assert there.parameters.tobytes() == here.parameters.tobytes()
    for done in (here, there):
        assert {split: score.rows for split, score in done.scores.items()} == {"validation": 40, "test": 60}
    assert {split: score.loss for split, score in there.scores.items()} == {
        split: score.loss for split, score in here.scores.items()
    }


def test_frames_stand_in_for_sources(apart: Path, spark: SparkSession) -> None:
    net = net_of(apart, 'train = parquet("a.parquet")\n  test = parquet("b.parquet")')
    frames = {
        key: spark.createDataFrame(pq.read_table(apart / f"{file}.parquet"))
        for key, file in (("train", "a"), ("test", "b"))
    }
    done = run_spark(net, on=OnSpark(data=frames))
    assert done.parameters.tobytes() == run_local(net).parameters.tobytes()
    with pytest.raises(SparkNetError) as error:
        run_spark(net, on=OnSpark(data=frames["train"]))
    wanted = "must be a map of DataFrames for `train`, `test`, as the `data` section names its rows"
    assert only(error) == f"R0008 `OnSpark(data=...)` {wanted}, found a DataFrame"


def test_sources_that_do_not_go_together(apart: Path, spark: SparkSession) -> None:
    pq.write_table(pa.table({"x": [["a"]] * 9, "y": [1] * 9}), apart / "b.parquet")
    net = net_of(apart, APART)
    for run in (lambda: run_local(net), lambda: run_spark(net, on=OnSpark(spark=spark))):
        with pytest.raises(SparkNetError) as error:
            run()
        what = "column `x` is of type list of string in `validation`, of type list of double in `train`"
        assert only(error) == f"R0008 {what}"
        assert [label.text for label in error.value.diagnostics[0].labels] == ["", "the other"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"x": [[1.0] * 4]}), "R0002 the data has no column `y`"),
        (pa.table({"x": [[1.0] * 4, None], "y": [1, 1]}), "R0010 row 2 of column `x` is null; `point` takes 4 numbers"),
    ],
)
def test_messages_say_which_source_it_is(apart: Path, spark: SparkSession, table: pa.Table, message: str) -> None:
    pq.write_table(table, apart / "b.parquet")
    net = net_of(apart, APART)
    for run in (lambda: run_local(net), lambda: run_spark(net, on=OnSpark(spark=spark))):
        with pytest.raises(SparkNetError) as error:
            run()
        assert only(error) == message
        assert error.value.diagnostics[0].notes[0] == "among the rows for `validation`"


def test_libsvm_trains_and_built_in_sets_do(tmp_path: Path, spark: SparkSession) -> None:
    table = rows(120)
    lines = [
        f"{kind} " + " ".join(f"{i}:{value!r}" for i, value in enumerate(point, 1) if value)
        for point, kind in zip(table["x"].to_pylist(), table["y"].to_pylist(), strict=True)
    ]
    (tmp_path / "rows.svm").write_text("\n".join(lines), "utf-8")
    pq.write_table(table, tmp_path / "rows.parquet")
    want = run_local(net_of(tmp_path, 'source = parquet("rows.parquet")')).parameters.tobytes()
    net = net_of(tmp_path, 'source = libsvm("rows.svm")', "features", "label")
    assert run_local(net).parameters.tobytes() == want
    assert run_spark(net, on=OnSpark(spark=spark)).parameters.tobytes() == want
