"""Balanced classes: each equally often among the examples of a worker, by its place in the run and nothing else."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.schedules import Rates
from sparknet.runtime import spool
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.training import balance
from sparknet.runtime.training.balance import BlockClasses, Picks, balanced, classes_of
from sparknet.runtime.training.rounds import Plan, Shard, blocks_needed
from tests.runtime.test_reproducible import vectors


def blocks(*counts: dict[int, int]) -> list[BlockClasses]:
    """What is counted in blocks that hold so many rows of each class."""
    return [(i, np.array(list(each), np.int64), np.array(list(each.values()))) for i, each in enumerate(counts)]


SHARD = blocks({0: 90, 3: 10}, {0: 100}, {0: 70, 3: 29, 7: 1})


def rows_of(picks: Picks) -> list[tuple[int, int, int]]:
    assert picks.kinds is not None
    return list(zip(picks.kinds.tolist(), picks.blocks.tolist(), picks.ranks.tolist(), strict=True))


def test_every_class_comes_once_in_a_turn() -> None:
    picks = balanced(classes_of(0, SHARD), 5, 1, 0, 3000)
    assert picks.kinds is not None
    turns = picks.kinds.reshape(-1, 3)
    assert (np.sort(turns, axis=1) == [0, 3, 7]).all()
    assert len({*map(tuple, turns.tolist())}) == 6, "in every order"


@pytest.mark.parametrize("drawn", [4096, 50])
def test_every_row_of_a_class_comes_once_an_epoch(monkeypatch: pytest.MonkeyPatch, drawn: int) -> None:
    monkeypatch.setattr(balance, "_DRAWN", drawn)
    found = rows_of(balanced(classes_of(0, SHARD), 5, 1, 0, 3 * 260 * 3))
    for kind, rows in ((0, 260), (3, 39), (7, 1)):
        own = [row for row in found if row[0] == kind]
        epochs = [own[start : start + rows] for start in range(0, len(own) - rows + 1, rows)]
        held = [(index, counts[kinds == kind].sum()) for index, kinds, counts in SHARD]
        there = {(kind, index, rank) for index, count in held for rank in range(count)}
        assert len(epochs) >= 3
        assert all({*epoch} == there for epoch in epochs)
        assert rows == 1 or epochs[0] != epochs[1]
    if drawn == 50:
        common = [block for kind, block, _ in found[: 3 * 260] if kind == 0]
        assert sum(a != b for a, b in pairwise(common)) == 2, "block after block"


@pytest.mark.parametrize("drawn", [4096, 50, 1])
def test_any_stretch_is_found_directly(monkeypatch: pytest.MonkeyPatch, drawn: int) -> None:
    monkeypatch.setattr(balance, "_DRAWN", drawn)
    classes = classes_of(0, SHARD)
    whole = rows_of(balanced(classes, 5, 1, 0, 2000))
    for start, stop in ((0, 1), (7, 8), (299, 1003), (1999, 2000)):
        assert rows_of(balanced(classes, 5, 1, start, stop)) == whole[start:stop]
    assert rows_of(balanced(classes_of(0, SHARD[::-1]), 5, 1, 0, 2000)) == whole
    assert rows_of(balanced(classes, 5, 2, 0, 2000)) != whole
    assert rows_of(balanced(classes, 6, 1, 0, 2000)) != whole


def test_a_round_reads_the_blocks_of_its_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance, "_DRAWN", 50)
    shard = Shard(0, 300, 100, classes_of(0, blocks({0: 100}, {0: 100}, {0: 100})))
    assert len(blocks_needed(Plan(0, 0, 1, 50, 1, Rates(0.1)), shard)) == 1
    assert blocks_needed(Plan(0, 0, 6, 50, 1, Rates(0.1)), shard) == (0, 1, 2)


# ----- runs -----

NET = """
net Rare {{
  input x: float[2]
  dense(8, relu) -> dense({units})
  output kind: {kind}
}}
data {{
  source = parquet("rows.parquet")
  x      = column("x")
  kind   = column("kind")
}}
train {{
  optimizer = adam(lr: 0.02)
  metrics   = recall
  epochs    = {epochs}
  workers   = {workers}
  {more}
}}
"""


def net_of(folder: Path, more: str = "", kind: str = "class[2]", epochs: int = 3, workers: int = 2) -> CompiledNet:
    units = 1 if kind == "bool[1]" else 2
    text = NET.format(more=more, kind=kind, units=units, epochs=epochs, workers=workers)
    (folder / "rare.net").write_text(text, "utf-8")
    return sparknet.compile(folder / "rare.net")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clouds that overlap; one row in 25 is of the second."""
    draw = np.random.Generator(np.random.Philox(11))
    rare = (np.arange(3000) % 25 == 0).astype(int)
    points = draw.normal(size=(3000, 2)) + 1.2 * rare[:, None]
    pq.write_table(pa.table({"x": list(points), "kind": rare}), tmp_path / "rows.parquet")
    return tmp_path


@pytest.mark.parametrize("kind", ["class[2]", "bool[1]"])
def test_more_of_a_rare_class_is_found(folder: Path, kind: str) -> None:
    plain, even = (run_local(net_of(folder, more, kind, epochs=8)) for more in ("", "balance = kind"))
    before, after = (trained.scores["test"].metrics["recall"] for trained in (plain, even))
    assert before < 0.6
    assert after > before + 0.2
    assert [r.steps for r in plain.history] == [r.steps for r in even.history], "an epoch is as long"


def test_local_spark_and_files_give_the_same_bytes(
    folder: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparknet.runtime.encoding.encode.BLOCK_BYTES", 9 * 100)
    monkeypatch.setattr(balance, "_DRAWN", 300)  # in this process only, where Spark's workers learn the blocks to read
    net = net_of(folder, "balance = kind\n  sync = average(every: 11)")
    trained = run_local(net)
    monkeypatch.setattr(spool, "HELD_BYTES", 100)
    assert vectors(run_local(net)) == vectors(trained)
    monkeypatch.setattr(balance, "_DRAWN", 4096)
    held = run_local(net)
    assert vectors(run_spark(net, on=OnSpark(spark=spark))) == vectors(held)
    assert vectors(held) != vectors(trained)


def test_a_class_that_a_shard_lacks_is_left_out_there(tmp_path: Path, spark: SparkSession) -> None:
    kinds = [1] + [0] * 99
    pq.write_table(pa.table({"x": [[i / 100, 1.0] for i in range(100)], "kind": kinds}), tmp_path / "rows.parquet")
    net = net_of(tmp_path, "balance = kind\n  batch = 4", epochs=1, workers=3)
    trained = run_local(net)
    assert vectors(run_spark(net, on=OnSpark(spark=spark))) == vectors(trained)
    only = balanced(classes_of(0, blocks({1: 5})), 0, 0, 0, 20)
    assert Counter(only.kinds.tolist()) == {1: 20}
