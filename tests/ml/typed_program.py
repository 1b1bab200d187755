"""A program that uses every stage, for `test_typing`: mypy must know the type of all that it touches."""

from typing import assert_type

from pyspark.sql import DataFrame

from sparknet.ml import (
    Autoencoder,
    AutoencoderModel,
    CNNClassificationModel,
    CNNClassifier,
    CNNRegressionModel,
    CNNRegressor,
    ImageFeature,
    NetClassifier,
    NetClassifierModel,
    NetRegressor,
    NetRegressorModel,
    NetTransformer,
    RNNClassificationModel,
    RNNClassifier,
    RNNRegressionModel,
    RNNRegressor,
)


def images(photos: DataFrame) -> DataFrame:
    feature = ImageFeature(inputCol="image", outputCol="features", rgb=True, size=[224, 224], resizeMode="crop")
    assert_type(feature.setSize(64).setHandleInvalid("skip").setErrorCol("why"), ImageFeature)
    assert_type(feature.getResizeMode(), str)
    assert_type(ImageFeature.load("feature"), ImageFeature)
    return feature.transform(photos)


def classes(rows: DataFrame) -> DataFrame:
    stage = CNNClassifier(layers=[(8, 3, 3, 16, "RELU"), (16, 1, 1, 10, "SOFTMAX")], inputCol="features", blockSize=32)
    assert_type(stage.setMaxIter(3).setNumFilters(8).setStepSize(0.1), CNNClassifier)
    model = stage.fit(rows)
    assert_type(model, CNNClassificationModel)
    assert_type(model.summary.objectiveHistory, list[float])
    assert_type(model.numClasses, int)
    assert_type(model.spec, str)
    assert_type(CNNClassificationModel.load("model"), CNNClassificationModel)
    return model.transform(rows)


def own_nets(rows: DataFrame) -> DataFrame:
    stage = NetClassifier(spec="mine.net", labelCol="label")
    model = stage.fit(rows)
    assert_type(model, NetClassifierModel)
    return model.setFeaturesCol("features").transform(rows)


def codes(rows: DataFrame) -> DataFrame:
    stage = Autoencoder(encoder=[64, 32], codeSize=4, outputCol="code")
    assert_type(stage.setCodeSize(2).setEncoder([(8, 3, 3, 16, "RELU"), "maxpool(2)"]), Autoencoder)
    model = stage.fit(rows)
    assert_type(model, AutoencoderModel)
    assert_type(model.getReconstructionCol(), str)
    return model.setCodeCol("numbers").transform(rows)


def numbers(rows: DataFrame) -> DataFrame:
    model = CNNRegressor(layers=[(8, 3, 3, 16, "RELU")], weightCol="weight").setBlockSize(16).fit(rows)
    assert_type(model, CNNRegressionModel)
    own = NetRegressor(spec="mine.net").setSeed(1).fit(rows)
    assert_type(own, NetRegressorModel)
    return model.transform(own.transform(rows))


def sequences(rows: DataFrame) -> DataFrame:
    stage = RNNClassifier(inputCol="features", outputCol="prediction", hiddenLayerSize=100, numIterations=10)
    assert_type(stage.setCell("gru").setSequenceLength(20), RNNClassifier)
    kinds = stage.fit(rows)
    assert_type(kinds, RNNClassificationModel)
    amounts = RNNRegressor(hiddenLayerSize=8).fit(rows)
    assert_type(amounts, RNNRegressionModel)
    return amounts.transform(kinds.transform(rows))


def trained_elsewhere(rows: DataFrame) -> DataFrame:
    stage = NetTransformer(path="model.onnx", inputCol="features", outputCol="scores")
    assert_type(stage.setFeaturesCol("pixels"), NetTransformer)
    return stage.transform(rows)
