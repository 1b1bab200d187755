"""Classifiers: estimators whose net tells classes apart, and their models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml.classification import ProbabilisticClassificationModel, ProbabilisticClassifier
from pyspark.ml.linalg import DenseVector, Vector

from sparknet.grammar import Source, write
from sparknet.grammar import construct as c
from sparknet.ml import given, nets, schema
from sparknet.ml.base import NetEstimator, NetModel, Plan
from sparknet.ml.params.layers import LayerParams, LayerSetters
from sparknet.ml.params.spec import SpecSetters
from sparknet.ml.persistence import Facts
from sparknet.ml.scoring import Added, Scorer
from sparknet.runtime.engines.base import OnnxRuntimeEngine
from sparknet.runtime.inference import Predictor
from sparknet.runtime.problems import problem

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class NetClassificationModel(NetModel, ProbabilisticClassificationModel):
    """Base of the classifiers' models."""

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


class CNNClassificationModel(NetClassificationModel, LayerParams):
    """A convolutional net that `CNNClassifier` has trained."""


class CNNClassifier(NetEstimator[CNNClassificationModel], LayerSetters, ProbabilisticClassifier):
    """A classifier of images by a convolutional net.

    The features are a vector, an array or bytes, channels first. Without `layers` the net is a small one; a list of
    layers that does not end in a softmax is followed by a dense layer with an output for each class.
    """

    model_class = CNNClassificationModel

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
        seed: int = 0,
        standardization: bool = True,
        thresholds: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.setParams(**self._input_kwargs)

    def _plan(self, dataset: DataFrame, validates: bool) -> Plan:
        features = schema.column(dataset, self.getFeaturesCol(), "featuresCol")
        schema.check_features(features, "featuresCol")
        label = schema.column(dataset, self.getLabelCol(), "labelCol")
        schema.check_number(label, "labelCol", "a number, the label's place")
        found = schema.features(dataset, features)
        shape = nets.image_shape(found, self.getInputShape(), self.getLayers(), features.name)
        labels = schema.labels(dataset, label)
        body, _ = nets.convolutional(
            self.getLayers(), self.getNumFilters(), self.getActivation(), shape, nets.Task(labels.classes)
        )
        bindings = {
            "image": nets.column_binding(features.name, self.getStandardization()),
            "label": nets.column_binding(label.name, False),
        }
        file = c.file(c.net("CNNClassifier", *body), nets.data_section(bindings, validates), nets.train_section(self))
        return Plan(Source("CNNClassifier", write(file)), Facts(fed=("image",), labels=labels.names))


class NetClassifierModel(NetClassificationModel):
    """A net that `NetClassifier` has trained."""


class NetClassifier(NetEstimator[NetClassifierModel], SpecSetters, ProbabilisticClassifier):
    """A classifier whose net is a `.net` text with one input that `featuresCol` feeds and one output `class[n]`.

    What the text binds in a `data` section stays as it is written. Params that are set go before its `train` section.
    """

    model_class = NetClassifierModel

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
        seed: int = 0,
        thresholds: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.setParams(**self._input_kwargs)

    def _plan(self, dataset: DataFrame, validates: bool) -> Plan:
        if not self.isDefined(self.spec):
            raise problem("M0001", "`spec`, the net, is not set", helps=["write `NetClassifier(spec=...)`"])
        source, fed = given.fed_source(
            self.getSpec(), self, self.getFeaturesCol(), self.getLabelCol(), "class", validates
        )
        if fed:
            features = schema.column(dataset, self.getFeaturesCol(), "featuresCol")
            schema.check_features(features, "featuresCol")
        label = schema.column(dataset, self.getLabelCol(), "labelCol")
        schema.check_number(label, "labelCol", "a number, the label's place")
        labels = schema.said_labels(label)
        return Plan(source, Facts(fed=fed, labels=None if labels is None else labels.names))
