"""`ImageFeature` on Spark: from whatever holds images to bytes that a net takes, checked before a job."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyspark.errors import PySparkException
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from sparknet.grammar import SparkNetError
from sparknet.ml import CNNClassifier, ImageFeature
from tests.runtime.conftest import only

RGB = np.random.Generator(np.random.Philox(1)).integers(0, 256, (6, 5, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images, one in gray and one with transparency, and a file that is none."""
    place = tmp_path_factory.mktemp("some images")
    for index in range(5):
        pixels: Any = np.roll(RGB, index, axis=1)
        if index == 3:
            pixels = np.concatenate([pixels, pixels[:, :, :1]], axis=2)
        Image.fromarray(pixels[:, :, 0] if index == 4 else pixels).save(place / f"{index}.png")
    (place / "broken.png").write_bytes(b"no image")
    return place


@pytest.fixture(scope="module")
def files(folder: Path, spark: SparkSession) -> DataFrame:
    return spark.read.format("binaryFile").load(str(folder)).drop("modificationTime", "length")


def pixels(rows: DataFrame, key: str) -> dict[str, bytes | None]:
    """What became of each file, by its name."""
    found = rows.select(sf.element_at(sf.split(key, "/"), -1), "features").collect()
    return {name: None if cell is None else bytes(cell) for name, cell in found}


def test_files_paths_and_sparks_image_source_agree(folder: Path, files: DataFrame, spark: SparkSession) -> None:
    feature = ImageFeature(inputCol="content", size=[6, 5], handleInvalid="keep", errorCol="why")
    scored = feature.transform(files)
    found = pixels(scored, "path")
    assert found["0.png"] == RGB.transpose(2, 0, 1).tobytes()
    assert found["broken.png"] is None
    assert {name for name, cell in found.items() if cell is not None} == {f"{i}.png" for i in range(5)}
    assert scored.schema["features"].metadata == {"sparknet": {"shape": [3, 6, 5]}}
    why = scored.where("features is null").select("why").collect()
    assert [row.why for row in why] == ["is no image of a known format (JPEG, PNG, GIF, BMP, WEBP, TIFF)"]
    assert scored.where("why is not null").count() == 1
    paths = ImageFeature(inputCol="path", size=[6, 5], handleInvalid="keep").transform(files)
    assert pixels(paths, "path") == found
    images = spark.read.format("image").option("dropInvalid", False).load(str(folder))
    assert pixels(feature.copy({feature.inputCol: "image"}).transform(images), "image.origin") == found


def test_a_row_is_read_once_and_only_where_it_is_wanted(files: DataFrame) -> None:
    for handle in ("error", "keep", "skip"):
        scored = ImageFeature(inputCol="content", size=2, handleInvalid=handle, errorCol="why").transform(files)
        plan = scored._jdf.queryExecution().executedPlan().toString()
        assert plan.count("ArrowEvalPython") == 1, plan
        bare = scored.select("path")._jdf.queryExecution().executedPlan().toString()
        assert bare.count("ArrowEvalPython") == (handle == "skip")
    assert scored.count() == 5
    assert scored.where("why is not null").count() == 0


def test_a_broken_image_names_its_file(folder: Path, files: DataFrame) -> None:
    scored = ImageFeature(inputCol="content", size=2).transform(files.coalesce(1))
    with pytest.raises(PySparkException) as error:
        scored.select("features").collect()
    for text in ("of partition 0 of column `content` is no image of a known format", "broken.png')", "handleInvalid"):
        assert text in str(error.value)


