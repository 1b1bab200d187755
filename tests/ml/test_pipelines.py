"""Pipelines, tuning, Spark's evaluators, persistence; test_program.py loads in a new process."""

from __future__ import annotations

import gc
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import MultilayerPerceptronClassifier
from pyspark.ml.evaluation import BinaryClassificationEvaluator, MulticlassClassificationEvaluator
from pyspark.ml.feature import IndexToString, StringIndexer, VectorAssembler
from pyspark.ml.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder, TrainValidationSplit
from pyspark.ml.util import DefaultParamsWriter
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from sparknet.grammar import SparkNetError
from sparknet.ml import CNNClassifier, NetClassifier, NetTransformer, persistence
from sparknet.ml.persistence import Facts
from sparknet.runtime.spark.waits import Waits
from tests.runtime.conftest import only

pytestmark = pytest.mark.filterwarnings("ignore:unclosed running multiprocessing pool:ResourceWarning")
"""pyspark's validators leave their pools of threads to the garbage collector."""

NET = """
net Flower {
  input x: float[4]
  dense(16, relu) -> dense(2)
  output virginica: class[2]
}
"""


def test_tuning_of_a_pipeline(iris: DataFrame, tmp_path: Path) -> None:
    indexer = StringIndexer(inputCol="species", outputCol="label")
    assembler = VectorAssembler(inputCols=["a", "b", "c", "d"], outputCol="features")
    cnn = CNNClassifier(layers="conv(8, 2x2, relu) -> flatten -> dense(16, relu)", blockSize=16, stepSize=0.01)
    pipeline = Pipeline(stages=[indexer, assembler, cnn])
    grid = ParamGridBuilder().addGrid(cnn.maxIter, [1, 10]).addGrid(cnn.numFilters, [8]).build()
    evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
    tuned = CrossValidator(
        estimator=pipeline, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, parallelism=2, seed=1
    ).fit(iris)
    assert tuned.avgMetrics[1] > max(0.85, tuned.avgMetrics[0])
    best = tuned.bestModel
    assert isinstance(best, PipelineModel)
    scored = best.transform(iris)
    assert scored.schema["prediction"].metadata["ml_attr"]["vals"] == ["setosa", "versicolor", "virginica"]
    named = IndexToString(inputCol="prediction", outputCol="said").transform(scored)
    assert named.filter("said = species").count() > 135
    tuned.write().overwrite().save(str(tmp_path / "tuned"))
    again = CrossValidatorModel.load(str(tmp_path / "tuned"))
    assert again.bestModel.stages[2].uid == cnn.uid
    assert again.transform(iris).select("prediction").collect() == scored.select("prediction").collect()
    gc.collect()


def test_pipeline_of_untrained_stages_is_kept(tmp_path: Path, spark: SparkSession) -> None:
    cnn = CNNClassifier(layers=[(8, 3, 3, 4, "RELU"), "flatten"], seed=5, predictionCol="guess")
    Pipeline(stages=[VectorAssembler(inputCols=["a"], outputCol="features"), cnn]).save(str(tmp_path / "pipeline"))
    loaded = Pipeline.load(str(tmp_path / "pipeline")).getStages()[1]
    assert isinstance(loaded, CNNClassifier)
    assert loaded.extractParamMap() == cnn.extractParamMap()
    assert (loaded.isSet("seed"), loaded.isSet("maxIter")) == (True, False)


def test_split_with_validation_rows_and_a_binary_evaluator(iris: DataFrame) -> None:
    rows = VectorAssembler(inputCols=["a", "b", "c", "d"], outputCol="features").transform(iris)
    rows = rows.withColumn("label", (sf.col("species") == "virginica").cast("int"))
    rows = rows.withColumn("held", sf.rand(3) < 0.25)
    net = NetClassifier(spec=NET, blockSize=8, validationIndicatorCol="held")
    net.setPatience(3).setMaxIter(20).setStepSize(0.02)
    grid = ParamGridBuilder().addGrid(net.optimizer, ["adam", "sgd"]).build()
    evaluator = BinaryClassificationEvaluator()
    model = TrainValidationSplit(estimator=net, estimatorParamMaps=grid, evaluator=evaluator, seed=2).fit(rows)
    assert max(model.validationMetrics) > 0.9
    summary = model.bestModel.summary
    assert set(summary.scores) == {"validation"}
    assert summary.bestRound <= len(summary.objectiveHistory) == len(summary.rounds)
    gc.collect()
    certain = model.bestModel.copy({model.bestModel.thresholds: [1.0, 0.0]})
    assert certain.transform(rows).filter("prediction = 0").count() == 0


