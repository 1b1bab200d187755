"""`ImageFeature`: images of any kind and size as pixels of one size, for the nets of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import TaskContext, keyword_only
from pyspark.ml import Transformer
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import functions as sf
from pyspark.sql.pandas.functions import arrow_udf
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    NumericType,
    StringType,
    StructField,
    StructType,
)

from sparknet.ml.base import Stage
from sparknet.ml.params.image import ImageParams, Invalid
from sparknet.ml.persistence import StageReader, StageWriter
from sparknet.ml.schema import SHAPE, check_new, column
from sparknet.runtime.encoding.binding import DECODED
from sparknet.runtime.encoding.images import Frame, ResizeFilter, ResizeMode
from sparknet.runtime.encoding.pictures import IMAGE_FIELDS, PictureReader
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.cluster import make_ready
from sparknet.runtime.spark.columns import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_LONGEST_PATH = 300
"""Characters of a path that a message shows, from its end."""

_READ = StructType([StructField("pixels", BinaryType()), StructField("error", StringType())])


class ImageFeature(Stage, ImageParams, HasInputCol, HasOutputCol, Transformer, MLWritable, MLReadable[Any]):
    """Images as the features of a net: decoded, turned upright, resized.

    The input is Spark's image source, the bytes of files (JPEG, PNG, GIF, BMP, WebP, TIFF) as `binaryFile` reads them,
    paths of files that the workers can open, or numbers: arrays `[height][width]`, `[height][width][channels]` or
    `[channels][height][width]`, or with `inputShape` flat arrays, vectors and raw bytes.

    The output is a binary column, a byte for each number, channel by channel, red first, row by row; its metadata
    say `{"sparknet": {"shape": [channels, height, width]}}`. Transparency is left out, 16 bits become 8.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str = "image",
        outputCol: str = "features",
        rgb: bool = True,
        size: int | list[int] | tuple[int, int] = 224,
        resizeMode: ResizeMode = "stretch",
        resizeFilter: ResizeFilter = "bilinear",
        handleInvalid: Invalid = "error",
        errorCol: str | None = None,
        inputShape: list[int] | tuple[int, ...] | None = None,
        maxValue: float = 255,
    ) -> None:
        super().__init__()
        self._setDefault(inputCol="image", outputCol="features")
        self.setParams(**self._input_kwargs)

    def setInputCol(self, value: str) -> Self:
        """Set the column of the images."""
        return self._set(inputCol=value)

    def setOutputCol(self, value: str) -> Self:
        """Set the new column of the pixels."""
        return self._set(outputCol=value)

    # ----- checks before a job -----

    def _check(self, dataset: DataFrame) -> None:
        """Raise SparkNetError for columns that do not fit."""
        field = column(dataset, self.getInputCol(), "inputCol")
        fault = self._fault(field.dataType)
        if fault is not None:
            message, *helps = fault
            found = f"column `{field.name}`, which `inputCol` names, is of type {field.dataType.simpleString()}"
            raise problem("R0013", f"{found}; {message}", helps=helps)
        new = {"outputCol": self.getOutputCol(), "errorCol": self.getErrorCol()}
        check_new(dataset, {param: name for param, name in new.items() if name is not None})

    def _fault(self, kind: DataType) -> tuple[str, ...] | None:
        """Why a column of this type holds no images, and what to do about it."""
        depth = 0
        while isinstance(kind, ArrayType):
            kind, depth = kind.elementType, depth + 1
        numbers = isinstance(kind, NumericType | BooleanType)
        if depth == 0 and isinstance(kind, BinaryType | StringType):
            return None
        if depth == 0 and isinstance(kind, StructType) and kind.names == IMAGE_FIELDS:
            return None
        if (depth == 0 and isinstance(kind, VectorUDT)) or (depth == 1 and numbers):
            if self.getInputShape() is not None:
                return None
            return "how the numbers make an image is not said", "say it, for instance `inputShape=[28, 28]`"
        if depth in (2, 3) and numbers:
            return None
        return ("it must hold images: Spark's image source, the bytes of files, paths or arrays of numbers",)

    # ----- the work -----

    def _reader(self) -> PictureReader:
        size, shape = self.getSize(), self.getInputShape()
        height, width = size if isinstance(size, list) else (size, size)
        mode: Any = self.getResizeMode()
        by: Any = self.getResizeFilter()
        frame = Frame(3 if self.getRgb() else 1, height, width, mode, by)
        return PictureReader(frame, None if shape is None else tuple(shape), self.getMaxValue())

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self._check(dataset)
        make_ready(dataset.sparkSession)
        reader, invalid = self._reader(), self.getHandleInvalid()
        decode = _reading(reader, self.getInputCol(), invalid == "error")
        read = cast(Any, arrow_udf)(decode, _READ)
        if invalid == "skip":  # else Spark would read an image once to see whether to skip it and once to have it
            read = read.asNondeterministic()
        found = f"{self.uid}_read"
        rows = dataset.withColumn(found, read(quoted(self.getInputCol()), self._beside(dataset)))
        if invalid == "skip":
            rows = rows.filter(quoted(found)["error"].isNull())
        frame = reader.frame
        metadata = {SHAPE: {"shape": [frame.channels, frame.height, frame.width]}}
        added = [quoted(found)["pixels"].alias(self.getOutputCol(), metadata=metadata)]
        error = self.getErrorCol()
        if error is not None:
            added.append(quoted(found)["error"].alias(error))
        return rows.select("*", *added).drop(found)

    def _beside(self, dataset: DataFrame) -> Column:
        """What tells a user which file a row is: the column `path`, as `binaryFile` has it, where there is one."""
        name = self.getInputCol()
        if isinstance(dataset.schema[name].dataType, StructType):
            return quoted(name)["origin"]
        if isinstance(dataset.schema[name].dataType, StringType):
            return quoted(name)
        return quoted("path").cast("string") if dataset.columns.count("path") == 1 else sf.lit(None).cast("string")

    # ----- persistence -----

    def write(self) -> MLWriter:
        """What saves the stage: `stage.write().overwrite().save(path)`."""
        return StageWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """What loads the stage: `ImageFeature.read().load(path)`."""
        return StageReader(cls)


