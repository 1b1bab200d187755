"""The estimator that builds a net and trains it, and the model that scores with it: what all stages share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from secrets import token_hex
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast, overload

import pyarrow as pa
from pyspark.ml.linalg import Vector, VectorUDT
from pyspark.ml.param import Param, Params
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import functions as sf
from pyspark.sql.types import DataType, DoubleType, StructField, StructType

from sparknet.compiler import compile
from sparknet.grammar import Diagnostic, Source, SparkNetError
from sparknet.ml import schema
from sparknet.ml.cutting import cut_cell, cut_column, cut_rows
from sparknet.ml.keywords import check_keywords, no_param
from sparknet.ml.origins import Origins, named
from sparknet.ml.params.columns import ColumnParams, FeatureParams, FitParams, FitSetters, RowParams, RowSetters
from sparknet.ml.params.training import TrainingParams, TrainingSetters
from sparknet.ml.persistence import Facts, StageReader, StageWriter, run_files
from sparknet.ml.scoring import Added, BatchScorer, Scorer, ScoreRows
from sparknet.ml.summary import TrainingSummary
from sparknet.runtime.encoding.binding import BoundPort, ambiguous, same_names
from sparknet.runtime.engines.base import OnnxRuntimeEngine
from sparknet.runtime.inference import Predictor, predictor
from sparknet.runtime.model import Model, train
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.cluster import make_ready
from sparknet.runtime.spark.columns import check_frame, folds_case, quoted, select_plain
from sparknet.runtime.training.checkpoints import are_in, place_of

if TYPE_CHECKING:
    import onnx
    from pyspark.ml._typing import ParamMap
    from pyspark.sql import Column, DataFrame

    from sparknet.compiler.compiled import CompiledNet

M = TypeVar("M", bound="FeatureModel")

ALIASES = {"inputCol": "featuresCol", "outputCol": "predictionCol", "numIterations": "maxIter"}
"""Other names of params, as constructors and `setParams` take them."""


class Stage(Params):
    """What estimators and models share: how params are given."""

    aliases: ClassVar[Mapping[str, str]] = ALIASES

    if TYPE_CHECKING:  # what `MLReadable` leaves open

        @classmethod
        def load(cls, path: str) -> Self:
            """The stage that was saved at a path."""

    def __new__(cls, *args: Any, **params: Any) -> Self:
        """A stage to be constructed; raises TypeError, with what there is, for a name that the constructor lacks."""
        check_keywords(cls, params)
        return super().__new__(cls)

    def setParams(self, **params: Any) -> Self:
        """Set params by their names; None leaves one as it is. Raises TypeError for a name that there is not."""
        for name, value in params.items():
            param = name if self.hasParam(name) else self.aliases.get(name, name)
            if not self.hasParam(param):
                own = [each.name for each in self.params]
                raise no_param(type(self), name, [*own, *(a for a, of in self.aliases.items() if of in own)])
            if param != name and params.get(param, value) != value:
                message = f"`{name}` is {value!r} and `{param}` is {params[param]!r}, but they are one param"
                raise problem("M0001", message, helps=["give one of the two"])
            if value is not None:
                self._set(**{param: value})
        return self

    def set(self, param: Param[Any], value: Any) -> None:
        """Set a param; raises TypeError, with the name of the param, for a value that it does not take."""
        try:
            super().set(param, value)
        except TypeError as error:
            raise TypeError(f'Invalid param value given for param "{param.name}". {error}') from error

    def _set(self, **params: Any) -> Self:
        """As pyspark's, but that a text of the language that does not read is shown under the name of the param."""
        for name, value in params.items():
            try:
                super()._set(**{name: value})
            except SparkNetError as error:
                error.diagnostics = [_under(name, found) for found in error.diagnostics]
                raise
        return self


def _under(param: str, found: Diagnostic) -> Diagnostic:
    labels = (replace(label, source=replace(label.source, name=param)) for label in found.labels)
    return replace(found, labels=tuple(labels))


