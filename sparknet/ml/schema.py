"""What a stage checks and finds out about a DataFrame before a job starts: columns, types, metadata, sizes, classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as sf
from pyspark.sql.types import ArrayType, BinaryType, BooleanType, DataType, NumericType, StringType, StructField

from sparknet.grammar.diagnostics import Diagnostic, SparkNetError
from sparknet.grammar.suggest import closest
from sparknet.runtime.problems import listing, problem
from sparknet.runtime.sources.frames import is_spark
from sparknet.runtime.spark.columns import folds_case, quoted
from sparknet.runtime.spark.jobs import few_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SHAPE = "sparknet"
"""The key of a column's metadata that says `{"shape": [channels, height, width]}` of the numbers of a row."""


@dataclass(frozen=True)
class Features:
    """A column of features: `size` numbers in each row, `shape` where the column says how they lie."""

    size: int
    shape: tuple[int, ...] | None
    raw: bool
    """Whether they are bytes, 0 to 255."""


@dataclass(frozen=True)
class Labels:
    """The classes of a label column, `names` where its metadata have them."""

    classes: int
    names: tuple[str, ...] | None


# ----- columns -----


def column(data: DataFrame, name: str, param: str) -> StructField:
    """The field of a column that a param names; raises SparkNetError where the data has none of that name."""
    check_spark(data)
    known = data.columns
    if name in known:
        return data.schema[name]
    near = closest(name, known)
    helps = [f"did you mean `{near}`?"] if near else []
    raise problem(
        "R0002",
        f"the data has no column `{name}`, which `{param}` names",
        notes=[f"columns of the data: {listing(known)}"],
        helps=[*helps, f"`set{param[0].upper()}{param[1:]}` names another one"],
    )


def check_spark(data: object) -> None:
    """Raise SparkNetError for rows that are no DataFrame of Spark."""
    if not is_spark(data):
        message = f"a stage takes a DataFrame of Spark, found one of {type(data).__module__.partition('.')[0]}"
        helps = [
            "`spark.createDataFrame(data)` makes one",
            "`sparknet.train` takes frames of pandas and tables of Arrow",
        ]
        raise problem("M0001", message, helps=helps)


def check_new(data: DataFrame, names: Mapping[str, str]) -> None:
    """Raise SparkNetError where a column that a stage adds is there already, or would be twice; `names` by param."""
    check_spark(data)
    fold = str.lower if folds_case(data) else str
    found: list[Diagnostic] = []
    seen = {fold(name): "" for name in data.columns}
    for param, name in names.items():
        if fold(name) in seen:
            other = seen[fold(name)]
            message = f"the data has a column `{name}` already, which `{param}` names"
            if other:
                message = f"`{param}` and `{other}` both name the column `{name}`"
            helps = [f"name another one with `set{param[0].upper()}{param[1:]}`"]
            if not other:
                helps.append(f'or leave the column out: `data.drop("{name}")`')
            found.extend(problem("R0051", message, helps=helps).diagnostics)
        seen[fold(name)] = param
    if found:
        raise SparkNetError(tuple(found))


def check_number(field: StructField, param: str, use: str) -> None:
    """Raise SparkNetError for a column whose rows are not one number each."""
    if not isinstance(field.dataType, NumericType | BooleanType):
        helps = []
        if param == "labelCol" and field.dataType.typeName() == "string":
            helps = [f'`StringIndexer(inputCol="{field.name}", outputCol="...")` makes numbers of texts']
        refuse(field, param, use, helps)


def check_flag(field: StructField, param: str) -> None:
    """Raise SparkNetError for a column that is not true or false."""
    if not isinstance(field.dataType, BooleanType):
        helps = [f'`data.withColumn("{field.name}", ...)` with a comparison makes one']
        refuse(field, param, "true or false", helps)


def check_features(field: StructField, param: str) -> None:
    """Raise SparkNetError for a column that cannot hold features."""
    if not holds_numbers(field.dataType):
        helps = ["`VectorAssembler` makes a vector of columns of numbers"]
        refuse(field, param, "a vector, an array of numbers or bytes", helps)


def holds_numbers(kind: DataType) -> bool:
    """Whether a row of a column of this type is one or several numbers."""
    while isinstance(kind, ArrayType):
        kind = kind.elementType
    return isinstance(kind, VectorUDT | BinaryType | NumericType | BooleanType)


def holds_words(kind: DataType) -> bool:
    """Whether a row of a column of this type is a text or a list of texts, as `Tokenizer` makes it."""
    return isinstance(kind.elementType if isinstance(kind, ArrayType) else kind, StringType)


