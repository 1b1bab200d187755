"""RNNClassifier and RNNRegressor on all that holds sequences; CNNRegressor and NetRegressor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.errors import PySparkException
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.ml import CNNRegressor, NetClassifier, NetRegressor, RNNClassificationModel, RNNClassifier, RNNRegressor
from tests.runtime.conftest import only

ROWS = 96


@pytest.fixture(scope="module")
def waves(spark: SparkSession) -> DataFrame:
    """Rising and falling sequences, once in each form, and a text that says which."""
    draw = np.random.Generator(np.random.Philox(5))
    rows: list[Any] = []
    for index in range(ROWS):
        rising, length = index % 2, int(draw.integers(4, 9))
        steps = np.sort(draw.normal(size=length))[:: 1 if rising else -1]
        flat = [float(step) for step in steps]
        text = "it goes up and up" if rising else "down it goes, down"
        tokens = [int(token) + 2 for token in np.argsort(steps)]
        pairs = [[step, -step] for step in flat]
        change = float(steps[-1] - steps[0])
        rows.append((flat, pairs, tokens, Vectors.dense(flat[:4]), text, text.split(), float(rising), change))
    names = ["flat", "pairs", "tokens", "vector", "text", "words", "label", "change"]
    return spark.createDataFrame(rows, names).repartition(2).cache()


FORMS = {
    "flat": ({}, "input sequence: float[8, 1, variable: true]"),
    "pairs": ({"cell": "rnn", "bidirectional": True}, "input sequence: float[8, 2, variable: true]"),
    "vector": ({"featureWidth": 2, "cell": "gru", "numLayers": 2}, "input sequence: float[2, 2]"),
    "tokens": ({"vocabularySize": 12, "embeddingSize": 8}, "input sequence: token[8, vocabulary: 12, variable: true]"),
    "text": ({"sequenceLength": 5}, "input sequence: token[5, vocabulary: 5000, variable: true]"),
    "words": ({"vocabularySize": 9}, "input sequence: token[100, vocabulary: 9, variable: true]"),
}


@pytest.mark.parametrize("column", FORMS)
def test_sequences_in_every_form(waves: DataFrame, column: str) -> None:
    params, said = FORMS[column]
    stage = RNNClassifier(
        inputCol=column, hiddenLayerSize=16, numIterations=12, blockSize=8, stepSize=0.01, numWorkers=1, **params
    )
    assert said in stage.specFor(waves)
    model = stage.fit(waves)
    assert model.evaluate(waves)["accuracy"] > 0.9
    row = model.transform(waves).first()
    assert row is not None
    assert model.predict(row[column]) == row.prediction


@pytest.mark.parametrize("column", ["flat", "pairs", "tokens", "vector"])
def test_longer_rows_are_cut_at_their_end(waves: DataFrame, column: str) -> None:
    tokens = {"vocabularySize": 12} if column == "tokens" else {}
    stage = RNNClassifier(featuresCol=column, sequenceLength=3, hiddenLayerSize=4, maxIter=1, numWorkers=1, **tokens)
    model = stage.fit(waves)
    assert model.evaluate(waves)["loss"] > 0
    scored = model.transform(waves)
    assert scored.columns == [*waves.columns, "rawPrediction", "probability", "prediction"]
    (row,) = scored.head(1)
    cell = row[column].toArray().tolist() if column == "vector" else row[column]
    assert len(cell) > 3
    assert model.predictProbability(cell) == row.probability == model.predictProbability(cell[:3])


def test_rows_longer_than_those_of_the_training_are_scored(waves: DataFrame, tmp_path: Path) -> None:
    stage = RNNClassifier(featuresCol="flat", hiddenLayerSize=4, maxIter=1, numWorkers=1)
    model = stage.fit(waves.filter("size(flat) < 7"))
    model.save(str(tmp_path / "model"))
    again = RNNClassificationModel.load(str(tmp_path / "model"))
    assert again.transform(waves).filter("size(flat) = 8").count() > 0
    row = again.transform(waves).filter("size(flat) = 8").first()
    assert row is not None
    assert model.predictProbability(row.flat[:6]) == row.probability
    with pytest.raises(SparkNetError) as error:
        model.save(str(tmp_path / "model"))
    assert only(error) == f"M0004 `{tmp_path / 'model'}` is there already"
    assert str(model) == f"RNNClassificationModel: uid={stage.uid}, numClasses=2, numFeatures=6"
    with pytest.raises(PySparkException, match="row 1 of partition 0 of column `flat` is null"):
        model.transform(waves.limit(1).withColumn("flat", sf.lit(None).cast("array<double>"))).collect()


def test_recurrent_stage_is_its_spec(waves: DataFrame) -> None:
    stage = RNNRegressor(featuresCol="flat", labelCol="change", hiddenLayerSize=8, maxIter=2, blockSize=8)
    model = stage.fit(waves)
    again = sparknet.train(stage.specFor(waves), waves)
    assert again.run.parameters.tobytes() == model.trained.run.parameters.tobytes()


@pytest.mark.parametrize(
    "stage",
    [
        RNNRegressor(featuresCol="flat", labelCol="change", hiddenLayerSize=16, maxIter=30),
        CNNRegressor(featuresCol="vector", labelCol="change", layers="conv(8, 3x3, relu)", inputShape=[1, 2, 2]),
        NetRegressor(
            featuresCol="vector",
            labelCol="change",
            spec="net Line {\n  input x: float[4]\n  dense(1)\n  output y: float[1]\n}",
        ),
    ],
)
def test_regressors(waves: DataFrame, stage: Any) -> None:
    stage.setMaxIter(30).setStepSize(0.02).setBlockSize(8).setNumWorkers(1)
    model = stage.fit(waves)
    scored = model.transform(waves)
    assert scored.columns == [*waves.columns, "prediction"]
    error = RegressionEvaluator(labelCol="change", metricName="mae").evaluate(scored)
    assert error == pytest.approx(model.evaluate(waves)["mae"], rel=1e-4)
    assert error < 1


@pytest.mark.parametrize("column", ["text", "words"])
def test_a_net_of_ones_own_reads_words(waves: DataFrame, column: str) -> None:
    spec = "net Own {\n  input x: token[6, vocabulary: 9]\n  embedding(4) -> mean -> dense(2)\n  output y: class[2]\n}"
    stage = NetClassifier(spec=spec, featuresCol=column, blockSize=8, stepSize=0.05, numWorkers=1)
    assert f'x = words(column("{column}"))' in stage.specFor(waves).replace("x      =", "x =")
    assert stage.fit(waves).evaluate(waves)["accuracy"] > 0.9


def test_what_makes_no_sequence(waves: DataFrame) -> None:
    with pytest.raises(SparkNetError) as error:
        RNNClassifier(featuresCol="vector", featureWidth=3).fit(waves)
    assert only(error) == "M0002 a row of `vector` has 4 numbers, which make no whole steps of 3"
    with pytest.raises(SparkNetError) as error:
        RNNClassifier(featuresCol="pairs", featureWidth=3).fit(waves)
    assert only(error) == "M0002 `featureWidth` is 3, but a step of `pairs` has 2 numbers"
    with pytest.raises(SparkNetError) as error:
        RNNClassifier(featuresCol="label").fit(waves)
    assert error.value.diagnostics[0].code == "R0013"
