"""NetTransformer: run folders and models of other libraries as transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.ml import ImageFeature, NetTransformer
from sparknet.runtime.spark import cluster
from tests.runtime.conftest import only

WEIGHTS = np.random.Generator(np.random.Philox(1)).normal(size=(64, 3)).astype(np.float32)
NET = """
net Digits {
  input features: float[64]
  dense(10)
  output label: class[10]
}
train { epochs = 1 }
"""


def foreign(path: Path, *row: int | str) -> str:
    """A model that multiplies and cuts off what is below 0."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["hidden"]), helper.make_node("Relu", ["hidden"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *row])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph(nodes, "foreign", [x], [y], [numpy_helper.from_array(WEIGHTS, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return str(path)


def test_run_folder(digits: DataFrame, tmp_path: Path) -> None:
    model = sparknet.train(NET, digits)
    model.save(tmp_path / "run")
    PipelineModel([NetTransformer(path=str(tmp_path / "run"))]).save(str(tmp_path / "saved"))
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    few = digits.filter("id < 20")
    assert PipelineModel.load(str(tmp_path / "saved")).transform(few).collect() == model.transform(few).collect()


@pytest.mark.parametrize(("output", "row"), [(None, (64,)), ("hidden", ("any",))])
def test_model_of_another_library(digits: DataFrame, tmp_path: Path, output: str | None, row: tuple[int | str]) -> None:
    path = foreign(tmp_path / "foreign.onnx", *row)
    made = NetTransformer(path=path, inputCol="features", outputCol="code", output=output, inputShape=[64])
    made.save(str(tmp_path / "saved"))
    Path(path).unlink()
    scored = NetTransformer.load(str(tmp_path / "saved")).transform(digits).limit(9).collect()
    for one in scored:
        hidden = one.features.toArray() @ WEIGHTS
        expected = hidden if output else np.maximum(hidden, 0)
        np.testing.assert_allclose(one.code.toArray(), expected, rtol=1e-4, atol=1e-4)


def test_executors_are_seen_to_before_a_query(digits: DataFrame, tmp_path: Path) -> None:
    made = NetTransformer(path=foreign(tmp_path / "foreign.onnx", 64), outputCol="code")
    for stage in (made, ImageFeature(inputCol="features", outputCol="pixels", inputShape=[8, 8])):
        cluster._INSPECTED.discard(digits.sparkSession)
        stage.transform(digits)
        assert digits.sparkSession in cluster._INSPECTED


def test_what_is_no_net(digits: DataFrame, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    path = foreign(tmp_path / "foreign.onnx", "any")
    for made, said in {
        NetTransformer(): "M0001 `path` is not set",
        NetTransformer(path=path): "M0002 the model cannot be used: it does not say how many numbers a row has",
        NetTransformer(path="gone.onnx"): "M0002 `gone.onnx` cannot be read: No such file or directory",
        NetTransformer(path=path, inputShape=[64], outputCol="id"): "R0051 the data has a column `id` already, which "
        "`predictionCol` names",
    }.items():
        with pytest.raises(SparkNetError) as error:
            made.transform(digits)
        assert only(error) == said
    with pytest.raises(TypeError, match=r'param "inputShape"\. It must be a whole number from 1 on, found 0'):
        NetTransformer(inputShape=[0, 8])
    with pytest.raises(SparkNetError, match="the model cannot be used"):
        NetTransformer(path=str(tmp_path / "text.onnx")).transform(digits)
