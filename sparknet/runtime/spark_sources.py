"""The sources of `sources` as Spark DataFrames."""

from __future__ import annotations

import re
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from sparknet.compiler.sections import CsvSource, DigitsSource, ParquetSource
from sparknet.runtime.failures import first_cause
from sparknet.runtime.sources import Place, check_source, digits, is_remote, local_path, missing, unreadable


def file_url(path: Path, exact: bool = False) -> str:
    """A path on this machine as Hadoop takes it: nothing is percent-encoded, for Hadoop would not decode it.

    Where Spark looks for patterns in the path, as in all that it reads, it must be taken `exact`.
    """
    text = str(path.absolute())
    return "file://" + (re.sub(r"([\\\[\]{}*?])", r"\\\1", text) if exact else text)


def open_frame(spark: SparkSession, place: Place) -> DataFrame:
    """The rows of a source; raises SparkNetError where it is missing or not what it claims to be."""
    check_source(place)
    source = place.source
    if isinstance(source, DigitsSource):
        return spark.createDataFrame(digits())
    here = not is_remote(source.path) or source.path.startswith("file:///")
    path = file_url(local_path(place, source.path), exact=True) if here else source.path
    try:
        if isinstance(source, ParquetSource):
            return spark.read.parquet(path)
        if isinstance(source, CsvSource):
            return spark.read.csv(path, header=source.header, inferSchema=True)
        return spark.read.json(path)
    except Exception as error:
        if isinstance(error, AnalysisException) and error.getCondition() == "PATH_NOT_FOUND":
            raise missing(place, str(local_path(place, source.path)) if here else path) from error
        raise unreadable(place, path, first_cause(error)) from error  # pyspark lets some of Java's own through
