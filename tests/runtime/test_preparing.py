"""What a first pass over the rows keeps of numbers is encoded to the bytes that the source's own rows are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

from sparknet.compiler.compiled import Port
from sparknet.compiler.sections import SplitName
from sparknet.compiler.types import TensorType
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.backend import Encoded
from sparknet.runtime.encoding.binding import BoundPort
from sparknet.runtime.encoding.encode import Field, Layout, choose_layout
from sparknet.runtime.encoding.profile import Profile
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.sources.places import in_memory
from sparknet.runtime.spark.backend import SparkBackend
from sparknet.runtime.spark.preparing import REPEATED, Chained, EncodeRows, PackRows, PlaceRows, ProfileRows, RecodeRows

ONE = BoundPort(Port("one", "float", TensorType("float32", (1,))), ("one",))
PAIR = BoundPort(Port("pair", "float", TensorType("float32", (2,))), ("pair",))
KIND = BoundPort(Port("kind", "class", TensorType("int64", (1,)), classes=300), ("kind",))
BOUND = (ONE, PAIR, KIND)
PAIRS = pa.list_(pa.float32())
RECORDS = "spark.sql.execution.arrow.maxRecordsPerBatch"

# Each line: the batches of one source, as the values of `one`, its type, those of `pair` and of `kind`.
CASES = {
    "one type for all": [([1, 2], pa.int64(), [[0.5, 1], [2, 3]], [0, 7])],
    "wider and wider": [
        ([1, 2], pa.int64(), [[0, 1], [2, 3]], [0, 7]),
        ([-3, 400], pa.int64(), [[0, -1], [2, 300]], [0, 299]),
        ([1 << 20, 0], pa.int64(), [[0.25, 1], [-0.0, 3e30]], [1, 1]),
    ],
    "whole, then not": [
        ([1.0, -0.0], pa.float64(), [[1, -0.0], [0, 0]], [0, 1]),
        ([1 / 3, 1e-40], pa.float64(), [[1, 1], [0, 0]], [0, 1]),
    ],
    "whole numbers beyond 32 bits": [
        ([(1 << 53) + 1, 16_777_217], pa.int64(), [[1, 1], [0, 0]], [0, 1]),
        ([16_777_217, 3], pa.int64(), [[1, 1], [0, 0]], [0, 1]),
    ],
    "a batch without rows": [([], pa.float64(), [], []), ([0.5], pa.float64(), [[1, 1]], [0])],
}


def batches_of(case: str) -> list[pa.RecordBatch]:
    names = ["one", "pair", "kind"]
    return [
        pa.RecordBatch.from_arrays([pa.array(one, kind), pa.array(pairs, PAIRS), pa.array(kinds, pa.int32())], names)
        for one, kind, pairs, kinds in CASES[case]
    ]


def read(batches: Sequence[pa.RecordBatch]) -> tuple[list[pa.RecordBatch], Profile]:
    """What is kept of some batches, and their profile."""
    *kept, last = ProfileRows(BOUND, decode=False, keeps=True)(iter(batches))
    (text,) = last.column("profile").to_pylist()
    return kept, Profile.model_validate_json(text)


def rows_of(batches: Sequence[pa.RecordBatch]) -> list[tuple[bytes, bytes]]:
    rows = (row for batch in batches for row in batch.to_pylist())
    return [(row["digest"], row["payload"]) for row in rows]


@pytest.mark.parametrize("case", CASES)
def test_rows_are_encoded_alike_from_what_was_kept_and_from_the_source(case: str) -> None:
    batches = batches_of(case)
    kept, profile = read(batches)
    layout = choose_layout(BOUND, profile)
    assert rows_of(list(RecodeRows(BOUND, layout)(iter(kept)))) == rows_of(
        list(EncodeRows(BOUND, layout)(iter(batches)))
    )
    assert profile.rows == sum(batch.num_rows for batch in batches)


def test_what_is_kept_is_cut_into_rows_of_a_mebibyte() -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([0.5] * 100_000), pa.array([[0.5, 1]] * 100_000, PAIRS), pa.array([0] * 100_000)],
        ["one", "pair", "kind"],
    )
    kept, _ = read([batch])
    sizes = [len(row["payloads"]) for each in kept for row in each.to_pylist()]
    assert len(sizes) == 2
    assert max(sizes) <= 1 << 20


def test_nothing_is_kept_behind_a_bad_row() -> None:
    good, (bad,) = batches_of("wider and wider"), batches_of("one type for all")
    bad = bad.set_column(0, "one", pa.array([None, 1], pa.int64()))
    kept, profile = read([*good, bad, *good])
    assert (len(kept), profile.bad) == (3, 1)


def test_a_kept_row_is_read_once_and_let_go_of(spark: SparkSession) -> None:
    """The source counts how often its rows are read: profile and encoding together need them once."""
    reads = spark.sparkContext.accumulator(0)

    def count(batches):  # type: ignore[no-untyped-def]
        for batch in batches:
            reads.add(batch.num_rows)
            yield batch

    rows = spark.range(50).select(sf.col("id").cast("double").alias("one"))
    data = rows.mapInArrow(count, rows.schema)
    backend = SparkBackend({"source": data})
    bound = backend.resolve((ONE,))
    profile = reduce(Profile.merge, backend.profile(bound, decode=False, keep=True).values())
    encoded = backend.encode(bound, choose_layout(bound, profile), {"source": {"train": 1.0}}, 2)
    assert (encoded.split_rows("train"), reads.value) == (50, 50)
    backend.close()
    before = len(spark.sparkContext._jsc.getPersistentRDDs())  # type: ignore[union-attr]
    backend.profile(bound, decode=False, keep=True)
    backend.close()
    assert len(spark.sparkContext._jsc.getPersistentRDDs()) == before  # type: ignore[union-attr]


def test_rows_that_the_types_have_no_room_for_are_told() -> None:
    kept, profile = read(batches_of("wider and wider"))
    narrow = Layout(choose_layout(BOUND, read(batches_of("one type for all"))[1]).fields, 10)
    with pytest.raises(SparkNetError, match="changed while it was being read"):
        list(RecodeRows(BOUND, narrow)(iter(kept)))
    assert profile.bad == 0


# ----- rows that are there more than once -----


def numbered(numbers: Sequence[float]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(numbers, pa.float64())], ["one"])


@pytest.mark.parametrize(
    ("batches", "found"),
    [([[1, 2], [3, 4]], False), ([[1, 2], [3, 3]], True), ([[0.0, -0.0], [1]], True), ([[1, 2], [2, 1]], False)],
    ids=["no", "in a batch", "zeros of both signs", "in two batches, which nobody sees"],
)
def test_equal_rows_of_a_batch_are_seen(batches: list[list[float]], found: bool) -> None:
    *_, last = ProfileRows((ONE,), decode=False, keeps=True)(map(numbered, batches))
    assert last.column("repeats").to_pylist() == [found]


# Each line: the rows of two partitions, and how many shuffles bring them to their places in the end.
REPEATED_ROWS = {
    "none": (list(range(40)), list(range(40, 90)), 1),
    "in a batch": ([*range(40), 7], list(range(40, 90)), 2),
    "in two partitions": (list(range(40)), [*range(40, 90), 7], 2),
    "in all partitions, thrice": ([1, 1, *range(40)], [*range(50), 1], 2),
    "nothing else": ([5] * 30, [5] * 31, 2),
}


@pytest.fixture(params=[10_000, 7])
def records(request: pytest.FixtureRequest, spark: SparkSession) -> Iterator[int]:
    """How many rows a batch has at most."""
    before = spark.conf.get(RECORDS)
    spark.conf.set(RECORDS, request.param)
    yield request.param
    spark.conf.set(RECORDS, before)


@pytest.mark.parametrize("case", REPEATED_ROWS)
def test_copies_find_their_places_by_as_many_shuffles_as_it_takes(case: str, spark: SparkSession, records: int) -> None:
    """Where they are in two batches, the first attempt finds them."""
    first, second, shuffles = REPEATED_ROWS[case]
    parts = [numbered([float(n) for n in part]) for part in (first, second)]

    def rows_of_partition(batches):  # type: ignore[no-untyped-def]
        for batch in batches:
            yield from (parts[number] for number in batch["id"].to_pylist())

    on_spark = SparkBackend({"source": spark.range(2, numPartitions=2).mapInArrow(rows_of_partition, "one double")})
    here = LocalBackend({"source": in_memory(pa.Table.from_batches(parts))})
    encoded = []
    for backend in (on_spark, here):
        bound = backend.resolve((ONE,))
        profile = reduce(Profile.merge, backend.profile(bound, decode=False, keep=True).values())
        shares: dict[SplitName, float] = {"train": 0.7, "test": 0.3}
        encoded.append(backend.encode(bound, choose_layout(bound, profile), {"source": shares}, 3))
        encoded[-1].check([profile])
    assert encoded[0] == encoded[1]
    assert on_spark._blocks is not None
    plan = on_spark._blocks._jdf.queryExecution().analyzed().toString()
    assert plan.count("RepartitionBy") == shuffles
    on_spark.close()


def test_the_place_of_a_row_that_is_taken_for_the_only_one_depends_on_itself_alone() -> None:
    """On those beside it, it would in two orders be two places: of one, the other's worker knows nothing."""

    def places(numbers: Sequence[float]) -> set[bytes]:
        layout = Layout((Field(ONE.port, "<f4"),), 10)
        job = Chained((EncodeRows((ONE,), layout), PlaceRows({"train": 1.0}, 2, "payload", distinct=True)))
        return {row["rank"] for batch in job(iter([numbered(numbers)])) for row in batch.to_pylist()}

    assert places([1, 2, 2, 3]) == places([2, 1, 3, 2]) == places([1, 2, 3])
    assert len(places([1, 2, 2, 3])) == 3


