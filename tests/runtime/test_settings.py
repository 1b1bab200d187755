"""A session that is given has its settings changed no longer than work of ours needs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparknet
from sparknet.runtime.spark.settings import BATCH_BYTES, changed_to

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
        spark.conf.set(BATCH_BYTES, before)
    seen = []
    try:
        without = spark.conf.get(BATCH_BYTES, None)
        rows = spark.createDataFrame([(float(n), n % 2) for n in range(40)], "x double, y int")
        sparknet.train(NET, rows, callback=lambda record: seen.append(spark.conf.get(BATCH_BYTES)))
        assert spark.conf.get(BATCH_BYTES, None) == without
        with pytest.raises(sparknet.SparkNetError):
            sparknet.train(NET, rows.drop("y"))
        assert spark.conf.get(BATCH_BYTES, None) == without
    finally:
        spark.conf.unset(BATCH_BYTES)
    assert set(seen) == {str(2 << 20)}


def test_the_last_of_several_users_puts_a_setting_back(spark: SparkSession) -> None:
    key = "spark.sql.shuffle.partitions"
    before = spark.conf.get(key)
    first, second = changed_to(spark, key, "7"), changed_to(spark, key, "7")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert spark.conf.get(key) == "7"
    second.__exit__(None, None, None)
    assert spark.conf.get(key) == before
