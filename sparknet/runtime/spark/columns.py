"""Columns of Spark's frames: by exact names, under plain ones, and held against what a net takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as sf

from sparknet.runtime.encoding.binding import BoundPort, all_columns, check_columns, check_types


def quoted(name: str) -> Column:
    """A column by its exact name, which may hold dots and backticks."""
    return sf.col("`" + name.replace("`", "``") + "`")


def select_plain(
    data: DataFrame, bound: Sequence[BoundPort], others: Sequence[str] = ()
) -> tuple[DataFrame, tuple[BoundPort, ...]]:
    """The bound columns and `others` under plain names `c0`, `c1`, ..., and the ports bound to those names.

    `mapInArrow` cannot take a column with a dot in its name. The places in the `.net` file are left out: workers need
    none, and each holds the whole text.
    """
    names = list(dict.fromkeys([*others, *all_columns(bound)]))
    plain = {name: f"c{i}" for i, name in enumerate(names)}
    chosen = data.select(*(quoted(name).alias(alias) for name, alias in plain.items()))
    return chosen, tuple(
        replace(
            each,
            columns=tuple(plain[name] for name in each.columns),
            beside=None if each.beside is None else plain[each.beside],
            label=None,
            shown=each.names,
        )
        for each in bound
    )


def folds_case(data: DataFrame) -> bool:
    """Whether the frame's session takes `X` and `x` for one column."""
    return data.sparkSession.conf.get("spark.sql.caseSensitive", "false") != "true"


def check_frame(data: DataFrame, bound: Sequence[BoundPort]) -> None:
    """Raise SparkNetError where a bound column is missing, there twice, or can never hold numbers."""
    check_types(bound, check_names(data, bound))


def check_names(data: DataFrame, bound: Sequence[BoundPort]) -> pa.Schema:
    """The schema of the bound columns; raises SparkNetError where one is missing or there twice."""
    from pyspark.sql.pandas.types import to_arrow_schema

    check_columns(bound, data.columns, folds_case(data))
    return to_arrow_schema(data.select(*map(quoted, all_columns(bound))).schema)