def test_an_encoding_of_other_rows_than_were_checked_is_an_error() -> None:
    encoded = Encoded({("train", 0): 3, ("test", 1): 2}, 10, "")
    encoded.check([profile_of(3), profile_of(2)])
    with pytest.raises(SparkNetError, match="the data changed"):
        encoded.check([profile_of(6)])


def profile_of(rows: int) -> Profile:
    return Profile.empty(0).model_copy(update={"rows": rows})


@pytest.mark.parametrize("ranks", [["ab", "c"], ["ab", "bc"], ["abb"], ["a", "", "ab"]])
def test_rows_of_one_place_are_found_as_they_are_packed(ranks: list[str]) -> None:
    batches = [
        pa.RecordBatch.from_pydict(
            {
                "worker": pa.array([0] * len(each), pa.int32()),
                "split": pa.array(["train"] * len(each), pa.string()),
                "rank": pa.array([rank.encode() for rank in each], pa.binary()),
                "payload": pa.array([b"\0\0\x80?"] * len(each), pa.binary()),
            }
        )
        for each in ranks
    ]
    layout = Layout((Field(ONE.port, "<f4"),), 2)
    found = [row["index"] for batch in PackRows(layout)(iter(batches)) for row in batch.to_pylist()]
    assert (REPEATED in found) == (sorted({*"".join(ranks)}) != sorted("".join(ranks)))
