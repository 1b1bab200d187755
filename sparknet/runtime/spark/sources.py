"""The sources of `sources.places` as Spark DataFrames."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as sf

from sparknet.compiler.sources import (
    BuiltInSource,
    CsvSource,
    FileSource,
    JsonSource,
    LibsvmSource,
    MediaSource,
    OrcSource,
    ParquetSource,
    TableSource,
    TextSource,
)
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.failures import first_cause, has_ended
from sparknet.runtime.problems import problem
from sparknet.runtime.sources.builtin import read_built_in
from sparknet.runtime.sources.lines import FormatError, check_encoding
from sparknet.runtime.sources.places import Place, check_source, data_files, is_here, local_path, missing
from sparknet.runtime.sources.readers import MEDIA_BYTES, Files, check_headers, media_files, unreadable
from sparknet.runtime.spark.csv import read_csv


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
    if isinstance(source, BuiltInSource):
        return spark.createDataFrame(read_built_in(source.name))
    if isinstance(source, TableSource):
        return _table(spark, place, source.table)
    source = cast(FileSource, source)
    path = source.path
    if is_here(source):
        path = str(local_path(place, source.path))
        _check_files(place, source)
    url = file_url(Path(path), exact=True) if is_here(source) else path
    reader = spark.read.option("recursiveFileLookup", True)
    kind = next(kind for kind in _READERS if isinstance(source, kind))
    try:
        return _READERS[kind](reader, source, url)
    except FormatError as error:
        raise unreadable(source, place.label, path, error) from error
    except Exception as error:
        if isinstance(error, AnalysisException) and error.getCondition() == "PATH_NOT_FOUND":
            raise _unseen(place, path) if is_here(source) else missing(place, path) from error
        if has_ended(error):
            raise
        # pyspark lets some of Java's own through
        raise unreadable(source, place.label, path, first_cause(error)) from error


def _unseen(place: Place, path: str) -> SparkNetError:
    """The source is on this machine, and Spark runs on others."""
    helps = [
        "put it where this machine and the cluster find it under one path: `s3a://`, `hdfs://`, a shared folder",
        "from Python, `sparknet.train(net, spark.createDataFrame(rows))` sends the rows",
    ]
    return problem("R0005", f"`{path}` is on this machine, where Spark does not see it", label=place.label, helps=helps)


def _table(spark: SparkSession, place: Place, name: str) -> DataFrame:
    """A table of the catalog: Spark would take the name of one that is not there for a format and a path."""
    if not spark.catalog.tableExists(name):
        helps = ["`spark.catalog.listTables()` shows those of the session"]
        raise problem("R0001", f"Spark's catalog has no table `{name}`", label=place.label, helps=helps)
    return spark.table(name)


def _check_files(place: Place, source: FileSource) -> None:
    """What this process can tell of the files sooner, and better, than a job."""
    folder = local_path(place, source.path)
    files = data_files(place, folder)
    if isinstance(source, MediaSource):
        media_files(Files(source, files, folder, place.label), source)
    if isinstance(source, CsvSource):
        check_headers(Files(source, files, folder, place.label), source)
    for file in files:
        try:
            if isinstance(source, CsvSource | JsonSource | LibsvmSource | TextSource):
                check_encoding(file)
        except (OSError, FormatError) as error:
            raise unreadable(source, place.label, file, error) from error


# ----- one reader a kind of source -----


def _read_json(reader: DataFrameReader, source: FileSource, url: str) -> DataFrame:
    return reader.option("mode", "FAILFAST").json(url)


def _read_libsvm(reader: DataFrameReader, source: FileSource, url: str) -> DataFrame:
    features = cast(LibsvmSource, source).features
    return (reader if features is None else reader.option("numFeatures", features)).format("libsvm").load(url)


def _read_text(reader: DataFrameReader, source: FileSource, url: str) -> DataFrame:
    return reader.text(url).select(sf.validate_utf8("value").alias("text"))


def _read_media(reader: DataFrameReader, source: FileSource, url: str) -> DataFrame:
    media = cast(MediaSource, source)
    endings = ("".join(f"[{c}{c.upper()}]" for c in suffix.removeprefix(".")) for suffix in media.suffixes)
    files = reader.format("binaryFile").option("pathGlobFilter", f"*.{{{','.join(endings)}}}").load(url)
    folder = urlsplit(url).path if "://" in url else url.partition(":")[2]
    folder = re.sub(r"\\(.)", r"\1", folder) if url.startswith("file://") else folder
    above = rf"^[A-Za-z][\w+.-]*:(//[^/]*)?{re.escape(folder.rstrip('/'))}/"
    large = sf.concat("path", sf.lit(f" has more than the {MEDIA_BYTES:,} bytes that are read"))
    return files.select(
        sf.when(sf.col("length") <= MEDIA_BYTES, sf.col("content"))
        .otherwise(sf.raise_error(large))
        .alias(media.column),
        sf.element_at(sf.split("path", "/"), -2).alias("label"),
        sf.regexp_replace("path", above, "").alias("path"),
    )


_READERS: dict[type[FileSource], Callable[[DataFrameReader, FileSource, str], DataFrame]] = {
    ParquetSource: lambda reader, source, url: reader.parquet(url),
    OrcSource: lambda reader, source, url: reader.orc(url),
    CsvSource: lambda reader, source, url: read_csv(reader, cast(CsvSource, source), url, is_here(source)),
    JsonSource: _read_json,
    LibsvmSource: _read_libsvm,
    TextSource: _read_text,
    MediaSource: _read_media,
}
