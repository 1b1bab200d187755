"""CSV on Spark by the rules of `csv_files`: all fields as texts, then the first type that all of a column's are of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame, DataFrameReader
from pyspark.sql import functions as sf

from sparknet.compiler.sources import CsvSource
from sparknet.runtime.sources.csv_files import joined_kind, kinds_of
from sparknet.runtime.sources.lines import FormatError

_TYPES = ("boolean", "bigint", "double")
"""Those of `csv_files.KINDS` that are not texts."""
_KINDS_SCHEMA = "kinds array<int>"


def read_csv(reader: DataFrameReader, source: CsvSource, url: str, checked: bool) -> DataFrame:
    """The rows of CSV files; raises FormatError, or what Spark raises, for files that hold none.

    `checked` says that all files are known to have the same header; Spark's check takes no empty names.
    """
    options: dict[str, str | bool] = {
        "header": source.header,
        "sep": source.separator,
        "quote": source.quote,
        "escape": source.quote,  # a quote in a quoted text is written twice
        "nullValue": source.null,
        "mode": "FAILFAST",  # a row with more or fewer fields is an error, also where its columns are not asked for
        "columnPruning": False,
        "enforceSchema": checked,
    }
    for name, value in options.items():
        reader = reader.option(name, value)
    frame = reader.csv(url)
    if not frame.columns:
        raise FormatError("it is empty")
    if any("\ufffd" in name for name in frame.columns):
        raise FormatError("it is not UTF-8 text")
    plain = frame.toDF(*(f"c{i}" for i in range(len(frame.columns))))
    texts = plain.select(*(sf.when(sf.col(name) != "", sf.col(name)).alias(name) for name in plain.columns))
    parts = texts.mapInArrow(FieldKinds(), _KINDS_SCHEMA).toArrow().column("kinds").to_pylist()
    kinds = reduce(lambda a, b: list(map(joined_kind, a, b)), parts, [-1] * len(plain.columns))
    return texts.select(
        *(_typed(text, kind).alias(name) for name, text, kind in zip(frame.columns, texts.columns, kinds, strict=True))
    )


@dataclass(frozen=True)
class FieldKinds:
    """The kinds of the columns of a partition, whose fields are texts; `csv_files` has the rules."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row, or none for a partition without rows."""
        kinds: list[int] | None = None
        for batch in batches:
            kinds = kinds_of(batch, kinds or [-1] * batch.num_columns)
        if kinds is not None:
            yield pa.RecordBatch.from_pydict({"kinds": pa.array([kinds], pa.list_(pa.int32()))})


def _typed(text: str, kind: int) -> Column:
    if kind == len(_TYPES):
        return sf.col(text)
    return sf.btrim(sf.col(text), sf.lit(" \t")).cast(_TYPES[kind])  # nulls alone are numbers, as the last type is
