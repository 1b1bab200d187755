"""NetTransformer: a trained run folder, or a model that another library exported, as a transformer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql.types import StructField

from sparknet.compiler import compile
from sparknet.compiler.foreign.file import ForeignModel, ModelError
from sparknet.compiler.foreign.model import graph_of
from sparknet.compiler.foreign.reading import load_bytes, read_model
from sparknet.compiler.types import TensorType
from sparknet.grammar import Source, SparkNetError, write
from sparknet.grammar import construct as c
from sparknet.ml import schema
from sparknet.ml.base import Stage, scored
from sparknet.ml.params.columns import ColumnParams
from sparknet.ml.params.net import NetParams
from sparknet.ml.persistence import FOREIGN, StageReader, StageWriter, load_run, run_files
from sparknet.ml.scoring import Added, Doubles
from sparknet.runtime.encoding.binding import BoundPort
from sparknet.runtime.engines.base import Engine, OnnxRuntimeEngine
from sparknet.runtime.inference import FIRST, NewColumn, Predictor, Standing
from sparknet.runtime.model import Model, load
from sparknet.runtime.problems import problem

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Given:
    """What a model of another library gives for some rows, double[rows, numbers]."""

    numbers: Doubles

    def values(self, added: Added) -> Doubles:
        """The numbers, whatever is asked for."""
        return self.numbers


@dataclass(frozen=True)
class ForeignScorer:
    """A model of another library as it scores batches."""

    predictor: Predictor
    engine: Engine

    def score(self, batch: pa.RecordBatch, standing: Standing = FIRST) -> Given:
        """What it gives for a batch; raises SparkNetError for a row that does not fit."""
        (found,) = self.predictor.predict(batch, self.engine, standing)
        leaf = found.flatten() if pa.types.is_list(found.type) else found
        numbers: Doubles = np.asarray(leaf).astype(np.float64).reshape(len(found), -1)
        return Given(numbers)


class NetTransformer(Stage, NetParams, ColumnParams, Transformer, MLWritable, MLReadable[Any]):
    """A net that is there already: `path` is a run folder, or an ONNX file that another library wrote.

    A run folder reads the columns that it was trained on and adds those that `sparknet predict` adds:
    `NAME_predicted`, `NAME_probability` and so on. An ONNX file reads `featuresCol` and adds a vector, `predictionCol`:
    what `output` names, any value that the model computes, or its only output. A saved transformer holds the net, and
    needs `path` no more.
    """

    _input_kwargs: dict[str, Any]

    def setPath(self, value: str) -> Self:
        """Set the net: a run folder, or an ONNX file that another library wrote."""
        return self._set(path=value)

    def setPredictionCol(self, value: str) -> Self:
        """Set the column that an ONNX file adds."""
        return self._set(predictionCol=value)

    @keyword_only
    def __init__(
        self,
        *,
        path: str | None = None,
        featuresCol: str = "features",
        predictionCol: str = "prediction",
        inputCol: str | None = None,
        outputCol: str | None = None,
        inputShape: list[int] | None = None,
        output: str | None = None,
    ) -> None:
        super().__init__()
        self._held: tuple[str | None, Model | bytes] | None = None
        self.setParams(**self._input_kwargs)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        net = self._net()
        return net.transform(dataset) if isinstance(net, Model) else self._foreign(net, dataset)

    def _net(self) -> Model | bytes:
        """The net of `path`, read once; of a transformer that was loaded the one that it was saved with."""
        path = self.getPath()
        if self._held is None or self._held[0] != path:
            if path is None:
                raise problem("M0001", "`path` is not set", helps=['write `NetTransformer(path="runs/digits")`'])
            self._held = path, load(path) if Path(path).is_dir() else _foreign_bytes(Path(path))
        return self._held[1]

    # ----- models of other libraries -----

    def _foreign(self, data: bytes, dataset: DataFrame) -> DataFrame:
        field = schema.column(dataset, self.getFeaturesCol(), "featuresCol")
        schema.check_features(field, "featuresCol")
        found = self._predictor(data)
        size = found.bound[0].port.type.size
        said = schema.said_size(field)
        if said is not None and said != size:
            message = f"a row of `{field.name}` has {said:,} numbers; the model takes {size:,}"
            raise problem("M0002", message, helps=["`inputShape` says how many it takes where the file leaves it open"])
        name = self.getPredictionCol()
        schema.check_new(dataset, {"predictionCol": name})
        fields: list[tuple[StructField, Added]] = [(StructField(name, VectorUDT()), "prediction")]
        return scored(dataset, found, fields, lambda plain: ForeignScorer(plain, OnnxRuntimeEngine()))

    def _predictor(self, data: bytes) -> Predictor:
        """The model in our own operators, so that what runs is what we have written."""
        try:
            model = read_model(data)
            shape = tuple(self.getInputShape() or _input_shape(model))
            size = graph_of(model, self.getOutput(), TensorType("float32", shape)).result.size
        except ModelError as error:
            raise _unusable(error) from error
        options: dict[str, Any] = {"frozen": True}
        if self.getOutput() is not None:
            options["output"] = self.getOutput()
        layers = c.chain(c.layer("onnx", FOREIGN, **options), "flatten")
        text = write(c.file(c.net("Foreign", c.input("x", "float", *shape), layers, c.output("y", "float", size))))
        with TemporaryDirectory(prefix="sparknet-") as folder:
            Path(folder, FOREIGN).write_bytes(data)
            net = compile(Source("NetTransformer", text, Path(folder)))
        inference = net.inference(net.initial_parameters()).SerializeToString(deterministic=True)
        bound = (BoundPort(net.inputs[0], (self.getFeaturesCol(),)),)
        return Predictor(inference, bound, (NewColumn("y", "floats" if size > 1 else "float", "y"),))

    # ----- persistence -----

    def write(self) -> MLWriter:
        """What saves the transformer, its net included."""
        net = self._net()
        return StageWriter(self, run_files(net) if isinstance(net, Model) else {FOREIGN: net})

    @classmethod
    def read(cls) -> MLReader[Any]:
        """What loads a transformer."""
        return StageReader(cls, holds=cls._hold)

    def _hold(self, folder: Path) -> None:
        """Take the net whose files a saved transformer held."""
        foreign = folder / FOREIGN
        self._held = self.getPath(), _foreign_bytes(foreign) if foreign.exists() else load_run(folder)


def _foreign_bytes(path: Path) -> bytes:
    try:
        return load_bytes(path)
    except ModelError as error:
        raise _unusable(error) from error
    except OSError as error:
        message = f"`{path}` cannot be read: {error.strerror or error}"
        raise problem("M0002", message, helps=["name a run folder, or an ONNX file"]) from error


def _unusable(error: ModelError) -> SparkNetError:
    return problem("M0002", f"the model cannot be used: {error.message}", helps=[error.help] if error.help else [])


def _input_shape(model: ForeignModel) -> tuple[int, ...]:
    """The shape of a row, as the only input says it; raises ModelError."""
    graph = model.proto.graph
    held = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in held]
    sizes = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim[1:]] if len(inputs) == 1 else []
    if not sizes or min(sizes) < 1:
        raise ModelError("it does not say how many numbers a row has", "say it by `inputShape`")
    return tuple(sizes)
