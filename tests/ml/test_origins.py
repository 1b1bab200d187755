"""What is wrong with the net of a stage is told of the param that it came from, as the user wrote it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from sparknet.grammar import SparkNetError
from sparknet.ml import Autoencoder, CNNClassifier, NetClassifier

NET = "net Mine {{\n\n  # mine\n  input x: float[{}]\n  {}\n  output y: class[10]\n}}\n"
IMAGE = [1, 8, 8]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: CNNClassifier(layers=[(8, 3, 3, 4), "maxpool(2)", (8, 3, 3)]),
            ["--> CNNClassifier:5:4", "note: `layers[2]` of CNNClassifier is (8, 3, 3)\n"],
        ),
        (lambda: CNNClassifier(layers=["maxpool(2)", "conv(8, 3x3"]), ["--> layers[1]:1:12", "1 | conv(8, 3x3\n"]),
        (lambda: CNNClassifier(activation="rellu"), ["note: `activation` of CNNClassifier is 'rellu'\n"]),
        (lambda: CNNClassifier(optimizer="adam(lr 0.1)"), ["--> optimizer:1:9", "1 | adam(lr 0.1)\n"]),
        (lambda: CNNClassifier(sync="averag"), ["note: `sync` of CNNClassifier is 'averag'\n"]),
        (
            lambda: Autoencoder(encoder=["maxpool(2)", (8, 3, 3)], inputShape=IMAGE),
            ["note: `encoder[1]` of Autoencoder is (8, 3, 3)\n"],
        ),
        (
            lambda: Autoencoder(encoder=["conv(3, 3x3)"], decoder=[5, "dens(64)"], inputShape=IMAGE),
            ["note: `decoder[1]` of Autoencoder is 'dens(64)'\n"],
        ),
        (lambda: NetClassifier(spec=NET.format(64, "dens(10)")), ["--> <text>:5:3\n"]),
        (
            lambda: NetClassifier(spec=NET.format(63, "dense(10)")),
            ["note: `featuresCol` of NetClassifier is 'features'\n"],
        ),
        (
            lambda: CNNClassifier(blockSize=5000),
            ["error[R0022]", "note: `batch` is the param `blockSize` of CNNClassifier\n"],
        ),
        (
            lambda: CNNClassifier(layers="flatten -> dense(10)", validationIndicatorCol="held"),
            ["error[R0020]", "note: `validation` is the param `validationIndicatorCol` of CNNClassifier\n"],
        ),
    ],
)
def test_params_are_named(digits: DataFrame, make: Callable[[], Any], said: list[str]) -> None:
    rows = digits.withColumn("held", sf.lit(False))
    with pytest.raises(SparkNetError) as error:
        make().fit(rows)
    shown = f"{error.value}\n"
    assert [each for each in said if each not in shown] == [], shown
