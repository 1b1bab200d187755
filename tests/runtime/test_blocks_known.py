"""Which blocks a round is handed, and how tasks know that they are those of the encoding."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from sparknet.compiler.sections import SplitName
from sparknet.runtime.engines.base import Sums
from sparknet.runtime.spark.digests import BYTES, block_digests, is_known
from sparknet.runtime.spark.placing import is_among
from sparknet.runtime.spark.tasks import _report_row, read_reports
from sparknet.runtime.training.rounds import Report


def digest_of(number: int) -> bytes:
    return number.to_bytes(BYTES, "big") + b"the rest"


def test_digests_of_blocks() -> None:
    places: list[tuple[SplitName, int, int]] = [("train", 0, 0), ("train", 0, 1), ("train", 2, 0), ("test", 2, 0)]
    known = block_digests((*place, digest_of(number)) for number, place in reversed([*enumerate(places)]))
    assert {(split, worker): len(own) for split, of in known.items() for worker, own in of.items()} == {
        ("train", 0): 2 * BYTES,
        ("train", 2): BYTES,
        ("test", 2): BYTES,
    }
    for number, place in enumerate(places):
        assert is_known(known, *place, digest_of(number))
        assert not is_known(known, *place, digest_of(number + 1))
    for nowhere in (("train", 0, 2), ("train", 1, 0), ("test", 0, 0)):
        assert not is_known(known, *nowhere, digest_of(0))


@pytest.mark.parametrize(
    "needed", [set(), {(0, 0)}, {(1, 2)}, {(0, 1), (2, 0), (2, 2)}, {(w, i) for w in (0, 2) for i in range(4)}]
)
def test_blocks_that_a_round_needs(spark: SparkSession, needed: set[tuple[int, int]]) -> None:
    places = [(worker, index) for worker in range(4) for index in range(5)]
    blocks = spark.createDataFrame(places, "worker int, index int")
    assert {tuple(row) for row in blocks.filter(is_among(needed)).collect()} == needed


def test_places_whose_product_is_more_than_32_bits_hold(spark: SparkSession) -> None:
    places, needed = [(0, 0), (0, 100_000), (30_000, 0), (30_000, 100_000), (2**31 - 1, 2**31 - 1)], {(0, 100_000)}
    blocks = spark.createDataFrame(places, "worker int, index int")
    assert {tuple(row) for row in blocks.filter(is_among(needed)).collect()} == needed


def test_a_step_beyond_32_bits_breaks() -> None:
    report = Report(1, 5, Sums(5, 0.5, (0.25,)), 3, 0.1, broken=1 << 40)
    assert read_reports(pa.Table.from_batches([_report_row(report)])) == [report]
