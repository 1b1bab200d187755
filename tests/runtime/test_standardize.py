"""Inputs less their mean, divided by their deviation: learnt from the training rows alone, compiled into the graphs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from safetensors.numpy import load_file

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.runtime.encoding.moments import Moments
from sparknet.runtime.runs import OnSpark, predict_to_file, run_local, run_spark
from sparknet.runtime.sources.builtin import read_built_in

NET = """
net Standard {{
  input x: {type}
  {layers} -> dense(3)
  output y: class[3]
}}
data {{
  source = parquet("rows.parquet")
  x      = {binding}
  y      = column("y")
  split  = {split}
}}
train {{
  optimizer = adam(lr: 0.02)
  epochs = 15
  batch = 8
  workers = 2
}}
"""


def net_of(
    folder: Path, binding: str, kind: str, layers: str = "flatten", split: str = "{train: 0.8, test: 0.2}"
) -> CompiledNet:
    text = NET.format(type=kind, binding=binding, layers=layers, split=split)
    (folder / "standard.net").write_text(text, "utf-8")
    return sparknet.compile(folder / "standard.net")


def wine() -> pa.Table:
    """13 measurements of very different sizes, in columns `a0` to `a12`, and the cultivar."""
    table = read_built_in("wine")
    return table.rename_columns([*(f"a{k}" for k in range(13)), "y"])


def numbers() -> NDArray[np.float32]:
    return np.column_stack([wine()[f"a{k}"].to_numpy() for k in range(13)]).astype(np.float32)


def test_measurements_of_different_sizes(tmp_path: Path, spark: SparkSession) -> None:
    pq.write_table(wine(), tmp_path / "rows.parquet")
    net = net_of(tmp_path, 'standardize(columns("a*"))', "float[13]")
    trained = run_local(net, tmp_path / "run")
    assert trained.scores["test"].metrics["accuracy"] > 0.9
    raw = run_local(net_of(tmp_path, 'columns("a*")', "float[13]"))
    assert raw.scores["test"].loss > 2 * trained.scores["test"].loss
    for partitions in (1, 5):
        frame = spark.createDataFrame(wine()).repartition(partitions, "a1")
        assert run_spark(net, on=OnSpark(data=frame)).parameters.tobytes() == trained.parameters.tobytes()


def test_mean_and_deviation_are_those_of_the_training_rows(tmp_path: Path) -> None:
    pq.write_table(wine(), tmp_path / "rows.parquet")
    run_local(net_of(tmp_path, 'standardize(columns("a*"))', "float[13]", split="{train: 1}"), tmp_path / "all")
    found, exact = load_file(tmp_path / "all" / "parameters.safetensors"), numbers().astype(np.float64)
    assert np.array_equal(found["x.mean"], exact.mean(axis=0).astype(np.float32))
    np.testing.assert_allclose(found["x.deviation"], exact.std(axis=0), rtol=1e-7)
    run_local(net_of(tmp_path, 'standardize(columns("a*"))', "float[13]"), tmp_path / "some")
    some = load_file(tmp_path / "some" / "parameters.safetensors")
    assert not np.array_equal(some["x.mean"], found["x.mean"])


def test_the_inference_graph_takes_the_column_as_it_is(tmp_path: Path) -> None:
    pq.write_table(wine(), tmp_path / "rows.parquet")
    run_local(net_of(tmp_path, 'standardize(columns("a*")) * 2 + 1', "float[13]"), tmp_path / "run")
    tensors = load_file(tmp_path / "run" / "parameters.safetensors")
    x = (numbers() - tensors["x.mean"]) / tensors["x.deviation"] * 2 + 1
    want = x @ tensors["dense1.weight"] + tensors["dense1.bias"]
    session = ort.InferenceSession(tmp_path / "run" / "inference.onnx")
    (label,) = session.run(["y"], {"x": numbers()})
    assert np.array_equal(label, want.argmax(axis=1))
    predict_to_file(tmp_path / "run", str(tmp_path / "rows.parquet"), tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["y_predicted"].to_pylist() == label.tolist()


@pytest.mark.parametrize(
    ("kind", "binding", "shape", "axes"),
    [
        ("float[2, 3, 4]", "standardize", (2, 1, 1), (0, 2, 3)),
        ("float[2, 3, 4]", 'standardize(column("x"), axis: 2)', (1, 1, 4), (0, 1, 2)),
        ("float[6, 4]", "standardize", (1, 4), (0, 1)),
        ("float[6, 4]", "standardize(axis: 0)", (6, 1), (0, 2)),
        ("float[24]", "standardize", (24,), (0,)),
    ],
)
def test_axes(tmp_path: Path, kind: str, binding: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    draw = np.random.Generator(np.random.Philox(4)).normal(3, 5, (60, 24)).astype(np.float32)
    pq.write_table(pa.table({"x": list(draw), "y": np.arange(60) % 3}), tmp_path / "rows.parquet")
    run_local(net_of(tmp_path, binding, kind, split="{train: 1}"), tmp_path / "run")
    found = load_file(tmp_path / "run" / "parameters.safetensors")
    sizes = [int(size) for size in kind.removeprefix("float[").removesuffix("]").split(",")]
    rows = draw.reshape(-1, *sizes).astype(np.float64)
    assert found["x.mean"].shape == found["x.deviation"].shape == shape
    np.testing.assert_allclose(found["x.mean"], rows.mean(axis=axes).reshape(shape), rtol=1e-6)
    np.testing.assert_allclose(found["x.deviation"], rows.std(axis=axes).reshape(shape), rtol=1e-6)


def test_steps_that_are_not_there_count_for_nothing(tmp_path: Path, spark: SparkSession) -> None:
    draw = np.random.Generator(np.random.Philox(5))
    rows = [draw.normal(9, 2, (1 + k % 5, 2)).tolist() for k in range(60)]
    pq.write_table(pa.table({"x": rows, "y": np.arange(60) % 3}), tmp_path / "rows.parquet")
    net = net_of(tmp_path, "standardize", "float[5, 2, variable: true]", "mean", "{train: 1}")
    trained = run_local(net, tmp_path / "run")
    found = load_file(tmp_path / "run" / "parameters.safetensors")
    steps = np.array([step for row in rows for step in row], np.float32).astype(np.float64)
    np.testing.assert_allclose(found["x.mean"][0], steps.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["x.deviation"][0], steps.std(axis=0), rtol=1e-6)
    assert run_spark(net, on=OnSpark(spark=spark)).parameters.tobytes() == trained.parameters.tobytes()


# ----- sums without rounding -----

SPREAD = [1e30, -1e30, 1e-30, 3.0, -0.0, 2.0**-149, 1.5, 16777217.0, -(2.0**-126)]


def test_sums_are_exact_however_they_are_cut() -> None:
    draw = np.random.Generator(np.random.Philox(6))
    values = draw.choice(np.array(SPREAD, np.float32), (500, 3))
    whole = Moments.of(values)
    for cut in (1, 77, 499):
        assert Moments.of(values[cut:]).merge(Moments.of(values[:cut])) == whole
    assert Moments.of(values[draw.permutation(500)]) == whole
    for k in range(3):
        assert whole.sums[k] == sum(Fraction(float(v)) * 2**173 for v in values[:, k])
        assert whole.squares[k] == sum(Fraction(float(v)) ** 2 * 2**346 for v in values[:, k])


def test_numbers_that_are_all_equal() -> None:
    moments = Moments.of(np.full((7, 1), 0.1, np.float32))
    assert moments.mean().tolist() == [np.float32(0.1)]
    assert moments.deviation().tolist() == [1.0]
    assert Moments.of(np.array([[1.0], [3.0]], np.float32)).deviation().tolist() == [1.0]
    assert Moments.of(np.array([[1e20], [3e20]], np.float32)).mean().tolist() == [np.float32(2e20)]
