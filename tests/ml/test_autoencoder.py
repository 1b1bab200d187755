"""Autoencoder: codes, reconstructions and their errors, and what comes after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.clustering import KMeans
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

import sparknet
from sparknet.compiler import compile
from sparknet.grammar import SparkNetError
from sparknet.grammar import construct as c
from sparknet.ml import Autoencoder, AutoencoderModel, ImageFeature
from sparknet.ml.halves import autoencoder
from sparknet.ml.params.autoencoder import Half
from tests.runtime.conftest import only


def test_after_vector_assembler_and_before_kmeans(iris: DataFrame, tmp_path: Path) -> None:
    """The document's last step, with a code of two numbers in the place of the four columns."""
    columns = VectorAssembler(inputCols=["a", "b", "c", "d"], outputCol="features")
    coder = Autoencoder(encoder=[16], codeSize=2, maxIter=12, blockSize=8, stepSize=0.01, numWorkers=1)
    clusters = KMeans(featuresCol="code", predictionCol="cluster", k=3, seed=1)
    model = Pipeline(stages=[columns, coder, clusters]).fit(iris)
    scored = model.transform(iris)
    assert scored.columns == [*iris.columns, "features", "code", "reconstruction", "reconstructionError", "cluster"]
    assert ClusteringEvaluator(featuresCol="code", predictionCol="cluster").evaluate(scored) > 0.5
    rows = scored.collect()
    given, back = (np.array([row[name].toArray() for row in rows]) for name in ("features", "reconstruction"))
    net = model.stages[1]
    assert isinstance(net, AutoencoderModel)
    assert np.mean((given - back) ** 2) < 0.1 * given.var()
    deviation = given.std(axis=0)
    error = np.mean(((given - back) / deviation) ** 2, axis=1)
    np.testing.assert_allclose([row.reconstructionError for row in rows], error, rtol=1e-4, atol=1e-6)
    assert np.allclose(net.encode(rows[0].features), rows[0].code)
    assert np.allclose(net.reconstruct(rows[0].features), rows[0].reconstruction)
    assert scored.schema["code"].metadata == {"ml_attr": {"num_attrs": 2}}
    model.save(str(tmp_path / "model"))
    again = PipelineModel.load(str(tmp_path / "model")).transform(iris)
    assert again.collect() == rows


def test_the_model_is_that_of_its_spec(digits: DataFrame) -> None:
    stage = Autoencoder(encoder=[32], codeSize=4, maxIter=2, numWorkers=1, standardization=False, blockSize=64)
    model = stage.fit(digits)
    assert stage.specFor(digits) == model.spec
    again = sparknet.train(model.spec, digits)
    assert again.run.parameters.tobytes() == model.trained.run.parameters.tobytes()
    assert again.run.optimizer_state.tobytes() == model.trained.run.optimizer_state.tobytes()


def test_images(spark: SparkSession) -> None:
    """Layer tuples, bytes, and a reconstruction in grays; columns that are not wanted are left out."""
    draw = np.random.Generator(np.random.Philox(1))
    images = (draw.integers(0, 2, (80, 1, 1)) * np.tri(8) * 200 + draw.integers(0, 20, (80, 8, 8))).astype(int)
    data = spark.createDataFrame([(image.tolist(),) for image in images], ["image"])
    pixels = ImageFeature(rgb=False, size=8).transform(data)
    for standardization in (False, True):
        stage = Autoencoder(
            encoder=[(8, 3, 3, 4), "maxpool(2)"],
            codeSize=2,
            maxIter=6,
            stepSize=0.01,
            numWorkers=1,
            blockSize=4,
            standardization=standardization,
            errorCol="",
        )
        model = stage.fit(pixels)
        scored = model.transform(pixels)
        assert scored.columns == ["image", "features", "code", "reconstruction"]
        rows = scored.select("features", "reconstruction").collect()
        given = np.array([list(row.features) for row in rows])
        back = np.array([row.reconstruction.toArray() for row in rows])
        assert np.mean((given - back) ** 2) < 0.25 * given.var()
        assert ('standardize(column("features"))' if standardization else 'column("features") / 255') in model.spec