def refuse(field: StructField, param: str, wanted: str, helps: Iterable[str] = ()) -> NoReturn:
    """Raise SparkNetError for a column of another type than a stage takes."""
    found = field.dataType.simpleString()
    message = f"column `{field.name}`, which `{param}` names, is of type {found}; it must be {wanted}"
    raise problem("R0013", message, helps=list(helps))


# ----- what columns say -----


def features(data: DataFrame, field: StructField) -> Features:
    """How many numbers a row of a column has: by its metadata, else by the first row."""
    shape = _shape(field)
    size = said_size(field) if shape is None else _product(shape)
    if size is None:
        size = _first_size(data, field)
    return Features(size, shape, isinstance(field.dataType, BinaryType))


def _shape(field: StructField) -> tuple[int, ...] | None:
    said = field.metadata.get(SHAPE)
    shape = said.get("shape") if isinstance(said, dict) else None
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size > 0 for size in shape):
        return None
    return tuple(shape)


def said_size(field: StructField) -> int | None:
    """How many numbers a row has, as `VectorAssembler` and the libsvm source say it; None where nothing says it."""
    attributes = field.metadata.get("ml_attr")
    said = attributes.get("num_attrs") if isinstance(attributes, dict) else field.metadata.get("numFeatures")
    return said if type(said) is int and said > 0 else None


def _first_size(data: DataFrame, field: StructField) -> int:
    first = data.select(quoted(field.name)).filter(quoted(field.name).isNotNull()).limit(1)
    rows = few_rows(first, f"looking at `{field.name}`")
    if not rows:
        raise problem("R0020", f"the data holds no rows with a value in `{field.name}`")
    return count(rows[0][0])


def count(cell: Any) -> int:
    """How many numbers a cell holds."""
    if isinstance(cell, list):
        return sum(map(count, cell))
    return len(cell) if hasattr(cell, "__len__") else 1


def _product(shape: Iterable[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def labels(data: DataFrame, field: StructField) -> Labels:
    """The classes of a label column: by its metadata, as `StringIndexer` writes them, else by its largest number."""
    said = said_labels(field)
    if said is not None:
        return said
    name = quoted(field.name)
    ends = data.agg(sf.max(name.cast("double")), sf.min(name.cast("double")))
    (row,) = few_rows(ends, f"looking at the labels in `{field.name}`")
    if row[0] is None:
        raise problem("R0020", f"the data holds no rows with a value in `{field.name}`")
    if row[1] < 0 or not float(row[0]).is_integer() or row[0] >= 2**31:
        found = row[1] if row[1] < 0 else row[0]
        raise problem(
            "M0003",
            f"column `{field.name}` holds {found:g}; labels are whole numbers from 0 on",
            helps=[f'`StringIndexer(inputCol="{field.name}", outputCol="...")` gives each label a number'],
        )
    return Labels(max(2, int(row[0]) + 1), None)


def said_labels(field: StructField) -> Labels | None:
    """The classes that a column's metadata say."""
    said = field.metadata.get("ml_attr")
    if not isinstance(said, dict) or said.get("type") not in ("nominal", "binary"):
        return None
    names, count = said.get("vals"), said.get("num_vals")
    if isinstance(names, list) and names:
        return Labels(max(2, len(names)), tuple(map(str, names)))
    if said["type"] == "binary":
        return Labels(2, None)
    return Labels(max(2, count), None) if type(count) is int and count > 0 else None


def check_size(field: StructField, size: int, param: str) -> None:
    """Raise SparkNetError for a column that says that a row has another number of numbers than the net takes."""
    said = said_size(field)
    if isinstance(field.dataType, VectorUDT) and said is not None and said != size:
        message = f"a row of `{field.name}`, which `{param}` names, has {said:,} numbers; the model takes {size:,}"
        raise problem("M0002", message, helps=["give it the features that it was trained on, in the same order"])


def check_thresholds(thresholds: Sequence[float] | None, classes: int) -> None:
    """Raise SparkNetError where there is not one threshold for each class, at most one of them 0."""
    if thresholds is None:
        return
    helps = ["one for each class: the class with the largest probability / threshold is predicted"]
    if len(thresholds) != classes:
        message = f"`thresholds` has {len(thresholds)} numbers, but there are {classes} classes"
        raise problem("M0001", message, helps=helps)
    if min(thresholds) < 0 or sum(threshold == 0 for threshold in thresholds) > 1:
        message = f"`thresholds` must be positive, at most one of them 0, found {list(thresholds)}"
        raise problem("M0001", message, helps=helps)
