"""Sequences longer than a net takes, cut at their end as texts are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as sf
from pyspark.sql.types import ArrayType, BinaryType, DataType

from sparknet.runtime.spark.columns import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparknet.ml.persistence import Longest


def cut_column(dataset: DataFrame, name: str, longest: Longest) -> Column | None:
    """The first steps of each row of a column, as many as the net takes; None for texts, which the net's words cut."""
    kind, column = dataset.schema[name].dataType, quoted(name)
    if isinstance(kind, ArrayType):
        return sf.slice(column, 1, longest.steps if _nested(kind) else longest.numbers)
    if isinstance(kind, VectorUDT):
        return sf.slice(vector_to_array(column), 1, longest.numbers)
    return sf.substring(column, 1, longest.numbers) if isinstance(kind, BinaryType) else None


def cut_rows(dataset: DataFrame, name: str, longest: Longest) -> DataFrame:
    """The rows with a column cut in its place."""
    column = cut_column(dataset, name, longest)
    return dataset if column is None else dataset.withColumn(name, column)


def cut_cell(cell: Any, longest: Longest) -> Any:
    """One row of features cut; a text stays as it is."""
    if not isinstance(cell, list | bytes):
        return cell
    nested = isinstance(cell, list) and bool(cell) and hasattr(cell[0], "__len__")
    return cell[: longest.steps if nested else longest.numbers]


def _nested(kind: ArrayType) -> bool:
    element: DataType = kind.elementType
    return isinstance(element, ArrayType | VectorUDT)
