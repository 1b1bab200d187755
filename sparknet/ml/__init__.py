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
    )
    from sparknet.ml.image_feature import ImageFeature

__all__ = [
    "Autoencoder",
    "AutoencoderModel",
    "CNNClassificationModel",
    "CNNClassifier",
    "ImageFeature",
    "NetClassifier",
    "NetClassifierModel",
]

_HOMES = dict.fromkeys(__all__, "classification") | {
    "Autoencoder": "autoencoder",
    "AutoencoderModel": "autoencoder",
    "ImageFeature": "image_feature",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
