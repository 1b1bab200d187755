"""The nets of the recurrent stages: how sequences lie in a column, and what reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as sf
from pyspark.sql.types import ArrayType, DataType, IntegralType, NumericType

from sparknet.grammar import construct as c
from sparknet.grammar import syntax
from sparknet.ml import schema
from sparknet.ml.nets import Task, column_binding, word_binding
from sparknet.ml.persistence import Longest
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.columns import quoted
from sparknet.runtime.spark.jobs import few_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructField

    from sparknet.ml.params.sequence import SequenceParams

_WORDS = 100
"""Words of a text that are read unless `sequenceLength` says how many."""


@dataclass(frozen=True)
class Sequence:
    """An input of sequences, what feeds it, and whether its steps are tokens."""

    input: syntax.Input
    binding: syntax.Expr
    tokens: bool
    longest: Longest | None = None
    """Where rows are cut; None where they are all of one length."""
    cuts: bool = False
    """Whether some of the rows are longer."""


def sequence(dataset: DataFrame, field: StructField, stage: SequenceParams, standardized: bool) -> Sequence:
    """How the sequences of a column are read; raises SparkNetError for a column that holds none.

    A text or an array of texts is a sequence of words; a vector and a flat array one of steps of `featureWidth`
    numbers; an array of arrays one of the steps that it holds; an array of whole numbers one of tokens, if
    `vocabularySize` is set. Arrays may differ in length, and those longer than the net takes are cut at their end.
    """
    kind, length = field.dataType, stage.getSequenceLength()
    if schema.holds_words(kind):
        return Sequence(_tokens(length or _WORDS, stage.getVocabularySize()), word_binding(field.name), True)
    tokens = isinstance(kind, ArrayType) and isinstance(kind.elementType, IntegralType)
    if tokens and stage.isSet(stage.vocabularySize):
        _, most = _lengths(dataset, field)
        steps = length or most
        made, longest = _tokens(steps, stage.getVocabularySize()), Longest(steps=steps, numbers=steps)
        return Sequence(made, column_binding(field.name, False), True, longest, most > steps)
    _check(field)
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, ArrayType | VectorUDT):
        width = _width(dataset, field, stage.getFeatureWidth())
        least, most = _lengths(dataset, field)
    else:
        width = stage.getFeatureWidth() or 1
        least, most = _flat(dataset, field, width)
    varies = least != most or (length is not None and length != most)
    options = {"variable": True} if varies else {}
    steps = length or most
    cut_at = Longest(steps=steps, numbers=steps * width) if varies else None
    numbers = c.input("sequence", "float", steps, width, **options)
    return Sequence(numbers, column_binding(field.name, standardized), False, cut_at, most > steps)


def _tokens(length: int, vocabulary: int) -> syntax.Input:
    return c.input("sequence", "token", length, vocabulary=vocabulary, variable=True)


def _check(field: StructField) -> None:
    kind: DataType = field.dataType
    if isinstance(kind, NumericType) or not schema.holds_numbers(kind):
        schema.refuse(field, "featuresCol", "a vector, an array of numbers, of arrays or of words, or a text")


def _lengths(dataset: DataFrame, field: StructField) -> tuple[int, int]:
    """The least and the most elements of the arrays of a column."""
    size = sf.size(quoted(field.name))
    ends = dataset.filter(quoted(field.name).isNotNull()).agg(sf.min(size), sf.max(size))
    (row,) = few_rows(ends, f"looking at the lengths in `{field.name}`")
    if not row[1]:
        raise problem("R0020", f"the data holds no rows with a value in `{field.name}`")
    return row[0], row[1]


def _flat(dataset: DataFrame, field: StructField, width: int) -> tuple[int, int]:
    """The least and the most steps of `width` numbers of a flat column."""
    if isinstance(field.dataType, ArrayType):
        least, most = _lengths(dataset, field)
    else:
        least = most = schema.features(dataset, field).size
    if least % width or most % width:
        found = least if least % width else most
        message = f"a row of `{field.name}` has {found:,} numbers, which make no whole steps of {width:,}"
        raise problem("M0002", message, helps=["`featureWidth` says how many numbers a step has"])
    return least // width, most // width


def _width(dataset: DataFrame, field: StructField, asked: int | None) -> int:
    """The numbers of a step of a column of arrays of arrays, by its first one."""
    name = quoted(field.name)
    first = dataset.filter(sf.size(name) > 0).select(sf.get(name, sf.lit(0))).limit(1)
    rows = few_rows(first, f"looking at `{field.name}`")
    if not rows:
        raise problem("R0020", f"the data holds no rows with a step in `{field.name}`")
    found = schema.count(rows[0][0])
    if asked is not None and asked != found:
        message = f"`featureWidth` is {asked:,}, but a step of `{field.name}` has {found:,} numbers"
        raise problem("M0002", message, helps=["leave `featureWidth` out: the column says it"])
    return found


def recurrent(read: Sequence, stage: SequenceParams, task: Task) -> list[syntax.Statement]:
    """The body of a recurrent net."""
    options: dict[str, int | bool] = {}
    if stage.getNumLayers() > 1:
        options["layers"] = stage.getNumLayers()
    if stage.getBidirectional():
        options["bidirectional"] = True
    layers: list[syntax.Call] = [c.layer("embedding", stage.getEmbeddingSize())] if read.tokens else []
    layers.append(c.layer(stage.getCell(), stage.getHiddenLayerSize(), **options))
    layers.append(c.layer("dense", task.classes or 1))
    return [read.input, c.chain(*layers), task.output()]
