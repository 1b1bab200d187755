"""The same bytes: run after run, with and without Spark, however the data and the cluster are cut."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from sparknet.compiler.compiled import Port
from sparknet.compiler.schedules import Rates
from sparknet.compiler.types import TensorType
from sparknet.runtime.encoding.binding import BoundPort
from sparknet.runtime.encoding.encode import Field, Layout, digests, encode_batch
from sparknet.runtime.engines.base import OnnxRuntimeEngine
from sparknet.runtime.engines.training import OnnxRuntimeTrainingEngine
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.spark.backend import SparkBackend
from sparknet.runtime.training.records import Event, Note, Prepared
from sparknet.runtime.training.rounds import Plan, Shard, epoch_order, examples
from sparknet.runtime.training.trainer import TrainedNet
from tests.runtime.conftest import rows, small_net


def vectors(trained: TrainedNet) -> tuple[bytes, bytes]:
    return trained.parameters.tobytes(), trained.optimizer_state.tobytes()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_local_and_spark_give_the_same_bytes(folder: Path, spark: SparkSession, workers: int) -> None:
    net = small_net(folder, workers=workers)
    first, second = run_local(net), run_local(net)
    on_spark = run_spark(net, on=OnSpark(spark=spark))
    assert first.workers == workers
    assert vectors(first) == vectors(second) == vectors(on_spark)
    assert [(r.train, r.score) for r in first.history] == [(r.train, r.score) for r in on_spark.history]


def test_a_row_stays_in_its_place_when_others_need_a_wider_type() -> None:
    port = Port("x", "float", TensorType("float32", (2,)))
    bound = (BoundPort(port, ("x",)),)
    values = [[0.0, 3.0], [255.0, -0.0]]
    found = set()
    for dtype in ("<u1", "<i4", "<f4"):
        layout = Layout((Field(port, dtype),), 10)
        batch = pa.RecordBatch.from_pydict({"x": pa.array(values, pa.list_(pa.float64()))})
        found.add(tuple(digests(encode_batch(batch, bound, layout), layout, batch, bound)))
    assert len(found) == 1


def test_zero_has_one_payload() -> None:
    port = Port("x", "float", TensorType("float32", (2,)))
    layout = Layout((Field(port, "<f4"),), 10)
    batches = [pa.RecordBatch.from_pydict({"x": [[zero, 0.5]]}) for zero in (0.0, -0.0)]
    assert len({encode_batch(batch, (BoundPort(port, ("x",)),), layout).tobytes() for batch in batches}) == 1


def test_engines_know_nothing_of_the_cluster(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SparkBackend({"source": spark.range(1)})
    assert backend.slots == spark.sparkContext.defaultParallelism
    assert dataclasses.fields(OnnxRuntimeEngine) == dataclasses.fields(OnnxRuntimeTrainingEngine) == ()


def test_a_running_session_is_used_and_left_running(folder: Path, spark: SparkSession) -> None:
    name = spark.conf.get("spark.app.name")
    before = dict(spark.sparkContext.getConf().getAll())
    notes: list[object] = []
    trained = run_spark(small_net(folder, workers=2), progress=notes.append, on=OnSpark(master="local[7]"))
    assert vectors(trained) == vectors(run_local(small_net(folder, workers=2)))
    assert notes[0] == Note("using the Spark session of this process, which is left running")
    assert (spark.conf.get("spark.app.name"), dict(spark.sparkContext.getConf().getAll())) == (name, before)
    assert spark.range(3).count() == 3


def test_the_number_of_workers_matters(folder: Path) -> None:
    # Otherwise the test above would pass with workers that do nothing.
    results = {run_local(small_net(folder, workers=workers)).parameters.tobytes() for workers in (1, 2, 3)}
    assert len(results) == 3


@pytest.mark.parametrize("partitions", [1, 5])
def test_partitions_and_order_of_the_input_do_not_matter(folder: Path, spark: SparkSession, partitions: int) -> None:
    net = small_net(folder, workers=2)
    shuffled = spark.createDataFrame(rows()).repartition(partitions, "id")
    assert vectors(run_spark(net, on=OnSpark(data=shuffled))) == vectors(run_local(net))


def test_one_large_stage_reads_no_more_than_it_trains_on(
    folder: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small blocks, short rounds: most rounds need only some of the blocks.
    monkeypatch.setattr("sparknet.runtime.encoding.encode.BLOCK_BYTES", 17 * 4)
    net = small_net(folder, epochs=1, batch=4, more="\n  workers = 2\n  sync = average(every: 3)")
    assert len(run_local(net).history) > 3
    assert vectors(run_spark(net, on=OnSpark(spark=spark))) == vectors(run_local(net))


def test_separate_executor_processes_give_the_same_bytes(folder: Path) -> None:
    """In a process of its own, because a JVM holds one Spark context, and that of the suite is `local[2]`."""
    net = small_net(folder, workers=2)
    script = (
        "import sys, sparknet\n"
        "from pathlib import Path\n"
        "from sparknet.runtime.runs import OnSpark, run_spark\n"
        "trained = run_spark(sparknet.compile(sys.argv[1]), on=OnSpark(master='local-cluster[2,1,1024]'))\n"
        "Path(sys.argv[2]).write_bytes(trained.parameters.tobytes() + trained.optimizer_state.tobytes())\n"
    )
    found = folder / "vectors.bin"
    command = [sys.executable, "-c", script, str(folder / "small.net"), str(found)]
    here = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": here}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    assert found.read_bytes() == b"".join(vectors(run_local(net)))


def test_copies_of_a_row_are_spread(tmp_path: Path) -> None:
    # All rows equal: placed by content alone, they would all land in one split.
    table = rows(400).slice(0, 1)
    pq.write_table(table.take([0] * 400), tmp_path / "rows.parquet")
    trained = run_local(small_net(tmp_path, workers=2))
    assert 280 < trained.rows["train"] < 360


def test_a_worker_without_rows_is_left_out(tmp_path: Path, spark: SparkSession) -> None:
    pq.write_table(rows(14, duplicates=False), tmp_path / "rows.parquet")
    for workers in range(2, 9):  # with some of these numbers, a worker draws no row at all
        net = small_net(tmp_path, workers=workers, batch=1)
        events: list[Event] = []
        trained = run_local(net, progress=events.append)
        (prepared,) = (event for event in events if isinstance(event, Prepared))
        if prepared.workers < workers:
            assert vectors(run_spark(net, on=OnSpark(spark=spark))) == vectors(trained)
            return
    pytest.fail("every worker had rows: take another number of rows")


# ----- the order of examples -----


def test_an_epoch_holds_every_row_once() -> None:
    shard = Shard(worker=1, rows=1000, block_rows=64)
    first, second = (epoch_order(5, shard, epoch) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(1000))
    assert not np.array_equal(first, second)


def test_rounds_continue_where_the_last_one_ended() -> None:
    shard = Shard(worker=0, rows=50, block_rows=8)
    whole = examples(Plan(0, 0, 20, 7, 1, Rates(0.1)), shard)
    parts = [examples(Plan(0, start, 5, 7, 1, Rates(0.1)), shard) for start in (0, 5, 10, 15)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.array_equal(whole[:50], epoch_order(1, shard, 0))
