"""Spark ML stages: estimators, models and transformers of `pyspark.ml` whose nets SparkNet trains."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparknet.ml.autoencoder import Autoencoder, AutoencoderModel
    from sparknet.ml.classification import (
        CNNClassificationModel,
        CNNClassifier,
        NetClassifier,
        NetClassifierModel,
        RNNClassificationModel,
        RNNClassifier,
    )
    from sparknet.ml.image_feature import ImageFeature
    from sparknet.ml.net_transformer import NetTransformer
    from sparknet.ml.regression import (
        CNNRegressionModel,
        CNNRegressor,
        NetRegressor,
        NetRegressorModel,
        RNNRegressionModel,
        RNNRegressor,
    )

__all__ = [
    "Autoencoder",
    "AutoencoderModel",
    "CNNClassificationModel",
    "CNNClassifier",
    "CNNRegressionModel",
    "CNNRegressor",
    "ImageFeature",
    "NetClassifier",
    "NetClassifierModel",
    "NetRegressor",
    "NetRegressorModel",
    "NetTransformer",
    "RNNClassificationModel",
    "RNNClassifier",
    "RNNRegressionModel",
    "RNNRegressor",
]

_HOMES = {
    "Autoencoder": "autoencoder",
    "AutoencoderModel": "autoencoder",
    "CNNClassificationModel": "classification",
    "CNNClassifier": "classification",
    "CNNRegressionModel": "regression",
    "CNNRegressor": "regression",
    "ImageFeature": "image_feature",
    "NetClassifier": "classification",
    "NetClassifierModel": "classification",
    "NetRegressor": "regression",
    "NetRegressorModel": "regression",
    "NetTransformer": "net_transformer",
    "RNNClassificationModel": "classification",
    "RNNClassifier": "classification",
    "RNNRegressionModel": "regression",
    "RNNRegressor": "regression",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