HALVES: list[tuple[list[Half], list[Half] | None, tuple[int, ...], list[str]]] = [
    ([64], None, (30,), ["dense(64, relu)", "dense(3)", "dense(64, relu)", "dense(30)"]),
    ([], None, (30,), ["dense(3)", "dense(30)"]),
    ([20], [10], (30,), ["dense(20, relu)", "dense(3)", "dense(10, relu)", "dense(30)"]),
    ([20], [], (30,), ["dense(20, relu)", "dense(3)", "dense(30)"]),
    ([20], ["dense(30, sigmoid)"], (30,), ["dense(20, relu)", "dense(3)", "dense(30, sigmoid)"]),
    (
        [(8, 3, 3), "avgpool(2)", (4, 3, 3, 6, "TANH"), "maxpool(2)", 7],
        None,
        (2, 8, 8),
        [
            '(8, 3, 3, 5, "RELU")',
            "avgpool(2)",
            '(4, 3, 3, 6, "TANH")',
            "maxpool(2)",
            "flatten",
            "dense(7, relu)",
            "dense(3)",
            "dense(7, relu)",
            "dense(24, relu)",
            "reshape(6, 2, 2)",
            "upsample(2)",
            '(4, 3, 3, 5, "TANH")',
            "upsample(2)",
            "conv(2, 3x3)",
        ],
    ),
    (
        ["maxpool(2)"],
        None,
        (1, 4, 4),
        ["maxpool(2)", "flatten", "dense(3)", "dense(4)", "reshape(1, 2, 2)", "upsample(2)"],
    ),
]


@pytest.mark.parametrize(("encoder", "decoder", "shape", "layers"), HALVES)
def test_what_comes_behind_the_code(
    encoder: list[Half], decoder: list[Half] | None, shape: tuple[int, ...], layers: list[str]
) -> None:
    body, _ = autoencoder(encoder, decoder, 3, 5, "RELU", shape)
    net = compile(c.file(c.net("Halves", *body)))
    assert [layer.text for layer in net.layers] == layers
    assert {p.name: p.type.shape for p in net.predictions}["rebuilt_code"] == (3,)


def test_what_is_refused(spark: SparkSession) -> None:
    data = spark.createDataFrame([(Vectors.dense(range(48)), "a")], ["features", "text"])
    for stage, message in (
        (Autoencoder(encoder=["gru(3)"]), "M0001 `encoder` has a layer without a mirror image: 'gru(3)'"),
        (Autoencoder(encoder=["maxpool(3)"]), "M0001 `encoder` has a layer without a mirror image: 'maxpool(3)'"),
        (Autoencoder(codeCol="text"), "R0051 the data has a column `text` already, which `codeCol` names"),
        (
            Autoencoder(codeCol="c", errorCol="c"),
            "R0051 `errorCol` and `codeCol` both name the column `c`",
        ),
    ):
        with pytest.raises(SparkNetError) as error:
            stage.specFor(data)
        assert only(error) == message
    with pytest.raises(SparkNetError) as error:
        Autoencoder(outputCol="d", codeCol="e")
    assert only(error) == "M0001 `outputCol` is 'd' and `codeCol` is 'e', but they are one param"
    for bad in ({"codeSize": 0}, {"encoder": [0]}, {"encoder": [2.5]}, {"encoder": 3}):
        with pytest.raises(TypeError):
            Autoencoder(**bad)


def test_an_outlier_is_told_by_its_error(spark: SparkSession) -> None:
    draw = np.random.Generator(np.random.Philox(2))
    line = np.outer(draw.normal(size=120), [1.0, -2.0, 0.5]) + draw.normal(size=(120, 3)) * 0.01
    rows = [(Vectors.dense(row),) for row in [*line, [2.0, 4.0, 1.0]]]
    coder = Autoencoder(encoder=[8], codeSize=1, maxIter=4, blockSize=4, stepSize=0.01, numWorkers=1)
    model = coder.fit(spark.createDataFrame(rows[:-1], ["features"]))
    data = spark.createDataFrame(rows, ["features"])
    worst = model.transform(data).orderBy(sf.desc("reconstructionError")).first()
    assert worst is not None
    assert worst.features == Vectors.dense([2.0, 4.0, 1.0])
