"""Predictions: the same here and on Spark, beside the columns that were there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv
from pyspark.sql import SparkSession

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.runtime.run_folder import load
from sparknet.runtime.runs import OnSpark, predict_to_file, run_local
from sparknet.runtime.spark.predict import predict_frame
from tests.runtime.conftest import only, rows, small_net


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, `run`, beside its data, `rows.parquet`."""
    folder = tmp_path_factory.mktemp("made")
    pq.write_table(rows(), folder / "rows.parquet")
    run_local(small_net(folder, epochs=30), folder / "run")
    return folder


def test_predictions_stand_beside_the_columns(made: Path, tmp_path: Path) -> None:
    assert predict_to_file(made / "run", str(made / "rows.parquet"), tmp_path / "out.parquet").rows == 200
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["x", "y", "id", "kind_predicted", "kind_probability"]
    probability = np.stack(table["kind_probability"].to_numpy())
    assert np.allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(probability.argmax(axis=1), table["kind_predicted"].to_numpy())
    assert np.mean(table["kind_predicted"].to_numpy() == table["y"].to_numpy()) > 0.9
    assert table["id"].to_pylist() == list(range(200))


def test_spark_gives_the_same(made: Path, tmp_path: Path, spark: SparkSession) -> None:
    source = str(made / "rows.parquet")
    predict_to_file(made / "run", source, tmp_path / "here.parquet", keep=["id"])
    predict_to_file(made / "run", source, tmp_path / "there.parquet", OnSpark(spark=spark), keep=["id"])
    here, there = (pq.read_table(tmp_path / f"{name}.parquet").sort_by("id") for name in ("here", "there"))
    assert here.to_pydict() == there.to_pydict()
    assert here.column_names == ["id", "kind_predicted", "kind_probability"]


def test_json_lines(made: Path, tmp_path: Path, spark: SparkSession) -> None:
    source = str(made / "rows.parquet")
    predict_to_file(made / "run", source, tmp_path / "out.json")
    first = json.loads((tmp_path / "out.json").read_text("utf-8").splitlines()[0])
    assert list(first) == ["x", "y", "id", "kind_predicted", "kind_probability"]
    assert spark.read.json(str(tmp_path / "out.json")).count() == 200


def test_a_csv_has_a_column_for_each_number_of_a_list(made: Path, tmp_path: Path, spark: SparkSession) -> None:
    source = str(made / "rows.parquet")
    with pytest.raises(SparkNetError) as error:
        predict_to_file(made / "run", source, tmp_path / "out.csv")
    here = tmp_path / "out.csv"
    assert only(error) == f"R0052 `{here}`: CSV holds no lists, vectors or bytes, as column `x` of the input does"
    helps = (
        f"write them all with `--output {here.with_suffix('.parquet')}`",
        "or keep the others: `--keep y --keep id`",
    )
    assert error.value.diagnostics[0].helps == helps
    predict_to_file(made / "run", source, here, keep=["y", "id"])
    predict_to_file(made / "run", source, tmp_path / "there.csv", OnSpark(spark=spark), keep=["y", "id"])
    predict_to_file(made / "run", source, tmp_path / "lists.parquet", keep=["y", "id"])
    lists = pq.read_table(tmp_path / "lists.parquet")
    numbers = [f"kind_probability_{place}" for place in range(3)]
    there = pd.concat(map(pd.read_csv, (tmp_path / "there.csv").glob("*.csv")))
    for found in (pd.read_csv(here), there.sort_values("id")):
        assert list(found.columns) == ["y", "id", "kind_predicted", *numbers]
        assert found["kind_predicted"].tolist() == lists["kind_predicted"].to_pylist()
        assert (found[numbers].to_numpy(np.float32) == np.stack(lists["kind_probability"].to_numpy())).all()


@pytest.mark.parametrize(
    ("labels", "names"), [(("cat", "dog", "or, an owl"), None), (("a", "A", "b"), ("0", "1", "2"))]
)
def test_the_columns_of_a_csv_go_by_labels(tmp_path: Path, labels: Sequence[str], names: Sequence[str] | None) -> None:
    kinds = np.array(labels, object)[rows()["y"].to_numpy()]
    table = pa.table({**{f"x{i}": values for i, values in enumerate(np.stack(rows()["x"].to_numpy()).T)}, "y": kinds})
    csv.write_csv(table, tmp_path / "rows.csv")
    net = small_net(tmp_path, 'csv("rows.csv")').source.text.replace('column("x") / 4', 'columns("x*")')
    (tmp_path / "small.net").write_text(net)
    run_local(sparknet.compile(tmp_path / "small.net"), tmp_path / "run")
    predict_to_file(tmp_path / "run", tmp_path / "rows.csv", tmp_path / "out.csv", keep=["y"])
    found = pd.read_csv(tmp_path / "out.csv")
    assert list(found.columns) == ["y", "kind_predicted", *(f"kind_probability_{name}" for name in names or labels)]
    assert set(found["kind_predicted"]) <= set(labels)


