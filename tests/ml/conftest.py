"""Small data."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from sklearn.datasets import load_digits, load_iris


@pytest.fixture(scope="session")
def digits(spark: SparkSession) -> DataFrame:
    """1,797 digits of 8 x 8, a dense vector each; one in eight rows is sparse."""
    images, kinds = load_digits(return_X_y=True)
    rows = []
    for index, (image, kind) in enumerate(zip(images, kinds, strict=True)):
        places = np.flatnonzero(image)
        vector = Vectors.sparse(64, places, image[places]) if index % 8 == 0 else Vectors.dense(image)
        rows.append((index, vector, float(kind)))
    return spark.createDataFrame(rows, ["id", "features", "label"]).repartition(2).cache()


@pytest.fixture(scope="session")
def iris(spark: SparkSession) -> DataFrame:
    """150 flowers: four columns of numbers and the name of the kind."""
    flowers = load_iris()
    names = [str(name) for name in flowers.target_names]
    rows = [(*map(float, row), names[kind]) for row, kind in zip(flowers.data, flowers.target, strict=True)]
    return spark.createDataFrame(rows, ["a", "b", "c", "d", "species"]).repartition(2).cache()
