"""Runs that cannot start, or break, get one message."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.runtime.failures import worker_failure
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.spark.backend import SparkBackend
from sparknet.runtime.spark.cluster import inspect
from sparknet.runtime.spark.waits import Waits
from sparknet.runtime.training.trainer import train
from tests.runtime.conftest import only, rows, small_net
from tests.runtime.test_bad_data import net_of, table


def test_no_rows(tmp_path: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, rows().slice(0, 0)))
    assert only(error) == "R0020 the data holds no rows"


TEXTS = """
net Moods {
  input text: token[5, vocabulary: 10]
  embedding(4) -> mean -> dense(2)
  output mood: class[2]
}
data {
  DATA
  text  = words(column("text"))
  mood  = column("mood", labels: ["bad", "good"])
}
train {
  batch = 2
}
"""


@pytest.mark.parametrize("key", ["train", "test"])
@pytest.mark.parametrize("on_spark", [False, True])
def test_a_file_without_rows_is_told_as_that_and_not_by_its_types(
    tmp_path: Path, spark: SparkSession, on_spark: bool, key: str
) -> None:
    """Of no rows, what wrote the file could not tell the types of its columns."""
    full = pa.table({"text": ["so so", "so"] * 8, "mood": ["bad", "good"] * 8})
    for name in ("train", "test"):
        made = full if name != key else pa.table({"text": pa.nulls(0), "mood": pa.nulls(0)})
        pq.write_table(made, tmp_path / f"{name}.parquet")
    net = tmp_path / "moods.net"
    net.write_text(TEXTS.replace("DATA", 'train = parquet("train.parquet")\n  test = parquet("test.parquet")'))
    with pytest.raises(SparkNetError) as error:
        run_spark(sparknet.compile(net), on=OnSpark(spark=spark)) if on_spark else run_local(sparknet.compile(net))
    assert only(error) == "R0020 the data holds no rows"
    (label,) = error.value.diagnostics[0].labels
    assert label.source.text[label.span.start : label.span.end] == f'parquet("{key}.parquet")'


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [], "y": []}, "R0020 the DataFrame given as `data` holds no rows"),
        ({"x": []}, "R0002 the data has no column `y`"),
        ({}, "R0002 the data has no column `x`; R0002 the data has no column `y`"),
    ],
)
@pytest.mark.parametrize("on_spark", [False, True])
def test_a_frame_without_rows_that_lacks_a_column_is_told_by_the_column(
    folder: Path, spark: SparkSession, on_spark: bool, columns: dict[str, list[str]], message: str
) -> None:
    small_net(folder)
    texts = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    with pytest.raises(SparkNetError) as error:
        sparknet.train(folder / "small.net", spark.createDataFrame(texts) if on_spark else texts)
    assert "; ".join(f"{each.code} {each.message}" for each in error.value.diagnostics) == message


def test_a_column_of_nulls_alone_is_told_by_its_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.nulls(9), "mood": ["bad"] * 9}), tmp_path / "rows.parquet")
    net = tmp_path / "moods.net"
    net.write_text(TEXTS.replace("DATA", 'source = parquet("rows.parquet")'))
    with pytest.raises(SparkNetError) as error:
        run_local(sparknet.compile(net))
    assert only(error) == "R0010 row 1 of column `text` is null; `text` takes a text or a list of words"


def test_a_path_that_is_nearly_that_of_a_file(tmp_path: Path) -> None:
    pq.write_table(rows(), tmp_path / "row.parquet")
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(tmp_path))
    helps = ("paths start from the folder of the .net file", "did you mean `row.parquet`, beside it?")
    assert error.value.diagnostics[0].helps == helps


def test_a_split_without_rows(tmp_path: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, rows(20), split="{train: 0.999, test: 0.001}"))
    assert only(error) == "R0021 none of the 20 rows fell into `test`"


def test_a_batch_larger_than_the_rows(tmp_path: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, rows(20), batch=50))
    assert only(error) == "R0022 a batch takes 50 rows, but only about 16 of the 20 are for training"
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, rows(20), batch=5, more="\n  accumulate = 4"))
    assert only(error) == "R0022 a step of 4 batches takes 20 rows, but only about 16 of the 20 are for training"


def test_more_workers_than_batches(tmp_path: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, rows(20), workers=9))
    assert only(error).startswith("R0022 9 workers with a batch of 8 rows each take more than the about 16 rows")
    assert error.value.diagnostics[0].helps == ("lower `workers` to 2 or less, or lower `batch`",)


def test_a_loss_that_is_not_finite(tmp_path: Path, spark: SparkSession) -> None:
    path = tmp_path / "small.net"
    net_of(tmp_path, table(), workers=1)
    path.write_text(path.read_text("utf-8").replace("lr: 0.01", "lr: 1e38"), "utf-8")
    net = sparknet.compile(path)
    for run in (lambda: run_local(net), lambda: run_spark(net, on=OnSpark(spark=spark))):
        with pytest.raises(SparkNetError) as error:
            run()
        assert only(error).startswith("R0030 the loss is not finite: round 1, worker 1, step 2")


def test_spark_that_does_not_answer(tmp_path: Path, spark: SparkSession) -> None:
    net = net_of(tmp_path, rows())
    frame = spark.read.parquet(str(tmp_path / "rows.parquet"))
    backend = SparkBackend({"source": frame}, cluster=inspect(spark), waits=Waits(job=0.05))
    with pytest.raises(SparkNetError) as error:
        train(net, backend)
    assert only(error).startswith("R0032 checking the data: no answer from Spark in ")
    assert "--job-timeout" in error.value.diagnostics[0].helps[1]


def test_an_executor_that_is_lost_again_and_again() -> None:
    """What Spark 4.1 says on a cluster; Java's last cause would be that a stream has ended."""
    text = (
        "Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times, most recent failure: Lost task 0.3 in "
        "stage 3.0 (TID 9) (10.0.0.1 executor 4): ExecutorLostFailure (executor 4 exited caused by one of the running "
        "tasks) Reason: Command exited with code 137\nDriver stacktrace:\nCaused by: java.io.EOFException"
    )
    (diagnostic,) = worker_failure("round 2", RuntimeError(text)).diagnostics
    assert diagnostic.message == "round 2: a worker failed: an executor was lost: Command exited with code 137"
    assert "spark.executor.memoryOverhead" in diagnostic.helps[1]
