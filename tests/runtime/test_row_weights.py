"""`row_weight` in runs: a column that weighs the training loss, and is needed for nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError
from sparknet.runtime.runs import run_local
from tests.runtime.conftest import only, rows

CLASSES = [0.25, 3.0, 1.5]


def table(count: int = 120) -> pa.Table:
    data = rows(count, duplicates=False)
    weights = np.array(CLASSES)[data["y"].to_numpy()]
    return data.append_column("w", pa.array(weights)).append_column("train", pa.array(np.arange(count) < 90))


def net_of(folder: Path, data: str, train: str = "", epochs: int = 4) -> CompiledNet:
    """A net whose every step takes all of the 90 training rows."""
    path = folder / "net.net"
    path.write_text(
        "net N {\n input point: float[4]\n dense(3)\n output kind: class[3]\n}\n"
        'data {\n train = parquet("train.parquet")\n test = parquet("test.parquet")\n'
        f' point = column("x") / 4\n kind = column("y")\n {data}\n}}\n'
        f"train {{\n optimizer = sgd(lr: 0.2)\n epochs = {epochs}\n batch = 90\n workers = 1\n {train}\n}}\n"
    )
    return sparknet.compile(path)


def write(folder: Path, data: pa.Table) -> None:
    for name, wanted in (("train", True), ("test", False)):
        chosen = data.filter(pa.array([flag.as_py() is wanted for flag in data["train"]]))
        pq.write_table(chosen, folder / f"{name}.parquet")


def losses(net: CompiledNet) -> tuple[list[float], list[float]]:
    """Of each round the loss on the training rows, weighed, and on the test rows, as it is."""
    history = run_local(net).history
    return [record.train.loss for record in history], [record.score.loss for record in history if record.score]


def test_weights_by_class_train_as_class_weights_do(tmp_path: Path) -> None:
    write(tmp_path, table())
    by_row = losses(net_of(tmp_path, 'row_weight = column("w")'))
    by_class = losses(net_of(tmp_path, "", f"class_weights = {CLASSES}"))
    alike = losses(net_of(tmp_path, ""))
    np.testing.assert_allclose(by_row[0], by_class[0], rtol=1e-5)
    assert abs(by_row[0][0] - alike[0][0]) > 0.01
    assert by_row[1][0] != pytest.approx(alike[1][0], rel=1e-3), "the first step went elsewhere"


def test_rows_of_weight_zero_are_as_if_they_were_not_there(tmp_path: Path) -> None:
    """Weights of 2 on half of the rows make the mean over all rows that over the half."""
    data = table()
    kept = np.arange(120) % 2 == 0
    write(tmp_path, data.set_column(data.column_names.index("w"), "w", pa.array(2 * kept)))
    weighed = losses(net_of(tmp_path, 'row_weight = column("w")'))
    half = data.filter(pa.array(kept | (np.arange(120) >= 90)))
    write(tmp_path, half)
    net = net_of(tmp_path, "")
    dropped = losses(net.with_train(batch=45))
    np.testing.assert_allclose(weighed, dropped, rtol=1e-5)


def test_weights_are_of_the_rows_that_steps_take(tmp_path: Path) -> None:
    """With small batches in a random order rows of weight 0 still teach nothing, whatever their labels are."""
    data = table()
    lost = data["y"].to_numpy() == 2
    write(tmp_path, data.set_column(data.column_names.index("w"), "w", pa.array(np.where(lost, 0, 1))))
    net = net_of(tmp_path, 'row_weight = column("w")', epochs=20).with_train(batch=6)
    model = sparknet.train(net)
    assert 2 not in model.transform(data.drop_columns(["w"]))["kind_predicted"].to_pylist()


def test_what_is_scored_needs_no_weights(tmp_path: Path) -> None:
    write(tmp_path, table())
    model = sparknet.train(net_of(tmp_path, 'row_weight = column("w")'))
    model.save(tmp_path / "run")
    loaded = sparknet.load(tmp_path / "run")
    test = pq.read_table(tmp_path / "test.parquet").drop_columns(["w"])
    assert loaded.evaluate(test)["loss"] == pytest.approx(model.run.manifest.scores["test"].loss, rel=1e-6)
    assert [port.columns for port in loaded.run.manifest.targets] == [("y",), ("w",)]


BAD: dict[str, tuple[list[Any], str]] = {
    "negative": ([1.0, -0.5], "R0029 row 90 of column `w` is -0.5; `row_weight` takes one number from 0"),
    "whole": ([-1, 2], "R0029 row 89 of column `w` is -1; `row_weight` takes one number from 0"),
    "nan": ([float("nan"), 1.0], "R0011 row 89 of column `w` is nan; `row_weight` takes one number from 0"),
    "infinite": ([1.0, float("inf")], "R0011 row 90 of column `w` is inf; `row_weight` takes one number from 0"),
    "too large": ([1.0, 1e300], "R0016 row 90 of column `w` is 1e+300; `row_weight` takes one number from 0"),
    "null": ([None, 1.0], "R0010 row 89 of column `w` is null; `row_weight` takes one number from 0"),
    "text": (["a", "b"], "R0013 column `w` is of type string; `row_weight` takes one number from 0"),
}


def spoiled(last: list[Any]) -> pa.Table:
    data, first = table(90), last[-1]
    return data.set_column(data.column_names.index("w"), "w", pa.array([first if first == "b" else 1] * 88 + last))


@pytest.mark.parametrize("case", BAD)
def test_bad_weights(tmp_path: Path, case: str) -> None:
    last, message = BAD[case]
    pq.write_table(spoiled(last), tmp_path / "train.parquet")
    pq.write_table(spoiled(["b", "b"] if case == "text" else [1, 1]), tmp_path / "test.parquet")
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, 'row_weight = column("w")'))
    assert only(error) == message
    (label,) = error.value.diagnostics[0].labels
    assert label.source.text[label.span.start : label.span.end] == 'column("w")'


def test_spark_trains_to_the_same_bytes(tmp_path: Path, spark: SparkSession) -> None:
    write(tmp_path, table())
    net = net_of(tmp_path, 'row_weight = column("w")', epochs=2)
    there = spark.read.parquet(str(tmp_path / "train.parquet"))
    here = pq.read_table(tmp_path / "train.parquet")
    found = [sparknet.train(net, data).run.parameters.tobytes() for data in (there, here)]
    assert found[0] == found[1]
