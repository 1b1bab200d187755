"""Rows that do not fit into memory: through files to the same bytes, and one clear error where the disk is full."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparknet.grammar import SparkNetError
from sparknet.runtime import spool
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.training import rounds
from tests.runtime.conftest import only, small_net
from tests.runtime.test_reproducible import vectors


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: as good as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("sync", ["average(every: 7)", "step"])
def test_rows_in_files_give_the_same_bytes(
    folder: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, sync: str
) -> None:
    monkeypatch.setattr("sparknet.runtime.encoding.encode.BLOCK_BYTES", 17 * 10)
    net = small_net(folder, epochs=1, workers=2, more=f"\n  sync = {sync}")
    held = vectors(run_local(net))
    scratches: list[int] = []
    made = spool.Scratch.__init__
    monkeypatch.setattr(spool.Scratch, "__init__", lambda self, size=0: (scratches.append(size), made(self, size))[1])
    monkeypatch.setattr(spool, "HELD_BYTES", 100)
    assert vectors(run_local(net)) == held
    assert scratches
    assert vectors(run_spark(net, on=OnSpark(spark=spark))) == held


@pytest.mark.parametrize("held", [100, 1000, 1 << 20])
def test_blocks_in_files_give_the_same_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr("sparknet.runtime.encoding.encode.BLOCK_BYTES", 17 * 10)
    net = small_net(folder, epochs=1, workers=3, more="\n  sync = average(every: 3)\n  balance = kind")
    whole = run_local(net)
    monkeypatch.setattr(spool, "LOCAL_BYTES", 300)
    monkeypatch.setattr(spool, "HELD_BYTES", held)
    monkeypatch.setattr("sparknet.runtime.encoding.local._AT_ONCE", 7)
    assert vectors(run_local(net)) == vectors(whole)


def test_rows_are_written_in_few_pieces() -> None:
    """The rows of a block lie side by side in the stream of a worker, but for where epochs meet."""
    shard = rounds.Shard(worker=0, rows=1000, block_rows=100)
    chosen = rounds.examples(rounds.Plan(0, 0, 10, 100, 1, rounds.Rates(0.1)), shard)
    assert sum(chosen[1:] // 100 != chosen[:-1] // 100) == 9


def test_a_full_disk_is_one_clear_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "HELD_BYTES", 100)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(folder))
    net = small_net(folder, epochs=1, workers=1)
    for size, local in ((200, 1 << 20), (200, 100)):
        monkeypatch.setattr(spool, "LOCAL_BYTES", local)
        with largest_file(size), pytest.raises(SparkNetError) as error:
            run_local(net)
        assert only(error) == f"R0034 no room in `{folder}` for rows that do not fit into memory: File too large"
    assert {path.name for path in folder.iterdir()} == {"rows.parquet", "small.net"}
    run_local(net)
