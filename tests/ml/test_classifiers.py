"""CNNClassifier and NetClassifier: trained, used, saved, told what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import VectorAssembler, VectorSizeHint
from pyspark.sql import DataFrame

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.ml import CNNClassificationModel, CNNClassifier, NetClassifier, NetClassifierModel
from tests.runtime.conftest import only

SMALL = ["conv(8, 3x3, relu) -> maxpool(2)", "flatten -> dense(32, relu)"]
NET = """
net Mine {
  input point: float[64]
  dense(16, relu) -> dense(10)
  output digit: class[10]
}
train {
  batch = 64
  epochs = 5
}
"""


@pytest.fixture(scope="module")
def model(digits: DataFrame) -> CNNClassificationModel:
    return CNNClassifier(layers=SMALL, maxIter=2, stepSize=0.01, seed=3).fit(digits)


def test_model_is_that_of_its_spec(digits: DataFrame, model: CNNClassificationModel) -> None:
    stage = CNNClassifier(layers=SMALL, maxIter=2, stepSize=0.01, seed=3)
    assert stage.specFor(digits) == model.spec
    again = sparknet.train(stage.specFor(digits), digits)
    assert again.run.parameters.tobytes() == model.trained.run.parameters.tobytes()
    assert again.run.optimizer_state.tobytes() == model.trained.run.optimizer_state.tobytes()


def test_predictions_are_doubles_and_vectors(digits: DataFrame, model: CNNClassificationModel) -> None:
    scored = model.transform(digits)
    assert scored.columns == [*digits.columns, "rawPrediction", "probability", "prediction"]
    assert scored.schema["prediction"].metadata["ml_attr"]["num_vals"] == 10
    row = scored.first()
    assert row is not None
    probability, raw = row.probability.toArray(), row.rawPrediction.toArray()
    assert (probability.argmax(), probability.sum()) == (row.prediction, pytest.approx(1))
    np.testing.assert_allclose(np.exp(raw) / np.exp(raw).sum(), probability, rtol=1e-9)
    assert model.predict(row.features) == row.prediction
    np.testing.assert_allclose(model.predictProbability(row.features), probability, rtol=1e-5)
    np.testing.assert_allclose(model.predictRaw(row.features), raw, rtol=1e-5)
    accuracy = MulticlassClassificationEvaluator(metricName="accuracy").evaluate(scored)
    assert accuracy == pytest.approx(model.evaluate(digits)["accuracy"])
    assert accuracy > 0.8


def test_saved_and_loaded(digits: DataFrame, model: CNNClassificationModel, tmp_path: Path) -> None:
    path = str(tmp_path / "model")
    model.setPredictionCol("guess").save(path)
    loaded = CNNClassificationModel.load(path)
    assert (loaded.uid, loaded.getPredictionCol(), loaded.getLayers()) == (model.uid, "guess", SMALL)
    assert loaded.trained.run.parameters.tobytes() == model.trained.run.parameters.tobytes()
    assert loaded.summary.objectiveHistory == model.summary.objectiveHistory
    one = digits.filter("id = 5")
    assert loaded.transform(one).collect() == model.transform(one).collect()
    model.setPredictionCol("prediction").write().overwrite().save(path)
    assert CNNClassificationModel.load(path).getPredictionCol() == "prediction"
    with pytest.raises(SparkNetError) as error:
        NetClassifierModel.load(path)
    assert only(error) == f"M0004 `{path}` holds a CNNClassificationModel, not a NetClassifierModel"


def test_net_of_the_user(digits: DataFrame) -> None:
    stage = NetClassifier(spec=NET, stepSize=0.01)
    net = sparknet.compile(stage.specFor(digits))
    assert (net.train.batch, net.train.epochs, net.train.optimizer.lr) == (64, 5, 0.01)
    model = stage.fit(digits)
    assert (model.numClasses, model.numFeatures) == (10, 64)
    assert model.evaluate(digits)["accuracy"] > 0.8


def test_rows_that_the_model_does_not_take(digits: DataFrame, model: CNNClassificationModel) -> None:
    wide = VectorAssembler(inputCols=["features", "label"], outputCol="wide").transform(
        VectorSizeHint(inputCol="features", size=64).transform(digits)
    )
    with pytest.raises(SparkNetError) as error:
        model.copy({model.featuresCol: "wide"}).transform(wide)
    assert only(error) == "M0002 a row of `wide`, which `featuresCol` names, has 65 numbers; the model takes 64"
    with pytest.raises(SparkNetError) as error:
        CNNClassifier().fit(pd.DataFrame({"features": [], "label": []}))
    assert only(error) == "M0001 a stage takes a DataFrame of Spark, found one of pandas"


def test_all_columns_there_already_are_told_at_once(digits: DataFrame) -> None:
    with pytest.raises(SparkNetError) as error:
        CNNClassifier(predictionCol="id", probabilityCol="label").fit(digits)
    assert [each.message for each in error.value.diagnostics] == [
        "the data has a column `label` already, which `probabilityCol` names",
        "the data has a column `id` already, which `predictionCol` names",
    ]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (
            CNNClassifier(featuresCol="feature"),
            "R0002 the data has no column `feature`, which `featuresCol` names",
        ),
        (
            CNNClassifier(predictionCol="id"),
            "R0051 the data has a column `id` already, which `predictionCol` names",
        ),
        (
            CNNClassifier(layers=[(9, 3, 3)]),
            "M0002 the first layer takes images with a side of 9, but a row of `features` has 64 numbers",
        ),
        (
            CNNClassifier(layers=[(8, 3, 3, 10), (10, 1, 1, 9, "SOFTMAX")]),
            "M0003 the last layer gives 9 classes, but the labels are 10",
        ),
        (
            CNNClassifier(labelCol="features"),
            "R0013 column `features`, which `labelCol` names, is of type vector; it must be a number",
        ),
        (
            CNNClassifier(inputShape=[8, 8, 1]),
            "M0001 `inputShape` is [8, 8, 1], but the channels come first",
        ),
        (
            CNNClassifier(patience=3),
            "M0001 `patience` goes by validation rows, but `validationIndicatorCol` is not set",
        ),
        (NetClassifier(), "M0001 `spec`, the net, is not set"),
        (
            NetClassifier(
                spec="net A {\n  input x: float[64]\n  dense(10)\n  output y: class[10]\n}", thresholds=[0.5, 0.5]
            ),
            "M0001 `thresholds` has 2 numbers, but there are 10 classes",
        ),
        (
            NetClassifier(spec="net A {\n  input x: float[64]\n  dense(1)\n  output y: float[1]\n}"),
            "M0002 net `A` must have one output of the kind `class[n]`, found one of the kind `float`",
        ),
    ],
)
def test_told_before_a_job_starts(digits: DataFrame, stage: CNNClassifier, said: str) -> None:
    with pytest.raises(SparkNetError) as error:
        stage.fit(digits)
    assert only(error) == said
