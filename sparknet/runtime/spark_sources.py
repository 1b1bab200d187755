"""The sources of `sources` as Spark DataFrames."""

from __future__ import annotations

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from sparknet.compiler.sections import CsvSource, DigitsSource, ParquetSource
from sparknet.runtime.failures import first_cause
from sparknet.runtime.sources import Place, check_source, digits, is_remote, local_path, missing, unreadable


def open_frame(spark: SparkSession, place: Place) -> DataFrame:
    """The rows of a source; raises SparkNetError where it is missing or not what it claims to be."""
    check_source(place)
    source = place.source
    if isinstance(source, DigitsSource):
        return spark.createDataFrame(digits())
    path = source.path if is_remote(source.path) else local_path(place, source.path).absolute().as_uri()
    try:
        if isinstance(source, ParquetSource):
            return spark.read.parquet(path)
        if isinstance(source, CsvSource):
            return spark.read.csv(path, header=source.header, inferSchema=True)
        return spark.read.json(path)
    except Exception as error:
        if isinstance(error, AnalysisException) and error.getCondition() == "PATH_NOT_FOUND":
            raise missing(place, path) from error
        raise unreadable(place, path, first_cause(error)) from error  # pyspark lets some of Java's own through