# ----- estimators -----


@dataclass(frozen=True)
class Plan:
    """What a stage will train, and what the model is to know of it."""

    source: Source
    """The `.net` text."""
    facts: Facts
    origins: Origins
    rows: DataFrame | None = None
    """The rows as the net takes them, where these are not the rows as they are."""


class FeatureEstimator(Stage, TrainingSetters, FitSetters, FeatureParams, MLWritable, MLReadable[Any], Generic[M]):
    """Base of the estimators: checks, a net, its training."""

    model_class: ClassVar[type[FeatureModel]]
    _input_kwargs: dict[str, Any]

    if TYPE_CHECKING:  # what pyspark's own classes leave open

        @overload
        def fit(self, dataset: DataFrame, params: ParamMap | None = ...) -> M: ...

        @overload
        def fit(self, dataset: DataFrame, params: list[ParamMap] | tuple[ParamMap]) -> list[M]: ...

        def fit(self, dataset: DataFrame, params: Any = None) -> Any:
            """The model that the rows train; for a list of maps of params one model each."""

    @abstractmethod
    def _plan(self, dataset: DataFrame, validates: bool) -> Plan:
        """The net for the rows; `validates` says whether some are for validation. Raises SparkNetError."""

    def specFor(self, dataset: DataFrame) -> str:
        """The `.net` text of the net that `fit` would train on the rows: `sparknet.train` makes the same model of it.

        Raises SparkNetError for params and columns that do not fit.
        """
        return self._checked(dataset).source.text

    def _checked(self, dataset: DataFrame) -> Plan:
        """The plan, all checked that can be before a job starts."""
        indicator = self._indicator()
        if indicator is not None:
            schema.check_flag(schema.column(dataset, indicator, "validationIndicatorCol"), "validationIndicatorCol")
        elif self.getPatience() is not None:
            message = "`patience` goes by validation rows, but `validationIndicatorCol` is not set"
            raise problem(
                "M0001", message, helps=["name a boolean column that is true in them, or leave out `patience`"]
            )
        if self.isSet(self.checkpointInterval) and self.getCheckpointDir() is None:
            message = "`checkpointInterval` is set, but `checkpointDir`, where the checkpoints go, is not"
            raise problem("M0001", message, helps=["name a folder of the driver or a URI, or leave out both"])
        schema.check_new(dataset, added_columns(self))
        return self._plan(dataset, indicator is not None)

    def _features(self, dataset: DataFrame) -> StructField:
        """The column of the features."""
        return schema.column(dataset, self.getFeaturesCol(), "featuresCol")

    def _numbers(self, dataset: DataFrame) -> StructField:
        """The column of the features, which holds numbers."""
        field = self._features(dataset)
        schema.check_features(field, "featuresCol")
        return field

    def _indicator(self) -> str | None:
        return self.getValidationIndicatorCol() if self.isDefined(self.validationIndicatorCol) else None

    def _fit(self, dataset: DataFrame) -> M:
        plan = self._checked(dataset)
        try:
            trained = self._trained(plan, dataset)
        except SparkNetError as error:
            error.diagnostics = named(error, plan.source, self, plan.origins)
            raise
        model = self.model_class(trained, plan.facts)
        model._resetUid(self.uid)
        return cast(M, self._copyValues(model))

    def _trained(self, plan: Plan, dataset: DataFrame) -> Model:
        net = compile(plan.source)
        self._check_net(net)
        dataset = dataset if plan.rows is None else plan.rows
        rows, validation = dataset, None
        indicator = self._indicator()
        if indicator is not None:
            flag = sf.coalesce(quoted(indicator), sf.lit(False))
            rows, validation = dataset.filter(~flag), dataset.filter(flag)
        store = place_of(None, self.getCheckpointDir())
        resume = store is not None and are_in(store)
        return train(net, rows, validation=validation, checkpoints=self.getCheckpointDir(), resume=resume)

    def _check_net(self, net: CompiledNet) -> None:
        """Raise SparkNetError for params that do not fit the compiled net."""

    def write(self) -> MLWriter:
        """What saves the stage: `stage.write().overwrite().save(path)`."""
        return StageWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """What loads a stage: `CNNClassifier.read().load(path)`."""
        return StageReader(cls)