def test_digits_beat_the_perceptron(digits: DataFrame) -> None:
    training, test = digits.filter("id % 4 != 0"), digits.filter("id % 4 = 0")
    evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
    found = evaluator.evaluate(CNNClassifier(maxIter=8).fit(training).transform(test))
    peer = MultilayerPerceptronClassifier(layers=[64, 128, 64, 10], seed=1)
    assert found >= 0.97
    assert found > evaluator.evaluate(peer.fit(training).transform(test))


def test_loading_class_is_ours(digits: DataFrame, spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "stage"
    CNNClassifier().save(str(path))
    (file,) = (path / "metadata").glob("part-*")
    said = json.loads(file.read_text()) | {"paramMap": {"maxIter": -1}}
    spark.createDataFrame([(json.dumps(said),)], ["value"]).write.mode("overwrite").text(str(path / "metadata"))
    with pytest.raises(Exception, match="is damaged: its params cannot be set") as error:
        CNNClassifier.load(str(path))
    assert error.value.diagnostics[0].code == "M0004"
    spark.createDataFrame([("[" * 100_000,)], ["value"]).write.mode("overwrite").text(str(path / "metadata"))
    with pytest.raises(SparkNetError, match="`metadata` is not what pyspark writes"):
        CNNClassifier.load(str(path))


@pytest.mark.parametrize(
    ("name", "content", "rows", "why"),
    [
        (
            "net.net",
            "repeat(' ', 1 << 20)",
            17,
            "the 17,825,792 bytes of `net.net` are more than the 16,777,216 allowed",
        ),
        ("net.net", "''", 5, "`net.net` comes in more parts than it has bytes for"),
        ("../net.net", "' '", 1, "`data` holds what is no file of a run"),
        ("net.net", "NULL", 1, "`data` holds what is no file of a run"),
    ],
    ids=["bomb", "parts", "name", "null"],
)
def test_files_of_a_model_are_counted_before_they_are_written(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, rows: int, why: str
) -> None:
    path, temporary = str(tmp_path / "model"), tmp_path / "temporary"
    DefaultParamsWriter.saveMetadata(NetTransformer(), path, spark)
    held = spark.range(rows).selectExpr(f"'{name}' AS name", "int(id) AS part", f"binary({content}) AS content")
    held.write.parquet(f"{path}/data")
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(SparkNetError, match="is damaged") as error:
        NetTransformer.load(path)
    assert error.value.diagnostics[0].message == f"`{path}` is damaged: {why}"


def test_loading_has_an_end(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "model")
    DefaultParamsWriter.saveMetadata(NetTransformer(), path, spark)
    held = spark.range(1).selectExpr("'net.net' AS name", "int(id) AS part", "binary(' ') AS content")
    held.write.parquet(f"{path}/data")
    monkeypatch.setattr(persistence, "DEFAULT_WAITS", Waits(job=1e-3))  # of reading the files, behind what is counted
    with pytest.raises(SparkNetError) as error:
        NetTransformer.load(path)
    assert only(error) == f"R0032 loading `{path}`: no answer from Spark in 0 s"


def test_a_model_of_too_many_files(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "model")
    DefaultParamsWriter.saveMetadata(NetTransformer(), path, spark)
    names = "CASE id WHEN 0 THEN 'net.net' ELSE '../../x' END AS name"
    held = spark.range(2).selectExpr(names, "0 AS part", "binary(' ') AS content")
    held.coalesce(1).orderBy("id").write.parquet(f"{path}/data")
    monkeypatch.setattr(persistence, "_MOST_FILES", 1)
    with pytest.raises(SparkNetError) as error:
        NetTransformer.load(path)
    assert only(error) == f"M0004 `{path}` is damaged: `data` holds more than the 1 files allowed"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("../../x", b"", "`data` holds what is no file of a run"),
        (None, b"", "`data` holds what is no file of a run"),
        ("net.net", None, "`data` holds what is no file of a run"),
        ("net.net", b"456", "`net.net` grew while it was read"),
        ("inference.onnx", b"", "`inference.onnx` grew while it was read"),
    ],
    ids=["name", "no name", "null", "longer", "new"],
)
def test_a_saved_model_that_changes_after_it_was_counted(tmp_path: Path, name: Any, content: Any, why: str) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with pytest.raises(SparkNetError) as error:
        persistence._unpack([("net.net", b"123"), (name, content)], {"net.net": 5, "../../x": 5}, folder, "p")
    assert only(error) == f"M0004 `p` is damaged: {why}"
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [folder / "net.net"]
    assert (folder / "net.net").read_bytes() == b"123"


@pytest.mark.parametrize("divisor", [0, -1, float("nan"), float("inf")])
def test_facts_of_a_model_are_no_traps(divisor: float) -> None:
    with pytest.raises(ValidationError, match="divisor"):
        Facts(fed=("features",), divisor=divisor)
