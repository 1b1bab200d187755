"""`weightCol`: what each row counts, by the net's `row_weight`."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.ml import CNNClassifier, CNNRegressor, NetClassifier, NetRegressor, RNNClassifier, RNNRegressor
from tests.runtime.conftest import only

LAYERS = "flatten -> dense(16, relu)"
NET = """
net Mine {{
  input point: float[64]
  dense({1})
  output y: {0}[{1}]
}}
data {{
  source = parquet("rows")
  row_weight = column("id")
}}
"""


def test_rows_of_weight_zero_teach_nothing(digits: DataFrame) -> None:
    weighed = digits.withColumn("w", (sf.col("label") < 5).cast("double") * 2)
    stage = CNNClassifier(layers=LAYERS, maxIter=3, weightCol="w")
    model = stage.fit(weighed)
    assert 'row_weight = column("w")' in model.spec
    assert model.getWeightCol() == "w"
    found = {row.prediction for row in model.transform(digits).select("prediction").distinct().collect()}
    assert found == {0, 1, 2, 3, 4}, "no weights are needed, and of the other labels none was learnt"
    again = sparknet.train(stage.specFor(weighed), weighed)
    assert again.run.parameters.tobytes() == model.trained.run.parameters.tobytes()


def test_every_stage_takes_them(digits: DataFrame) -> None:
    stages = [
        CNNClassifier(),
        CNNRegressor(),
        RNNClassifier(),
        RNNRegressor(),
        NetClassifier(spec=NET.format("class", 10)),
        NetRegressor(spec=NET.format("float", 1)),
    ]
    for stage in stages:
        net = sparknet.compile(stage.setWeightCol("label").specFor(digits))
        assert net.data is not None
        assert [b.columns for b in net.data.bindings if b.port == "row_weight"] == [("label",)]
    given = sparknet.compile(NetRegressor(spec=NET.format("float", 1)).specFor(digits))
    assert given.data is not None
    assert given.data.weighs, "those that the text itself binds stay"


def test_weights_that_are_none(digits: DataFrame) -> None:
    for name, message in (
        ("lost", "R0002 the data has no column `lost`, which `weightCol` names"),
        (
            "features",
            "R0013 column `features`, which `weightCol` names, is of type vector; it must be a number",
        ),
    ):
        with pytest.raises(SparkNetError) as error:
            CNNClassifier(weightCol=name).specFor(digits)
        assert only(error) == message