class NetEstimator(FeatureEstimator[M], RowSetters, ColumnParams):
    """Base of the estimators that learn labels."""

    def _label(self, dataset: DataFrame) -> StructField:
        """The column of the labels, which holds numbers."""
        field = schema.column(dataset, self.getLabelCol(), "labelCol")
        schema.check_number(field, "labelCol", "a number")
        return field

    def _check_net(self, net: CompiledNet) -> None:
        classes = net.targets[0].classes
        if classes is not None and self.hasParam("thresholds") and self.isDefined("thresholds"):
            schema.check_thresholds(self.getOrDefault("thresholds"), classes)

    def _weight(self, dataset: DataFrame) -> str | None:
        """The name of the column of the weights of rows, which holds numbers; None where all count alike."""
        if not self.isDefined(self.weightCol) or not self.getWeightCol():
            return None
        field = schema.column(dataset, self.getWeightCol(), "weightCol")
        schema.check_number(field, "weightCol", "a number")
        return field.name


# ----- models -----


_ADDED: Mapping[str, Added] = {
    "rawPredictionCol": "raw",
    "probabilityCol": "probability",
    "predictionCol": "prediction",
    "codeCol": "code",
    "reconstructionCol": "reconstruction",
    "errorCol": "error",
}


def added_columns(stage: Params) -> dict[str, str]:
    """The columns that a stage adds, by the params that name them, in Spark's order; an empty name adds none."""
    names = {param: stage.getOrDefault(param) for param in _ADDED if stage.hasParam(param)}
    return {param: name for param, name in names.items() if name}


def scored(
    dataset: DataFrame,
    found: Predictor,
    fields: Sequence[tuple[StructField, Added]],
    scorer: Callable[[Predictor], BatchScorer],
    cut: tuple[str, Column] | None = None,
) -> DataFrame:
    """The rows with new columns, `fields` and what each holds, computed when the result is used.

    `cut` is a column that the net reads in the place of the one of that name, which is kept as it is.

    The executors are seen to once a session. Raises SparkNetError for columns that `found` cannot read, for several of
    one name, and for executors that lack what scoring needs.
    """
    make_ready(dataset.sparkSession)
    check_frame(dataset, found.bound)
    kept = dataset.columns
    for name in kept:
        if len(same := same_names(name, kept, folds_case(dataset))) > 1:
            raise ambiguous(name, same)
    read, bound = dataset, found.bound
    if cut is not None:
        name, column = cut
        other = f"cut_{token_hex(8)}"
        read = dataset.withColumn(other, column)
        bound = tuple(replace(e, columns=(other,), shown=e.names) if e.columns == (name,) else e for e in bound)
    chosen, plain = select_plain(read, bound, kept)
    keeping = tuple((name, f"c{i}") for i, name in enumerate(kept))
    adding = tuple((field.name, holds) for field, holds in fields)
    rows = ScoreRows(scorer(replace(found, bound=plain)), keeping, adding)
    return chosen.mapInArrow(rows, StructType([*(dataset.schema[name] for name in kept), *(f for f, _ in fields)]))


def _fed(each: BoundPort) -> str:
    """The input that a port belongs to."""
    return (each.port.measures or each.port).name


