"""`Autoencoder`: a net that learns to say much with few numbers, and its model, which gives these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.linalg import DenseVector, Vector
from pyspark.ml.param.shared import HasStandardization

from sparknet.compiler.folder import SavedSlot
from sparknet.grammar import Source, syntax, write
from sparknet.grammar import construct as c
from sparknet.ml import halves, nets, schema
from sparknet.ml.base import FeatureEstimator, FeatureModel, Plan
from sparknet.ml.origins import Origins
from sparknet.ml.params.autoencoder import AutoencoderParams, AutoencoderSetters, CodeColumns, Half
from sparknet.ml.params.columns import StandardizationSetters
from sparknet.ml.persistence import Facts
from sparknet.ml.schema import Features
from sparknet.ml.scoring import Added, Doubles
from sparknet.runtime.engines.base import Engine, OnnxRuntimeEngine
from sparknet.runtime.inference import FIRST, Predictor, Standing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_ALIASES = {"inputCol": "featuresCol", "outputCol": "codeCol", "numIterations": "maxIter"}


@dataclass(frozen=True)
class Coded:
    """What an autoencoder says of some rows."""

    code: Doubles
    """double[rows, code size]."""
    reconstruction: Doubles
    """double[rows, numbers], in the units of the features."""
    error: Doubles
    """double[rows]."""

    def values(self, added: Added) -> Doubles:
        """What a column holds."""
        return {"code": self.code, "reconstruction": self.reconstruction, "error": self.error}[added]


@dataclass(frozen=True)
class CodeScorer:
    """An autoencoder as it scores batches."""

    predictor: Predictor
    engine: Engine
    scale: Doubles
    """double[numbers]; the features are the net's numbers times it, plus `shift`."""
    shift: Doubles

    def score(self, batch: pa.RecordBatch, standing: Standing = FIRST) -> Coded:
        """What it says of a batch; raises SparkNetError for a row that does not fit."""
        rebuilt, error, code = (_rows(found) for found in self.predictor.predict(batch, self.engine, standing))
        return Coded(code, rebuilt * self.scale + self.shift, error[:, 0])


def _rows(found: pa.Array) -> Doubles:
    """double[rows, numbers] of a column of numbers or of lists of them."""
    leaf = found.flatten() if pa.types.is_list(found.type) else found
    numbers: Doubles = np.asarray(leaf).astype(np.float64).reshape(len(found), -1)
    return numbers


class AutoencoderModel(FeatureModel, CodeColumns, AutoencoderParams, HasStandardization, Model):
    """A net that `Autoencoder` has trained."""

    aliases = _ALIASES

    def encode(self, value: Any) -> Vector:
        """The code of one row: of a vector, an array or bytes."""
        return self._vector(value, "code")

    def reconstruct(self, value: Any) -> Vector:
        """What the code of one row gives back."""
        return self._vector(value, "reconstruction")

    def _vector(self, value: Any, added: Added) -> Vector:
        return DenseVector(self._score(value).values(added)[0])

    def _scorer(self, found: Predictor) -> CodeScorer:
        """With the units of the features: the deviation and the mean that were learnt, or what they are divided by."""
        held = {slot.name: slot for slot in self.trained.run.manifest.parameters}
        scale, shift = np.full(self.numFeatures, self._facts.divisor), np.zeros(self.numFeatures)
        if "features.deviation" in held:
            scale, shift = self._spread(held["features.deviation"]), self._spread(held["features.mean"])
        return CodeScorer(found, OnnxRuntimeEngine(), scale, shift)

    def _spread(self, slot: SavedSlot) -> Doubles:
        """A parameter of the net, double[numbers], for each number of a row."""
        run = self.trained.run
        held = run.parameters[slot.offset : slot.offset + slot.size].reshape(slot.shape)
        return np.broadcast_to(held, run.manifest.inputs[0].shape).reshape(-1).astype(np.float64)

    def _metadata(self, added: Added) -> dict[str, Any]:
        sizes = {"code": self.getCodeSize(), "reconstruction": self.numFeatures}
        return {"ml_attr": {"num_attrs": sizes[added]}} if added in sizes else {}


class Autoencoder(
    FeatureEstimator[AutoencoderModel],
    CodeColumns,
    AutoencoderSetters,
    StandardizationSetters,
    Estimator[AutoencoderModel],
):
    """A net that learns a code of few numbers from which the features can be told, without labels.

    The features are a vector, an array or bytes. The model adds the code, the features as the code gives them back, in
    their own units, and how far off these are.

    An encoder of whole numbers alone is one of dense layers, `encoder=[128, 32]`. With layer tuples or texts among them
    it takes images, channels first: `encoder=[(28, 3, 3, 16, "RELU"), "maxpool(2)"]`. The code is what a dense layer
    without activation makes of the encoder's result. Without `standardization`, bytes are divided by 255.
    """

    model_class = AutoencoderModel
    aliases = _ALIASES

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        codeCol: str = "code",
        reconstructionCol: str = "reconstruction",
        errorCol: str = "reconstructionError",
        validationIndicatorCol: str | None = None,
        inputCol: str | None = None,
        outputCol: str | None = None,
        encoder: Sequence[Half] = (64,),
        codeSize: int = 8,
        decoder: Sequence[Half] | None = None,
        numFilters: int = 32,
        activation: str = "RELU",
        inputShape: Sequence[int] | None = None,
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

    def _plan(self, dataset: DataFrame, validates: bool) -> Plan:
        column = schema.column(dataset, self.getFeaturesCol(), "featuresCol")
        schema.check_features(column, "featuresCol")
        found = schema.features(dataset, column)
        body, origins = halves.autoencoder(
            self.getEncoder(),
            self.getDecoder(),
            self.getCodeSize(),
            self.getNumFilters(),
            self.getActivation(),
            self._shape(found, column.name),
        )
        divisor = 255 if found.raw and not self.getStandardization() else 1
        binding = nets.column_binding(column.name, self.getStandardization())
        if divisor > 1:
            binding = syntax.Binary(span=binding.span, operator="/", left=binding, right=c.value(divisor))
        data = nets.data_section({"features": binding}, validates)
        file = c.file(c.net("Autoencoder", *body), data, nets.train_section(self))
        facts = Facts(fed=("features",), divisor=divisor)
        return Plan(Source("Autoencoder", write(file)), facts, Origins(origins, {"features": "featuresCol"}))

    def _shape(self, found: Features, name: str) -> tuple[int, ...]:
        if not halves.takes_images(self.getEncoder()):
            return (found.size,)
        return nets.image_shape(found, self.getInputShape(), self.getEncoder(), name)