def _reading(
    reader: PictureReader, name: str, fails: bool
) -> Callable[[Iterator[tuple[pa.Array, pa.Array]]], Iterator[pa.Array]]:
    """What a worker does: images and their paths to `_READ`, an image a row.

    Where it `fails`, it raises SparkNetError for a row without an image, column `name` being that of the images.
    """
    most = max(1, DECODED // reader.frame.size)

    def read(batches: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        before = 0
        for images, paths in batches:
            for start in range(0, len(images), most):
                pixels, reasons = reader.read(images.slice(start, most))
                if fails:
                    _check_rows(reasons, before, name, paths.slice(start, most))
                before += len(reasons)
                yield _result(pixels, reasons)

    return read


def _result(pixels: NDArray[np.uint8], reasons: Sequence[str | None]) -> pa.Array:
    rows, size = pixels.shape
    offsets = pa.py_buffer(np.arange(rows + 1, dtype=np.int32) * np.int32(size))
    there = pa.array([reason is None for reason in reasons])
    errors = pa.array(reasons, pa.string())
    data = pa.Array.from_buffers(pa.binary(), rows, [there.buffers()[1], offsets, pa.py_buffer(pixels)])
    return pa.StructArray.from_arrays([data, errors], names=_READ.names)


def _check_rows(reasons: Sequence[str | None], before: int, name: str, paths: pa.Array) -> None:
    first = next((row for row, reason in enumerate(reasons) if reason is not None), None)
    if first is None:
        return
    context = TaskContext.get()
    where = "" if context is None else f" of partition {context.partitionId()}"
    path = f" ({paths[first].as_py()[-_LONGEST_PATH:]!r})" if paths[first].is_valid else ""
    raise problem(
        "R0028",
        f"row {before + first + 1:,}{where} of column `{name}` {reasons[first]}{path}",
        helps=['`handleInvalid="skip"` leaves such rows out, `"keep"` gives null; `errorCol` says why'],
    )