class FeatureModel(Stage, TrainingParams, FitParams, FeatureParams, MLWritable, MLReadable[Any]):
    """Base of the models: a trained net that scores rows."""

    def __init__(self, trained: Model, facts: Facts) -> None:
        super().__init__()
        self.trained = trained
        """The net, as `sparknet.train` gives it."""
        self._facts = facts

    def __repr__(self) -> str:
        """As Spark's own models show themselves."""
        return f"{type(self).__name__}: uid={self.uid}, numFeatures={self.numFeatures}"

    @property
    def spec(self) -> str:
        """The `.net` text that the net was trained from; `sparknet.train(model.spec, rows)` gives the same one."""
        return self.trained.run.net

    @property
    def onnx(self) -> onnx.ModelProto:
        """The inference graph with the weights inside."""
        return self.trained.onnx

    @cached_property
    def summary(self) -> TrainingSummary:
        """How training went."""
        return TrainingSummary.of(self.trained)

    @property
    def numFeatures(self) -> int:
        """How many numbers a row of the features has, at most where their number varies."""
        size = 1
        for side in self.trained.run.manifest.inputs[0].shape:
            size *= side
        return size

    def evaluate(self, dataset: DataFrame) -> dict[str, float]:
        """Mean loss and metrics over the rows, which hold the labels too: `loss`, `accuracy` and so on."""
        if self._facts.longest is not None:
            for name in {name for each in predictor(self.trained.run).bound for name in each.columns}:
                dataset = cut_rows(dataset, schema.column(dataset, name, "featuresCol").name, self._facts.longest)
        return self.trained.evaluate(dataset)

    # ----- scoring -----

    def _scorer(self, found: Predictor) -> BatchScorer:
        """What scores batches."""
        return Scorer(found, OnnxRuntimeEngine())

    def _predictor(self) -> Predictor:
        """The net's, its features read from `featuresCol` as it is now."""
        found = predictor(self.trained.run)
        features = (self.getFeaturesCol(),)
        bound = (replace(each, columns=features) if _fed(each) in self._facts.fed else each for each in found.bound)
        return replace(found, bound=tuple(bound))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        found = self._predictor()
        added = added_columns(self)
        field = schema.column(dataset, self.getFeaturesCol(), "featuresCol")
        for each in found.bound:
            if _fed(each) in self._facts.fed and self._facts.longest is None:
                schema.check_size(field, each.port.type.size, "featuresCol")
        schema.check_new(dataset, added)
        fields = [(self._field(name, _ADDED[param]), _ADDED[param]) for param, name in added.items()]
        features, longest = self.getFeaturesCol(), self._facts.longest
        column = None if longest is None else cut_column(dataset, features, longest)
        return scored(dataset, found, fields, self._scorer, None if column is None else (features, column))

    def _field(self, name: str, added: Added) -> StructField:
        """A new column, with what is known of its numbers."""
        kind: DataType = DoubleType() if added in ("prediction", "error") else VectorUDT()
        return StructField(name, kind, True, self._metadata(added))

    def _metadata(self, added: Added) -> dict[str, Any]:
        return {}

    def _score(self, value: Any) -> Any:
        """The scores of one row of features."""
        scorer = self._scorer(self._predictor())
        cell = value.toArray().tolist() if isinstance(value, Vector) else value
        cell = bytes(cell) if isinstance(cell, bytes | bytearray) else cell
        array = pa.array([cell if self._facts.longest is None else cut_cell(cell, self._facts.longest)])
        return scorer.score(pa.RecordBatch.from_arrays([array], names=[self.getFeaturesCol()]))

    # ----- persistence -----

    def write(self) -> MLWriter:
        """What saves the model: `model.write().overwrite().save(path)`."""
        return StageWriter(self, run_files(self.trained), self._facts)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """What loads a model."""
        return StageReader(cls, trained=True)


class NetModel(FeatureModel, RowParams, ColumnParams):
    """Base of the models that predict."""

    def predict(self, value: Any) -> float:
        """What is predicted for one row: a vector, an array or bytes."""
        return float(self._score(value).prediction[0])
