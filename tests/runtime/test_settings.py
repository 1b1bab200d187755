"""A session that is given has its settings changed no longer than work of ours needs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparknet
from sparknet.runtime.spark.settings import rows_apart, small_batches

HANDED = "spark.sql.execution.arrow.maxBytesPerBatch"
KEPT = "spark.sql.inMemoryColumnarStorage.batchSize"

NET = """
net N {
  input x: float[1]
  dense(2)
  output y: class[2]
}
data {
  x = column("x")
  y = column("y")
}
train {
  epochs  = 1
  batch   = 4
  workers = 2
}
"""


@pytest.mark.parametrize("before", [None, "1000000"])
def test_a_run_hands_its_workers_small_batches(spark: SparkSession, tmp_path: Path, before: str | None) -> None:
    if before is not None:
        spark.conf.set(HANDED, before)
    seen = []
    try:
        without = spark.conf.get(HANDED, None)
        rows = spark.createDataFrame([(float(n), n % 2) for n in range(40)], "x double, y int")
        model = sparknet.train(NET, rows, callback=lambda record: seen.append(spark.conf.get(HANDED)))
        assert spark.conf.get(HANDED, None) == without
        model.evaluate(rows)
        assert spark.conf.get(HANDED, None) == without
        with pytest.raises(sparknet.SparkNetError):
            sparknet.train(NET, rows.drop("y"))
        assert spark.conf.get(HANDED, None) == without
    finally:
        spark.conf.unset(HANDED)
    assert set(seen) == {str(2 << 20)}


def test_the_last_of_several_users_puts_a_setting_back(spark: SparkSession) -> None:
    """The session stands behind two objects, as pyspark makes them in threads without an active session."""
    other = SparkSession(spark.sparkContext, spark._jsparkSession)
    before = spark.conf.get(HANDED)
    first, second = small_batches(spark), small_batches(other)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert spark.conf.get(HANDED) == str(2 << 20)
    second.__exit__(None, None, None)
    assert spark.conf.get(HANDED) == before


def test_a_setting_that_is_refused_is_tried_again(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    before = spark.conf.get(KEPT)

    def refuse(self: object, key: str, value: str) -> None:
        raise OSError("not here")

    with monkeypatch.context() as patch:
        patch.setattr(type(spark.conf), "set", refuse)
        with pytest.raises(OSError, match="not here"), rows_apart(spark):
            pass
    with rows_apart(spark):
        assert spark.conf.get(KEPT) == "1"
    assert spark.conf.get(KEPT) == before