def test_a_list_that_is_too_long_for_a_csv(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparknet.runtime.inference.MOST_FLAT", 2)
    message = failing(made, tmp_path, str(made / "rows.parquet"), "out.csv")
    assert message == "R0052 `kind_probability` holds 3 numbers, more than the 2 that become columns of a CSV"


def test_bytes_in_json_are_those_of_spark(made: Path, tmp_path: Path, spark: SparkSession) -> None:
    pq.write_table(
        rows(4).append_column("b", pa.array([b"\x00\xff\x80" + bytes([i]) for i in range(4)])), tmp_path / "b"
    )
    source = f'parquet("{tmp_path / "b"}")'
    predict_to_file(made / "run", source, tmp_path / "here.json", keep=["b"])
    predict_to_file(made / "run", source, tmp_path / "there.json", OnSpark(spark=spark), keep=["b"])
    there = "".join(file.read_text() for file in sorted((tmp_path / "there.json").glob("*.json")))
    here = (tmp_path / "here.json").read_text()
    bytes_of = [[json.loads(each)["b"] for each in lines.splitlines()] for lines in (here, there)]
    assert bytes_of[0] == bytes_of[1]


def test_a_frame_stays_lazy_and_keeps_odd_names(made: Path, spark: SparkSession) -> None:
    frame = spark.createDataFrame(rows(10).rename_columns(["x", "a.b", "id"]))
    found = predict_frame(load(made / "run"), frame).toArrow()
    assert found.column_names == ["x", "a.b", "id", "kind_predicted", "kind_probability"]
    assert found.num_rows == 10


def test_no_rows(made: Path, tmp_path: Path) -> None:
    pq.write_table(rows().slice(0, 0), tmp_path / "none.parquet")
    assert predict_to_file(made / "run", str(tmp_path / "none.parquet"), tmp_path / "out.parquet").rows == 0
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


def test_no_rows_of_no_types(made: Path, tmp_path: Path) -> None:
    """What wrote a file without rows could not tell the types of its columns."""
    pq.write_table(pa.table({"x": pa.array([], pa.string())}), tmp_path / "none.parquet")
    assert predict_to_file(made / "run", str(tmp_path / "none.parquet"), tmp_path / "out.parquet").rows == 0
    assert pq.read_table(tmp_path / "out.parquet").column_names == ["x", "kind_predicted", "kind_probability"]


def failing(made: Path, tmp_path: Path, source: str, output: str = "out.parquet") -> str:
    with pytest.raises(SparkNetError) as error:
        predict_to_file(made / "run", source, tmp_path / output)
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]
    return only(error)


@pytest.mark.parametrize(
    ("name", "help"),
    [("y,id", "name each by itself: `--keep y --keep id`"), ("idd", "did you mean `id`?")],
)
def test_a_column_to_keep_that_is_not_there(made: Path, tmp_path: Path, name: str, help: str) -> None:
    with pytest.raises(SparkNetError) as error:
        predict_to_file(made / "run", str(made / "rows.parquet"), tmp_path / "out.parquet", keep=[name])
    assert only(error) == f"R0002 the data has no column `{name}` to keep"
    assert error.value.diagnostics[0].helps == (help,)


def test_a_column_that_is_missing_is_told_before_what_a_csv_cannot_hold(made: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"z": [[1.0, 2.0]]}), tmp_path / "other.parquet")
    assert failing(made, tmp_path, str(tmp_path / "other.parquet"), "out.csv") == "R0002 the data has no column `x`"


def test_an_output_that_exists(made: Path, tmp_path: Path) -> None:
    (tmp_path / "out.parquet").touch()
    message = failing(made, tmp_path, str(made / "rows.parquet"))
    assert message == f"R0050 `{tmp_path / 'out.parquet'}` exists already"


def test_unknown_types_of_file(made: Path, tmp_path: Path) -> None:
    assert failing(made, tmp_path, str(made / "rows.xls")).startswith("R0052 ")
    assert failing(made, tmp_path, str(made / "rows.parquet"), "out.csv").startswith("R0052 ")


def test_a_missing_input(made: Path, tmp_path: Path) -> None:
    assert failing(made, tmp_path, "/no/such.parquet") == "R0001 there is nothing at `/no/such.parquet`"


def test_a_column_clash(made: Path, tmp_path: Path) -> None:
    pq.write_table(rows().rename_columns(["x", "Kind_Predicted", "id"]), tmp_path / "clash.parquet")
    message = failing(made, tmp_path, str(tmp_path / "clash.parquet"))
    assert message == "R0051 the data has a column `kind_predicted`, which is also the name of a prediction"


