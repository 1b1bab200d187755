"""Every kind of column and file that is accepted, read the same here and on Spark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler.compiled import Port
from sparknet.compiler.types import TensorType
from sparknet.runtime.encoding.binding import BoundPort
from sparknet.runtime.encoding.columns import BadCell, read_column
from sparknet.runtime.encoding.encode import choose_layout, encode_batch
from sparknet.runtime.encoding.profile import profile_batch
from sparknet.runtime.runs import OnSpark, predict_to_file, run_local, run_spark
from sparknet.runtime.sources.builtin import read_built_in
from tests.runtime.conftest import rows, small_net

POINT = Port("point", "float", TensorType("float32", (2, 2)))
ONE = Port("one", "float", TensorType("float32", (1,)))
WANT = [[1, 2, 3, 4], [5, 6, 7, 8]]

COLUMNS = {
    "lists": pa.array(WANT, pa.list_(pa.int8())),
    "large lists": pa.array(WANT, pa.large_list(pa.float64())),
    "fixed lists": pa.array(WANT, pa.list_(pa.float32(), 4)),
    "halves": pa.array(np.array(WANT, np.float16).tolist(), pa.list_(pa.float32())),
    "nested": pa.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
    "deeper": pa.array([[[[1, 2]], [[3, 4]]], [[[5, 6]], [[7, 8]]]]),
    "sliced": pa.array([[0, 0, 0, 0], *WANT, [9, 9, 9, 9]])[1:3],
    "decimals": pa.array(WANT, pa.list_(pa.int32())).cast(pa.list_(pa.decimal128(12, 2))),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns(kind: str) -> None:
    numbers = read_column(COLUMNS[kind], POINT).numbers
    assert numbers is not None
    assert numbers.tolist() == WANT


@pytest.mark.parametrize(
    "column", [pa.array([True, False]), pa.array([1, 0]), pa.array(["a", "b"]).dictionary_encode().indices]
)
def test_scalars(column: pa.Array) -> None:
    numbers = read_column(column, ONE).numbers
    assert numbers is not None
    assert sorted(numbers.ravel().tolist()) == [0, 1]


def vectors_of(*cells: tuple[int, int | None, list[int] | None, list[float | None] | None] | None) -> pa.Array:
    """A column of pyspark.ml vectors as Arrow holds them: type, size, indices, values."""
    names = ["type", "size", "indices", "values"]
    kinds = [pa.int8(), pa.int32(), pa.list_(pa.int32()), pa.list_(pa.float64())]
    kind = pa.struct(list(zip(names, kinds, strict=True)))
    return pa.array([cell and dict(zip(names, cell, strict=True)) for cell in cells], kind)


GOOD = (0, 4, [1], [2.0])


@pytest.mark.parametrize(
    ("bad", "code", "text"),
    [
        ((0, 2**31 - 1, [1], [2.0]), "R0012", "has 2147483647 numbers"),
        ((0, 4, [4], [2.0]), "R0012", "has an index 4, outside its 4 numbers"),
        ((0, 4, [-1], [2.0]), "R0012", "has an index -1, outside its 4 numbers"),
        ((0, 4, [0, 1], [2.0]), "R0012", "has 2 indices for 1 values"),
        ((0, 4, [0], [None]), "R0010", "holds null"),
        ((1, None, None, [1.0, None, 3.0, 4.0]), "R0010", "holds null"),
        ((1, None, None, None), "R0010", "holds null"),
        ((0, None, [1], [2.0]), "R0010", "holds null"),
        ((0, -4, [], []), "R0012", "has -4 numbers"),
        ((1, None, None, [1.0]), "R0012", "has 1 number"),
        (None, "R0010", "is null"),
    ],
)
def test_vectors_that_are_none(
    bad: tuple[int, int, list[int], list[float | None]] | None, code: str, text: str
) -> None:
    column = read_column(vectors_of(GOOD, bad, GOOD), POINT)
    assert column.first == BadCell(code, 1, text)
    assert column.bad.tolist() == [False, True, False]


@pytest.mark.filterwarnings("error")
def test_halves_as_they_are_and_no_texts() -> None:
    halves = read_column(pa.array(np.array([1, 2, np.inf], np.float16)), ONE)
    assert halves.first == BadCell("R0011", 2, "is inf")
    assert read_column(pa.array(np.array([1, 2], np.float16)), ONE).numbers is not None
    texts = read_column(pa.array([], pa.string()), ONE)
    assert texts.numbers is not None
    assert texts.numbers.shape == (0, 1)


def test_nested_otherwise_is_refused() -> None:
    column = read_column(pa.array([[[1, 2], [3, 4]], [[1, 2, 3], [4]]]), POINT)
    assert column.first is not None
    assert (column.first.code, column.first.row) == ("R0012", 1)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 255], "<u1"),
        ([-1, 127], "<i1"),
        ([0, 256], "<u2"),
        ([-1, 256], "<i2"),
        ([0, 70_000], "<i4"),
        ([0, 2**40], "<f4"),
        ([0.0, 16.0], "<u1"),
        ([0.1, 16.0], "<f4"),
    ],
)
def test_the_smallest_element_type_is_stored(values: list[float], dtype: str) -> None:
    batch = pa.RecordBatch.from_pydict({"c": values})
    bound = (BoundPort(ONE, ("c",)),)
    layout = choose_layout(bound, profile_batch(batch, bound))
    assert layout.fields[0].dtype == dtype
    assert encode_batch(batch, bound, layout).tobytes() == np.array(values).astype(dtype).tobytes()


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer", "diabetes"])
def test_built_in_sets_are_those_of_scikit_learn(name: str) -> None:
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    table, known = read_built_in(name), getattr(datasets, f"load_{name}")(**options)
    columns = [table[column].to_numpy() for column in table.column_names]
    data = np.stack(columns[0]) if name == "digits" else np.column_stack(columns[:-1])
    assert np.array_equal(data, known.data)
    assert np.array_equal(columns[-1], known.target)


def test_json_and_parquet_and_folders_agree(folder: Path, spark: SparkSession) -> None:
    want = run_local(small_net(folder, workers=2)).parameters.tobytes()
    (folder / "rows.json").write_text("".join(json.dumps(row) + "\n" for row in rows().to_pylist()), "utf-8")
    parts = folder / "parts"
    parts.mkdir()
    (parts / "_SUCCESS").touch()
    for part in range(3):
        pq.write_table(rows().slice(part * 70, 70), parts / f"part-{part}.parquet")
    for source in ('json("rows.json")', 'parquet("parts")'):
        net = small_net(folder, source, workers=2)
        assert run_local(net).parameters.tobytes() == want
        assert run_spark(net, on=OnSpark(spark=spark)).parameters.tobytes() == want


def test_paths_with_odd_characters(tmp_path: Path, spark: SparkSession) -> None:
    folder = tmp_path / "a b[1]{x}*%20"
    folder.mkdir()
    pq.write_table(rows(), folder / "ro ws[0]?%.parquet")
    net = small_net(folder, 'parquet("ro ws[0]?%.parquet")', workers=1)
    want = run_local(net, folder / "run").parameters.tobytes()
    assert run_spark(net, on=OnSpark(spark=spark)).parameters.tobytes() == want
    source = str(folder / "ro ws[0]?%.parquet")
    predict_to_file(folder / "run", source, folder / "o [0]%.parquet", OnSpark(spark=spark))
    assert pq.read_table(folder / "o [0]%.parquet").num_rows == 200
    assert sorted(p.name for p in tmp_path.iterdir()) == [folder.name]
    assert not [p for p in folder.iterdir() if "partial" in p.name]


def test_csv_with_and_without_a_header(tmp_path: Path, spark: SparkSession) -> None:
    text = (
        "net N {{\n  input a: float[1]\n  dense(4, relu)\n  dense(2)\n  output b: class[2]\n}}\n"
        'data {{\n  source = csv("{file}"{header})\n  a = column("{a}")\n  b = column("{b}")\n'
        "  split = {{train: 0.7, test: 0.3}}\n}}\ntrain {{\n  epochs = 1\n  batch = 4\n  workers = 2\n}}\n"
    )
    table = pa.table({"a": np.arange(100) / 7, "b": np.arange(100) % 2})
    arrow_csv.write_csv(table, tmp_path / "with.csv")
    arrow_csv.write_csv(table, tmp_path / "without.csv", arrow_csv.WriteOptions(include_header=False))
    found = set()
    for file, header, a, b in (("with.csv", "", "a", "b"), ("without.csv", ", header: false", "_c0", "_c1")):
        path = tmp_path / "n.net"
        path.write_text(text.format(file=file, header=header, a=a, b=b), "utf-8")
        net = sparknet.compile(path)
        found.add(run_local(net).parameters.tobytes())
        found.add(run_spark(net, on=OnSpark(spark=spark)).parameters.tobytes())
    assert len(found) == 1


def test_vectors_of_pyspark_ml(folder: Path, spark: SparkSession) -> None:
    net = small_net(folder, workers=2)
    points = [(Vectors.dense(x), y) for x, y in zip(rows()["x"].to_pylist(), rows()["y"].to_pylist(), strict=True)]
    sparse = [(Vectors.sparse(4, range(4), x.values), y) for x, y in points]
    mixed = spark.createDataFrame(points[::2] + sparse[1::2], ["x", "y"])
    assert run_spark(net, on=OnSpark(data=mixed)).parameters.tobytes() == run_local(net).parameters.tobytes()


def test_columns_with_dots_and_backticks(folder: Path, spark: SparkSession) -> None:
    net = small_net(folder, workers=1)
    path = folder / "small.net"
    path.write_text(path.read_text("utf-8").replace('column("x")', 'column("a.`x`")'), "utf-8")
    frame = spark.createDataFrame(rows().rename_columns(["a.`x`", "y", "id"]))
    trained = run_spark(sparknet.compile(path), on=OnSpark(data=frame))
    assert trained.parameters.tobytes() == run_local(net).parameters.tobytes()
