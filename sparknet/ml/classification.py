"""Classifiers: estimators whose net tells classes apart, and their models."""

from __future__ import annotations

from typing import Any

from pyspark import keyword_only
from pyspark.ml.classification import ProbabilisticClassificationModel, ProbabilisticClassifier
from pyspark.ml.linalg import DenseVector, Vector
from pyspark.ml.param.shared import HasStandardization

from sparknet.ml import schema
from sparknet.ml.base import NetModel
from sparknet.ml.params.layers import LayerParams
from sparknet.ml.params.sequence import SequenceParams
from sparknet.ml.plans import PlansGiven, PlansImages, PlansSequences
from sparknet.ml.scoring import Added, Scorer
from sparknet.runtime.engines.base import OnnxRuntimeEngine
from sparknet.runtime.inference import Predictor


class NetClassificationModel(NetModel, ProbabilisticClassificationModel):
    """Base of the classifiers' models."""

    def __repr__(self) -> str:
        """As Spark's own models show themselves."""
        name = type(self).__name__
        return f"{name}: uid={self.uid}, numClasses={self.numClasses}, numFeatures={self.numFeatures}"

    @property
    def numClasses(self) -> int:
        """How many classes the net tells apart."""
        return self.trained.run.manifest.targets[0].classes or 0

    def predictRaw(self, value: Any) -> Vector:
        """The raw predictions for one row, a number for each class: logits that sum to 0."""
        return DenseVector(self._score(value).values("raw")[0])

    def predictProbability(self, value: Any) -> Vector:
        """The probability of each class for one row."""
        return DenseVector(self._score(value).values("probability")[0])

    def _scorer(self, found: Predictor) -> Scorer:
        thresholds = tuple(self.getThresholds()) if self.isDefined(self.thresholds) else None
        schema.check_thresholds(thresholds, self.numClasses)
        return Scorer(found, OnnxRuntimeEngine(), self.numClasses, thresholds)

    def _metadata(self, added: Added) -> dict[str, Any]:
        if added != "prediction":
            return {"ml_attr": {"num_attrs": self.numClasses}}
        said: dict[str, Any] = {"type": "nominal", "name": self.getPredictionCol()}
        if self._facts.labels is not None and len(self._facts.labels) == self.numClasses:
            return {"ml_attr": {**said, "vals": list(self._facts.labels)}}
        return {"ml_attr": {**said, "num_vals": self.numClasses}}


class CNNClassificationModel(NetClassificationModel, LayerParams, HasStandardization):
    """A convolutional net that `CNNClassifier` has trained."""


class CNNClassifier(PlansImages[CNNClassificationModel], ProbabilisticClassifier):
    """A classifier of images by a convolutional net.

    The features are a vector, an array or bytes, channels first. Without `layers` the net is a small one; a list of
    layers that does not end in a softmax is followed by a dense layer with an output for each class.
    """

    model_class = CNNClassificationModel
    _classes = True

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        probabilityCol: str = "probability",
        rawPredictionCol: str = "rawPrediction",
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
        thresholds: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.setParams(**self._input_kwargs)


class RNNClassificationModel(NetClassificationModel, SequenceParams, HasStandardization):
    """A recurrent net that `RNNClassifier` has trained."""


class RNNClassifier(PlansSequences[RNNClassificationModel], ProbabilisticClassifier):
    """A classifier of sequences by a recurrent net.

    The features are a text, which is read word by word, a vector or an array whose numbers are steps of
    `featureWidth`, or an array of steps. Arrays may differ in length.
    """

    model_class = RNNClassificationModel
    _classes = True

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        probabilityCol: str = "probability",
        rawPredictionCol: str = "rawPrediction",
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
        thresholds: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.setParams(**self._input_kwargs)


class NetClassifierModel(NetClassificationModel):
    """A net that `NetClassifier` has trained."""


class NetClassifier(PlansGiven[NetClassifierModel], ProbabilisticClassifier):
    """A classifier whose net is a `.net` text with one input that `featuresCol` feeds and one output `class[n]`.

    What the text binds in a `data` section stays as it is written. Params that are set go before its `train` section.
    """

    model_class = NetClassifierModel
    _classes = True

    @keyword_only
    def __init__(
        self,
        *,
        spec: str | None = None,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        probabilityCol: str = "probability",
        rawPredictionCol: str = "rawPrediction",
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
        thresholds: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.setParams(**self._input_kwargs)