def test_data_with_the_target_column_can_be_scored(made: Path, tmp_path: Path) -> None:
    pq.write_table(rows().rename_columns(["x", "kind", "id"]), tmp_path / "target.parquet")
    predict_to_file(made / "run", str(tmp_path / "target.parquet"), tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["x", "kind", "id", "kind_predicted", "kind_probability"]
    assert table["kind"].to_pylist() == rows()["y"].to_pylist()


def test_a_bad_row(made: Path, tmp_path: Path) -> None:
    table = pa.table({"x": [[1.0, 2.0, 3.0, 4.0]] * 9 + [None]})
    pq.write_table(table, tmp_path / "bad.parquet")
    with pytest.raises(SparkNetError) as error:
        predict_to_file(made / "run", str(tmp_path / "bad.parquet"), tmp_path / "out.parquet")
    assert only(error) == "R0010 row 10 of column `x` is null; `point` takes 4 numbers"
    assert error.value.diagnostics[0].helps == ("fill in or drop such rows before scoring",)


def test_inputs_may_be_written_as_in_a_file(made: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes((made / "rows.parquet").read_bytes())
    source = f'parquet("{tmp_path / "rows"}")'
    assert predict_to_file(str(made / "run"), source, str(tmp_path / "out.parquet")).rows == 200
    with pytest.raises(SparkNetError) as error:
        predict_to_file(made / "run", "parquet()", tmp_path / "more.parquet")
    assert only(error) == "E0302 `parquet` needs `path`"


def test_local_runs_need_no_pyspark(made: Path, tmp_path: Path) -> None:
    script = (
        "import sys, sparknet\n"
        "from pathlib import Path\n"
        "from sparknet.runtime.runs import predict_to_file, run_local\n"
        "run_local(sparknet.compile(sys.argv[1]), Path(sys.argv[2], 'run'))\n"
        "predict_to_file(Path(sys.argv[2], 'run'), sys.argv[3], Path(sys.argv[2], 'out.parquet'))\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('pyspark', 'py4j')]\n"
    )
    command = [sys.executable, "-c", script, str(made / "small.net"), str(tmp_path), str(made / "rows.parquet")]
    here = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, env={"PYTHONPATH": here, "PATH": ""}, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_outputs_of_every_kind(tmp_path: Path, spark: SparkSession) -> None:
    """Numbers, answers and reconstructions, each alone and several of them; here and on Spark."""
    kinds = {
        "price": ("float[1]", pa.float32()),
        "prices": ("float[2]", pa.list_(pa.float32())),
        "tag": ("bool[1]", pa.bool_()),
        "tag_probability": (None, pa.float32()),
        "tags": ("bool[2]", pa.list_(pa.bool_())),
        "tags_probability": (None, pa.list_(pa.float32())),
        "rebuilt": ("like x", pa.list_(pa.float32())),
        "rebuilt_error": (None, pa.float32()),
        "rebuilt_code": (None, pa.list_(pa.float32())),
    }
    outputs = {name: kind for name, (kind, _) in kinds.items() if kind}
    made = rows(64, duplicates=False)
    values = np.array(made["x"].to_pylist(), np.float64)
    bits = values > 2
    columns = {
        "a": values,
        "price": values[:, 0],
        "prices": list(values[:, :2]),
        "tag": bits[:, 0],
        "tags": list(bits[:, :2]),
    }
    pq.write_table(pa.table({**columns, "a": list(values)}), tmp_path / "rows.parquet")
    net = tmp_path / "net.net"
    sizes = {"price": 1, "prices": 2, "tag": 1, "tags": 2, "rebuilt": 4}
    lines = [
        f"  output {n}: {k} = h -> dense({sizes[n]}){' -> reshape(2, 2)' * (n == 'rebuilt')}"
        for n, k in outputs.items()
    ]
    bindings = [f'  {n} = column("{n}")' for n in outputs if n != "rebuilt"]
    net.write_text(
        "net N {\n  input x: float[2, 2]\n  h = flatten -> dense(8, relu)\n  encoder { h -> dense(3) }\n"
        + "\n".join(lines)
        + "\n}\n"
        'data {\n  source = parquet("rows.parquet")\n  x = column("a")\n' + "\n".join(bindings) + "\n}\n"
        "train {\n  epochs = 2\n  batch = 8\n}\n"
    )
    run_local(sparknet.compile(net), tmp_path / "run")
    kinds = {name if "_" in name else f"{name}_predicted": kind for name, kind in kinds.items()}
    source = str(tmp_path / "rows.parquet")
    predict_to_file(tmp_path / "run", source, tmp_path / "here.parquet", keep=["a"])
    here = pq.read_table(tmp_path / "here.parquet")
    assert {name: here.schema.field(name).type for name in kinds} == {name: kind for name, (_, kind) in kinds.items()}
    rebuilt = np.stack(here["rebuilt_predicted"].to_numpy())
    error = np.mean((rebuilt - values) ** 2, axis=1)
    np.testing.assert_allclose(here["rebuilt_error"].to_numpy(), error, rtol=1e-4)
    assert {len(code) for code in here["rebuilt_code"].to_pylist()} == {3}
    assert here["tag_predicted"].to_pylist() == [p >= 0.5 for p in here["tag_probability"].to_pylist()]
    predict_to_file(tmp_path / "run", source, tmp_path / "there.parquet", OnSpark(spark=spark), keep=["a"])
    there = pq.read_table(tmp_path / "there.parquet")
    assert there.sort_by("price_predicted").to_pydict() == here.sort_by("price_predicted").to_pydict()
