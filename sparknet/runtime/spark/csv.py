"""CSV on Spark by the rules of `csv_files`: all fields as texts, then the first type that all of a column's are of."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, DataFrameReader
from pyspark.sql import functions as sf

from sparknet.compiler.sources import CsvSource
from sparknet.runtime.sources.lines import FormatError

_NUMBER = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$"
_WORDS = ("nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")
_BOOLS = ("true", "True", "TRUE", "false", "False", "FALSE")

_TYPES = ("boolean", "bigint", "double")


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
    texts = [sf.when(sf.col(name) != "", sf.col(name)) for name in plain.columns]
    tests = [_tests(text) for text in texts]
    flags = [sf.every(test).alias(f"{i}_{kind}") for i, each in enumerate(tests) for kind, test in enumerate(each)]
    (found,) = plain.select(*flags).toArrow().to_pylist()
    columns = []
    for index, (name, text) in enumerate(zip(frame.columns, texts, strict=True)):
        fits = [found[f"{index}_{kind}"] for kind in range(len(_TYPES))]
        # Of a column of nulls alone, every test is null.
        kind = "double" if fits[-1] is None else next((k for k, fit in zip(_TYPES, fits, strict=True) if fit), "string")
        typed = text if kind == "string" else sf.btrim(text, sf.lit(" \t")).cast(kind)
        columns.append(typed.alias(name))
    return plain.select(*columns)


def _tests(text: Column) -> tuple[Column, Column, Column]:
    """Whether a field is a boolean, a whole number of 64 bits, a number; null for null."""
    trimmed = sf.btrim(text, sf.lit(" \t"))
    whole = trimmed.rlike("^-?[0-9]+$") & trimmed.try_cast("bigint").isNotNull()
    number = trimmed.rlike(_NUMBER) | sf.lower(trimmed).isin(*_WORDS)
    return text.isin(*_BOOLS), sf.when(text.isNotNull(), whole), number