def test_numbers(spark: SparkSession) -> None:
    gray = np.arange(16).reshape(4, 4)
    want = bytes(np.rint(gray * (255 / 15)).astype(np.uint8).reshape(-1))
    rows = [(gray.tolist(), gray.reshape(-1).tolist(), Vectors.dense(gray.reshape(-1)), bytearray(range(16)))]
    data = spark.createDataFrame(rows, ["nested", "flat", "vector", "raw"])
    for name in data.columns:
        shape = None if name == "nested" else (4, 4)
        feature = ImageFeature(inputCol=name, rgb=False, size=4, inputShape=shape, maxValue=15)
        (row,) = feature.transform(data).select("features").collect()
        assert bytes(row.features) == want, name
    twice = data.select("raw", sf.lit(1).alias("n"), sf.lit(2).alias("n"))
    assert feature.transform(twice).columns == ["raw", "n", "n", "features"]
    masks = spark.createDataFrame([((gray > 7).tolist(),)], ["image"])
    (row,) = ImageFeature(rgb=False, size=4, maxValue=1).transform(masks).select("features").collect()
    assert bytes(row.features) == bytes(8) + b"\xff" * 8


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (
            ImageFeature(inputCol="contents"),
            "R0002 the data has no column `contents`, which `inputCol` names",
        ),
        (
            ImageFeature(inputCol="n"),
            "R0013 column `n`, which `inputCol` names, is of type bigint; it must hold images: Spark's image source, "
            "the bytes of files, paths or arrays of numbers",
        ),
        (
            ImageFeature(inputCol="flat"),
            "R0013 column `flat`, which `inputCol` names, is of type array<bigint>; how the numbers make an image is "
            "not said",
        ),
        (
            ImageFeature(inputCol="content", outputCol="n"),
            "R0051 the data has a column `n` already, which `outputCol` names",
        ),
        (
            ImageFeature(inputCol="content", errorCol="features"),
            "R0051 `errorCol` and `outputCol` both name the column `features`",
        ),
    ],
)
def test_what_is_refused_before_a_job(spark: SparkSession, feature: ImageFeature, message: str) -> None:
    data = spark.createDataFrame([(bytearray(b"x"), 1, [1, 2])], ["content", "n", "flat"])
    with pytest.raises(SparkNetError) as error:
        feature.transform(data)
    assert only(error) == message


def test_params() -> None:
    feature = ImageFeature()
    assert (feature.getSize(), feature.getRgb(), feature.getInputCol()) == (224, True, "image")
    assert feature.setSize((3, 4)).getSize() == [3, 4]
    assert feature.setSize(np.int64(5)).getSize() == 5
    for bad in (
        {"size": 0},
        {"size": [1, 2, 3]},
        {"size": 2.5},
        {"size": True},
        {"resizeMode": "squeeze"},
        {"resizeFilter": "cubic"},
        {"handleInvalid": "drop"},
        {"inputShape": [2]},
        {"inputShape": [5, 6, 7]},
        {"maxValue": 0},
    ):
        with pytest.raises(TypeError, match=f'Invalid param value given for param "{next(iter(bad))}"'):
            ImageFeature(**bad)
    with pytest.raises(TypeError, match=r"^ImageFeature has no param `sise`; did you mean `size`\? it has `"):
        feature.setParams(sise=3)
    assert "side of the images in pixels, or [height, width] (default: 224, current: 5)" in feature.explainParams()


def test_saved_and_loaded_alone_and_in_a_pipeline(tmp_path: Path, files: DataFrame) -> None:
    feature = ImageFeature(
        inputCol="content", size=[6, 5], rgb=False, handleInvalid="skip", maxValue=9, inputShape=(2, 2)
    )
    feature.save(str(tmp_path / "alone"))
    feature.write().overwrite().save(str(tmp_path / "alone"))
    again = ImageFeature.load(str(tmp_path / "alone"))
    assert {p.name: v for p, v in again.extractParamMap().items()} == {
        p.name: v for p, v in feature.extractParamMap().items()
    }
    assert again.uid == feature.uid
    plain = feature.copy()
    plain.clear(plain.inputShape)
    Pipeline(stages=[plain]).fit(files).save(str(tmp_path / "whole"))
    whole = PipelineModel.load(str(tmp_path / "whole"))
    assert pixels(whole.transform(files), "path") == pixels(plain.transform(files), "path")


def test_the_classifier_knows_the_shape(spark: SparkSession) -> None:
    """Two kinds of images in two colors, of several sizes, as bytes of files."""
    rows = []
    for index in range(60):
        image = Image.new("RGB", (10 + index % 7, 9 + index % 5), (200, 30, 30) if index % 2 else (30, 30, 200))
        opened = BytesIO()
        image.save(opened, "JPEG")
        rows.append((bytearray(opened.getvalue()), float(index % 2)))
    data = spark.createDataFrame(rows, ["image", "label"])
    layers = [(8, 3, 3, 4, "RELU"), (4, 1, 1, 2, "SOFTMAX")]
    pipeline = Pipeline(
        stages=[ImageFeature(size=8), CNNClassifier(layers=layers, blockSize=8, numWorkers=1, maxIter=6)]
    )
    model = pipeline.fit(data)
    scored = model.transform(data).select("label", "prediction").collect()
    assert sum(row.label == row.prediction for row in scored) >= 57
    assert "input image: float[3, 8, 8]" in model.stages[1].spec
