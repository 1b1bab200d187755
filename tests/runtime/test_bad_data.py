"""Data that cannot be used gets one message: what is wrong, in which row and column, and where it is bound."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError
from sparknet.runtime.engines.base import EngineError, Feeds, Floats, Graph, OnnxRuntimeEngine, Sums
from sparknet.runtime.failures import diagnosed
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.sources.places import place_of
from sparknet.runtime.spark.backend import SparkBackend
from sparknet.runtime.spark.masters import check_master
from sparknet.runtime.training.records import Prepared
from sparknet.runtime.training.trainer import data_section, train
from tests.runtime.conftest import only, rows, small_net

GOOD = [1.0, 2.0, 3.0, 4.0]


def table(x: list[Any] | None = None, y: list[Any] | None = None, kind: pa.DataType | None = None) -> pa.Table:
    """Good rows, with some of them replaced at the end."""
    points: list[Any] = [GOOD] * 40
    labels: list[Any] = [0, 1] * 20
    if x:
        points[-len(x) :] = x
    if y:
        labels[-len(y) :] = y
    return pa.table({"x": pa.array(points, kind) if kind else points, "y": labels})


CASES = {
    "null": (table(x=[GOOD, None]), "R0010 row 40 of column `x` is null; `point` takes 4 numbers"),
    "null inside": (table(x=[[1.0, None, 3.0, 4.0]]), "R0010 row 40 of column `x` holds null; `point` takes 4 numbers"),
    "nan": (table(x=[[1.0, np.nan, 3.0, 4.0], GOOD]), "R0011 row 39 of column `x` holds nan; `point` takes 4 numbers"),
    "nan before null": (
        table(x=[[np.nan, 2.0, 3.0, 4.0], GOOD, None]),
        "R0011 row 38 of column `x` holds nan; `point` takes 4 numbers",
    ),
    "inf": (table(x=[[1.0, -np.inf, 3.0, 4.0]]), "R0011 row 40 of column `x` holds -inf; `point` takes 4 numbers"),
    "length": (table(x=[[1.0, 2.0]]), "R0012 row 40 of column `x` has 2 numbers; `point` takes 4 numbers"),
    "texts": (table(x=[list("abcd")] * 40), "R0013 column `x` is of type list of string; `point` takes 4 numbers"),
    "too large": (table(x=[[1e300, 0, 0, 0]]), "R0016 row 40 of column `x` holds 1e+300; `point` takes 4 numbers"),
    "no class": (table(y=[3]), "R0014 row 40 of column `y` is 3; `kind` takes a class from 0 to 2"),
    "negative": (table(y=[-1, 0]), "R0014 row 39 of column `y` is -1; `kind` takes a class from 0 to 2"),
    "not whole": (table(y=[0.5] + [1.0] * 39), "R0015 row 1 of column `y` is 0.5; `kind` takes a class from 0 to 2"),
    "text label": (
        table(y=["a"] * 40),
        "R0026 column `y` has 1 label in the training rows, but `kind` takes 3",
    ),
    "null label": (table(y=[None]), "R0010 row 40 of column `y` is null; `kind` takes a class from 0 to 2"),
}


def net_of(folder: Path, data: pa.Table, **settings: object) -> CompiledNet:
    pq.write_table(data, folder / "rows.parquet")
    return small_net(folder, **settings)


def test_answers_other_than_yes_and_no(tmp_path: Path) -> None:
    answers: list[Any] = [[0, 1]] * 39 + [[1, 2]]
    pq.write_table(pa.table({"x": [GOOD] * 40, "y": answers}), tmp_path / "rows.parquet")
    net = tmp_path / "net.net"
    net.write_text(
        "net N {\n input point: float[4]\n dense(2)\n output tags: bool[2]\n}\n"
        'data {\n source = parquet("rows.parquet")\n point = column("x")\n tags = column("y")\n}'
    )
    with pytest.raises(SparkNetError) as error:
        run_local(sparknet.compile(net))
    assert only(error) == "R0017 row 40 of column `y` holds 2; `tags` takes 2 numbers, each 0 or 1"


@pytest.mark.parametrize(
    ("options", "help"),
    [
        ("", 'the lines are not cut: is it `csv("...", separator: ";")`?'),
        (
            ', separator: ";", header: false',
            "with `header: false` columns are called `_c0`, `_c1` and so on; `header: true` reads their names",
        ),
    ],
)
def test_a_csv_that_is_read_in_another_way_than_it_was_written(tmp_path: Path, options: str, help: str) -> None:
    (tmp_path / "rows.csv").write_text("x;y\n" + "1;0\n2;1\n" * 20)
    net = tmp_path / "net.net"
    net.write_text(
        "net N {\n input x: float[1]\n dense(2)\n output y: class[2]\n}\n"
        f'data {{\n source = csv("rows.csv"{options})\n x = column("x")\n y = column("y")\n}}'
    )
    with pytest.raises(SparkNetError) as error:
        run_local(sparknet.compile(net))
    assert [(d.message, d.helps) for d in error.value.diagnostics] == [
        (f"the data has no column `{name}`", (help,)) for name in "xy"
    ]


@pytest.mark.parametrize(
    ("input_", "binding", "help"),
    [
        ("float[3]", 'column("w")', '`onehot(column("w"))` makes numbers of a few words'),
        ("float[2]", 'columns("w", "n")', 'on an input of its own `onehot(column("w"))` makes'),
        ("float[1]", 'column("w")', "words are for an output `class[n]`, or by "),
    ],
)
def test_words_in_the_place_of_numbers(tmp_path: Path, input_: str, binding: str, help: str) -> None:
    pq.write_table(pa.table({"w": ["a", "b"] * 20, "n": [1, 2] * 20, "y": [0, 1] * 20}), tmp_path / "rows.parquet")
    net = tmp_path / "net.net"
    net.write_text(
        f"net N {{\n input x: {input_}\n dense(2)\n output y: class[2]\n}}\n"
        f'data {{\n source = parquet("rows.parquet")\n x = {binding}\n y = column("y")\n}}'
    )
    with pytest.raises(SparkNetError) as error:
        run_local(sparknet.compile(net))
    assert error.value.diagnostics[0].helps[1].startswith(help)


def test_tasks_that_fail_are_told_by_us_alone(spark: SparkSession) -> None:
    """Spark would print each failed try with all frames of Java; `Utils` those of tasks that write."""
    jvm: Any = spark._jvm
    for name in ("executor.Executor", "scheduler.TaskSetManager", "util.Utils"):
        logger = jvm.org.apache.logging.log4j.LogManager.getLogger(f"org.apache.spark.{name}")
        assert logger.getLevel().toString() == "OFF"


def test_a_word_in_one_cell_of_a_csv(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b,y\n" + "1,2,0\n" * 30 + "n/a,2,1\n")
    net = tmp_path / "net.net"
    net.write_text(
        "net N {\n input point: float[2]\n dense(2)\n output y: class[2]\n}\n"
        'data {\n source = csv("rows.csv")\n point = columns("a", "b")\n y = column("y")\n}'
    )
    with pytest.raises(SparkNetError) as error:
        run_local(sparknet.compile(net))
    assert only(error) == "R0013 column `a` is of type string; `point` takes 2 numbers"
    assert error.value.diagnostics[0].helps[0].startswith("in a CSV one cell that is no number")
    net.write_text(net.read_text().replace('"rows.csv"', '"rows.csv", null: "n/a"'))
    with pytest.raises(SparkNetError) as error:
        run_local(sparknet.compile(net))
    assert only(error) == "R0010 row 31 of column `a` is null; `point` takes 2 numbers"


@pytest.mark.parametrize("case", CASES)
def test_bad_values(tmp_path: Path, case: str) -> None:
    data, message = CASES[case]
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, data))
    assert only(error) == message
    (label,) = error.value.diagnostics[0].labels
    assert label.source.text[label.span.start : label.span.end].startswith("column(")


@pytest.mark.parametrize("case", ["null", "nan", "length", "texts", "no class"])
def test_bad_values_on_spark(tmp_path: Path, spark: SparkSession, case: str) -> None:
    data, message = CASES[case]
    with pytest.raises(SparkNetError) as error:
        run_spark(net_of(tmp_path, data), on=OnSpark(spark=spark))
    assert only(error) == message


def test_the_number_of_other_bad_rows_is_told(tmp_path: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, table(x=[None, None, None, GOOD])))
    assert only(error).startswith("R0010 row 37")
    assert "2 more rows are bad, of 40" in error.value.diagnostics[0].notes


def test_all_columns_with_bad_rows_are_named(tmp_path: Path) -> None:
    """In the order of their first bad rows, with the number of all others at the first."""
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, table(x=[None, None], y=[9, 0, 0])))
    first, second = error.value.diagnostics
    assert first.message.startswith("row 38 of column `y` is 9")
    assert second.message.startswith("row 39 of column `x` is null")
    assert (first.notes[1:], second.notes) == (("1 more row is bad, of 40",), ())


def test_all_columns_of_a_wrong_type_are_named(tmp_path: Path) -> None:
    data = pa.table({"x": [list("abcd")] * 40, "y": [["a"]] * 40})
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, data))
    assert [diagnostic.message for diagnostic in error.value.diagnostics] == [
        "column `x` is of type list of string; `point` takes 4 numbers",
        "column `y` is of type list of string; `kind` takes a class from 0 to 2",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"\xef\xbb\xbf\n", "it is empty"),
        (b'"x,y\n1,2\n', 'a " in its first row is not closed'),
        (b'x,y\n1,2\n"3,4\n', 'row 3 has 1 field, the first has 2; a " in it is not closed'),
        (b"x,y\n1,2\n3,4,5\n", "row 3 has 3 fields, the first has 2"),
    ],
)
def test_a_csv_file_that_is_none(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(tmp_path, 'csv("rows.csv")'))
    assert only(error) == f"R0003 `{tmp_path / 'rows.csv'}` cannot be read as csv: {why}"


def test_rows_are_counted_over_all_partitions(tmp_path: Path, spark: SparkSession) -> None:
    data = table(x=[None])
    for part in range(4):
        pq.write_table(data.slice(part * 10, 10), tmp_path / f"part-{part}.parquet")
    frame = spark.read.parquet(*(str(tmp_path / f"part-{part}.parquet") for part in range(4))).coalesce(3)
    with pytest.raises(SparkNetError) as error:
        run_spark(small_net(tmp_path), on=OnSpark(data=frame))
    assert only(error).startswith("R0010 row ")


def test_a_missing_column(tmp_path: Path, spark: SparkSession) -> None:
    net = net_of(tmp_path, rows().rename_columns(["xs", "label", "id"]))
    for run in (lambda: run_local(net), lambda: run_spark(net, on=OnSpark(spark=spark))):
        with pytest.raises(SparkNetError) as error:
            run()
        codes = [diagnostic.message for diagnostic in error.value.diagnostics]
        assert codes == ["the data has no column `x`", "the data has no column `y`"]
        assert error.value.diagnostics[0].notes == ("columns of the data: `xs`, `label`, `id`",)


def test_a_missing_file(tmp_path: Path) -> None:
    net = small_net(tmp_path)
    for run in (run_local, run_spark):  # before Spark is started
        with pytest.raises(SparkNetError) as error:
            run(net)
        assert only(error) == f"R0001 there is nothing at `{tmp_path / 'rows.parquet'}`"


@pytest.mark.parametrize(("name", "content"), [("parquet", b"PAR1 and no more"), ("json", b"{]"), ("csv", b'a,b\n"\n')])
def test_a_file_of_another_kind(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "rows.x").write_bytes(content)
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(tmp_path, f'{name}("rows.x")'))
    assert only(error).startswith(f"R0003 `{tmp_path / 'rows.x'}` cannot be read as {name}: ")


def test_a_file_of_another_kind_on_spark(tmp_path: Path, spark: SparkSession) -> None:
    (tmp_path / "rows.x").write_bytes(b"PAR1 and no more")
    with pytest.raises(SparkNetError) as error:
        run_spark(small_net(tmp_path, 'parquet("rows.x")'), on=OnSpark(spark=spark))
    assert only(error).startswith("R0003 ")


def test_columns_of_one_name(tmp_path: Path, spark: SparkSession) -> None:
    net = net_of(tmp_path, rows().rename_columns(["x", "y", "x"]))
    with pytest.raises(SparkNetError) as error:
        run_local(net)
    assert only(error) == "R0006 the data has 2 columns `x`"
    for names in (["x", "y", "x"], ["x", "y", "X"]):
        with pytest.raises(SparkNetError) as error:
            run_spark(net, on=OnSpark(data=spark.createDataFrame(rows()).toDF(*names)))
        assert only(error) == "R0006 the data has 2 columns `x`"


def test_what_fails_underneath_is_a_diagnostic(tmp_path: Path, spark: SparkSession) -> None:
    frame = spark.createDataFrame(rows()).selectExpr("x", "cast(raise_error('gone') as int) as y")
    with pytest.raises(SparkNetError) as error:
        run_spark(net_of(tmp_path, rows()), on=OnSpark(data=frame))
    assert only(error).startswith("R0031 checking the data: a worker failed: ")
    for raised, message in (
        (pa.ArrowInvalid("no\nmore"), "R0003 training: the data cannot be used: no"),
        (EngineError("no"), "R0031 training: a worker failed: no"),
        (PySparkException("no"), "R0033 training: Spark failed: no"),
    ):
        with pytest.raises(SparkNetError) as error, diagnosed("training"):
            raise raised
        assert only(error) == message


def test_an_evaluation_that_is_not_finite(tmp_path: Path) -> None:
    """Every training step is fine, the evaluation is not."""

    class Engine(OnnxRuntimeEngine):
        def evaluate(self, graph: Graph, parameters: Floats, batches: Iterable[tuple[Feeds, int]]) -> Sums:
            found = super().evaluate(graph, parameters, batches)
            return dataclasses.replace(found, loss=np.inf)

    net = net_of(tmp_path, rows())
    supply = data_section(net).supplies["source"]
    backend = LocalBackend({"source": place_of(supply.source, supply.label)}, Engine())
    with pytest.raises(SparkNetError) as error:
        train(net, backend)
    assert only(error) == "R0030 the loss is not finite: round 1, on `test`"


def test_remote_paths_need_spark(tmp_path: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(tmp_path, 'parquet("s3a://bucket/rows")'), data_roots=["s3a://bucket"])
    assert only(error) == "R0005 `s3a://bucket/rows` is not on this machine"


def test_lost_blocks_of_data_that_changed(tmp_path: Path, spark: SparkSession) -> None:
    """Blocks that Spark lost are computed anew, from a source that gives other rows by now."""
    net, shift = net_of(tmp_path, rows()), tmp_path / "shift"

    def shifted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            y = [(y + int(shift.read_text())) % 3 for y in batch.column("y").to_pylist()]
            yield pa.RecordBatch.from_pydict({"x": batch.column("x"), "y": pa.array(y, pa.int64())})

    shift.write_text("0")
    frame = spark.createDataFrame(rows()).mapInArrow(shifted, "x array<double>, y long")

    def lose(event: object) -> None:
        if isinstance(event, Prepared):
            assert backend._blocks is not None
            backend._blocks.unpersist(blocking=True)
            shift.write_text("1")

    backend = SparkBackend({"source": frame})
    with pytest.raises(SparkNetError) as error:
        train(net, backend, lose)
    assert only(error) == "R0023 the data changed while it was being read"


def refused(folder: Path, source: str, *roots: str) -> tuple[str, str]:
    """The message about a source that the file may not name, and its help."""
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(folder, f'parquet("{source}")'), data_roots=roots)
    return only(error), error.value.diagnostics[0].helps[0]


def test_data_stays_in_the_folder_of_the_file(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "out side"
    (inside / "parts").mkdir(parents=True)
    outside.mkdir()
    pq.write_table(rows(), outside / "rows.parquet")
    (inside / "link.parquet").symlink_to(outside / "rows.parquet")
    (inside / "parts" / "a.parquet").symlink_to(outside / "rows.parquet")
    real = outside / "rows.parquet"
    for source in ("../out side/rows.parquet", str(real), f"file://{real}", "link.parquet", "parts"):
        message, help = refused(inside, source)
        assert message == f"R0007 `{real}` is outside the folder of the .net file"
        assert f"`--data '{real}'`" in help
        run_local(small_net(inside, f'parquet("{source}")'), data_roots=[outside])
    assert refused(inside, "/etc/nothing")[0].startswith("R0007 ")  # before anyone learns whether it is there
    for source in ("s3a://bucket-2/x", "s3a://bucket/../other", "s3a://bucket/%2e%2e/other"):
        assert refused(inside, source, "s3a://bucket")[0].startswith(f"R0007 `{source}`")


def test_masters() -> None:
    for master in (
        None,
        "local",
        "local[*]",
        "local[4]",
        "local[4,2]",
        "local-cluster[2,1,1024]",
        "spark://h:1",
        "yarn",
    ):
        check_master(master)
    for master in ("locl[2]", "local[0]", "local[2", "spark:/h", ""):
        with pytest.raises(SparkNetError) as error:
            check_master(master)
        assert only(error) == f"R0063 Spark knows no master `{master}`"
        assert "`local[4]`" in error.value.diagnostics[0].helps[0]


def test_no_data_section() -> None:
    net = sparknet.compile("net N {\n  input x: float[2]\n  dense(2)\n  output y: class[2]\n}\n")
    with pytest.raises(SparkNetError) as error:
        run_local(net)
    assert only(error).startswith("R0004 ")
