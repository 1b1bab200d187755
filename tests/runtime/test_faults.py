"""What fails in the midst of a run on Spark: the bytes are those of a run that nothing happened to, or one error."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.storagelevel import StorageLevel

from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError
from sparknet.runtime import runs
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.training import sequence
from sparknet.runtime.training.records import Event, Prepared, RoundRecord
from sparknet.runtime.training.trainer import TrainedNet
from tests.runtime.conftest import only, rows, small_net
from tests.runtime.faults import Faults, carried_out, order


def vectors(trained: TrainedNet) -> bytes:
    return trained.parameters.tobytes() + trained.optimizer_state.tobytes()


@pytest.fixture
def net(folder: Path) -> CompiledNet:
    """Four rounds of two workers, a checkpoint after each."""
    return small_net(folder, epochs=4, workers=2, more="\n  checkpoint = rounds(1)")


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the orders that the engine of the runs of this test follows."""
    folder = tmp_path / "orders"
    folder.mkdir()
    monkeypatch.setattr(runs, "engine_for", lambda name: Faults(folder))
    return folder


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job for every evaluation: what is done behind a round comes before the next one begins."""
    monkeypatch.setattr(sequence, "LONG", 0)


def behind(number: int, act: Callable[[], object]) -> Callable[[Event], None]:
    """Do something once a round has ended, 0 for before the first."""

    def watch(event: Event) -> None:
        round = event.round if isinstance(event, RoundRecord) else 0 if isinstance(event, Prepared) else None
        if round == number:
            act()

    return watch


# ----- exceptions and dead workers -----


@pytest.mark.parametrize("long", [0, 10**9], ids=["scored apart", "scored along"])
@pytest.mark.parametrize("kind", ["raise", "worker"])
def test_a_task_that_fails_is_run_again(
    net: CompiledNet, orders: Path, spark: SparkSession, kind: str, long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in one task; `kill -9` of a Python worker between two steps, as by the kernel when memory is out."""
    monkeypatch.setattr(sequence, "LONG", long)
    trained = run_spark(net, progress=behind(2, lambda: order(orders, 0, kind)), on=OnSpark(spark=spark))
    assert carried_out(orders) == [kind]
    assert vectors(trained) == vectors(run_local(net))


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(
    ("kind", "cause"), [("raise-always", "the sensor is on fire"), ("worker-always", "its Python process died")]
)
def test_what_fails_in_every_task_is_one_error_and_the_run_can_go_on(
    net: CompiledNet, orders: Path, folder: Path, spark: SparkSession, kind: str, cause: str
) -> None:
    fire = orders / kind
    with pytest.raises(SparkNetError) as error:
        run_spark(net, folder / "run", behind(2, fire.touch), OnSpark(spark=spark))
    assert only(error) == f"R0031 round 3: a worker failed: {cause}"
    assert sorted(path.name for path in (folder / "run.checkpoints").iterdir()) == ["round-1", "round-2"]
    fire.unlink()
    resumed = run_spark(net, folder / "run", on=OnSpark(spark=spark), resume=True)
    assert vectors(resumed) == vectors(run_local(net))


# ----- lost blocks -----


def lose(spark_files: Path, *names: str) -> None:
    """Remove files from under Spark."""
    found = [path for name in names for path in spark_files.rglob(name)]
    assert found
    for path in found:
        path.unlink()


def drifting(spark: SparkSession, shift: Path) -> DataFrame:
    """The rows, their labels moved on by the number in a file."""

    def shifted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            y = [(y + int(shift.read_text())) % 3 for y in batch.column("y").to_pylist()]
            yield pa.RecordBatch.from_pydict({"x": batch.column("x"), "y": pa.array(y, pa.int64())})

    shift.write_text("0")
    return spark.createDataFrame(rows()).mapInArrow(shifted, "x array<double>, y long")


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("names", [("rdd_*",), ("rdd_*", "shuffle_*")], ids=["blocks", "blocks and shuffles"])
def test_lost_blocks_are_made_again(
    net: CompiledNet,
    folder: Path,
    spark: SparkSession,
    spark_files: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
) -> None:
    """From the shuffle's files, or from the source where those are lost, too."""
    monkeypatch.setattr(
        StorageLevel, "MEMORY_AND_DISK_DESER", StorageLevel.DISK_ONLY
    )  # so that there are files to lose
    frame = drifting(spark, folder / "shift")
    on = OnSpark(data=frame)
    trained = run_spark(net, progress=behind(2, lambda: lose(spark_files, *names)), on=on)
    assert vectors(trained) == vectors(run_local(net))


def test_lost_blocks_of_a_source_that_changed_are_one_error(
    net: CompiledNet, folder: Path, spark: SparkSession, spark_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StorageLevel, "MEMORY_AND_DISK_DESER", StorageLevel.DISK_ONLY)
    frame, shift = drifting(spark, folder / "shift"), folder / "shift"

    def act() -> None:
        shift.write_text("1")
        lose(spark_files, "rdd_*", "shuffle_*")

    with pytest.raises(SparkNetError) as error:
        run_spark(net, folder / "run", behind(2, act), OnSpark(data=frame))
    assert only(error) == "R0023 the data changed while it was being read"
    shift.write_text("0")
    resumed = run_spark(net, folder / "run", on=OnSpark(data=frame), resume=True)
    assert vectors(resumed) == vectors(run_local(net))


# ----- a full disk -----


def test_spark_without_room_for_its_files(folder: Path, spark: SparkSession) -> None:
    """The kernel refuses the JVM's writes beyond a size, and takes them again later, in the same session."""
    gateway: Any = spark.sparkContext._gateway
    jvm = gateway.proc.pid
    pq.write_table(rows(6000), folder / "rows.parquet")
    net = small_net(folder, batch=256, workers=2)
    before = resource.prlimit(jvm, resource.RLIMIT_FSIZE)
    resource.prlimit(jvm, resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(SparkNetError) as error:
            run_spark(net, folder / "run", on=OnSpark(spark=spark))
    finally:
        resource.prlimit(jvm, resource.RLIMIT_FSIZE, before)
    assert only(error) == "R0031 encoding the data: a worker failed: File too large"
    trained = run_spark(net, folder / "run", on=OnSpark(spark=spark))
    assert vectors(trained) == vectors(run_local(net))
