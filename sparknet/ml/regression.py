"""Regressors: estimators whose net gives one number, and their models."""

from __future__ import annotations

from typing import Any

from pyspark import keyword_only
from pyspark.ml.param.shared import HasStandardization
from pyspark.ml.regression import RegressionModel, Regressor

from sparknet.ml.base import NetModel
from sparknet.ml.params.layers import LayerParams
from sparknet.ml.params.sequence import SequenceParams
from sparknet.ml.plans import PlansGiven, PlansImages, PlansSequences


class NetRegressionModel(NetModel, RegressionModel[Any]):
    """Base of the regressors' models."""


class CNNRegressionModel(NetRegressionModel, LayerParams, HasStandardization):
    """A convolutional net that `CNNRegressor` has trained."""


class CNNRegressor(PlansImages[CNNRegressionModel], Regressor[Any]):
    """A regressor of images by a convolutional net; features and layers are those of `CNNClassifier`."""

    model_class = CNNRegressionModel
    _classes = False

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        validationIndicatorCol: str | None = None,
        weightCol: str | None = None,
        inputCol: str | None = None,
        outputCol: str | None = None,
        layers: str | list[Any] | None = None,
        numFilters: int = 32,
        activation: str = "RELU",
        inputShape: list[int] | None = None,
        maxIter: int = 10,
        numIterations: int | None = None,
        blockSize: int = 32,
        optimizer: str = "adam",
        stepSize: float | None = None,
        schedule: str | None = None,
        loss: str | None = None,
        clip: str | None = None,
        sync: str | None = None,
        numWorkers: int | None = None,
        patience: int | None = None,
        tol: float = 0.0,
        checkpointInterval: int = 10,
        checkpointDir: str | None = None,
        seed: int = 0,
        standardization: bool = True,
    ) -> None:
        super().__init__()
        self.setParams(**self._input_kwargs)


class RNNRegressionModel(NetRegressionModel, SequenceParams, HasStandardization):
    """A recurrent net that `RNNRegressor` has trained."""


class RNNRegressor(PlansSequences[RNNRegressionModel], Regressor[Any]):
    """A regressor of sequences by a recurrent net; the features are those of `RNNClassifier`."""

    model_class = RNNRegressionModel
    _classes = False

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        validationIndicatorCol: str | None = None,
        weightCol: str | None = None,
        inputCol: str | None = None,
        outputCol: str | None = None,
        hiddenLayerSize: int = 100,
        cell: str = "lstm",
        numLayers: int = 1,
        bidirectional: bool = False,
        sequenceLength: int | None = None,
        featureWidth: int | None = None,
        vocabularySize: int = 5000,
        embeddingSize: int = 64,
        maxIter: int = 10,
        numIterations: int | None = None,
        blockSize: int = 32,
        optimizer: str = "adam",
        stepSize: float | None = None,
        schedule: str | None = None,
        loss: str | None = None,
        clip: str | None = None,
        sync: str | None = None,
        numWorkers: int | None = None,
        patience: int | None = None,
        tol: float = 0.0,
        checkpointInterval: int = 10,
        checkpointDir: str | None = None,
        seed: int = 0,
        standardization: bool = True,
    ) -> None:
        super().__init__()
        self.setParams(**self._input_kwargs)


class NetRegressorModel(NetRegressionModel):
    """A net that `NetRegressor` has trained."""


class NetRegressor(PlansGiven[NetRegressorModel], Regressor[Any]):
    """A regressor whose net is a `.net` text with one input that `featuresCol` feeds and one output `float[1]`.

    What the text binds in a `data` section stays as it is written. Params that are set go before its `train` section.
    """

    model_class = NetRegressorModel
    _classes = False

    @keyword_only
    def __init__(
        self,
        *,
        spec: str | None = None,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        validationIndicatorCol: str | None = None,
        weightCol: str | None = None,
        inputCol: str | None = None,
        outputCol: str | None = None,
        maxIter: int = 10,
        numIterations: int | None = None,
        blockSize: int = 32,
        optimizer: str = "adam",
        stepSize: float | None = None,
        schedule: str | None = None,
        loss: str | None = None,
        clip: str | None = None,
        sync: str | None = None,
        numWorkers: int | None = None,
        patience: int | None = None,
        tol: float = 0.0,
        checkpointInterval: int = 10,
        checkpointDir: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.setParams(**self._input_kwargs)
