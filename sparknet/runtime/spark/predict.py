"""Predictions on Spark: lazily for a DataFrame, or from a source to files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, BooleanType, DataType, FloatType, LongType, StringType, StructType

from sparknet.runtime.encoding.binding import with_paths
from sparknet.runtime.engines.base import OnnxRuntimeEngine
from sparknet.runtime.failures import worker_failure
from sparknet.runtime.inference import Predictor, PredictRows, kept_columns, predictor
from sparknet.runtime.predict import check_columns_of, check_target
from sparknet.runtime.problems import problem
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.sources.places import Place
from sparknet.runtime.spark.backend import SparkBackend
from sparknet.runtime.spark.cluster import inspect, make_ready
from sparknet.runtime.spark.columns import check_frame, folds_case, select_plain
from sparknet.runtime.spark.jobs import waited
from sparknet.runtime.spark.sources import file_url, open_frame
from sparknet.runtime.spark.waits import DEFAULT_WAITS, Waits

_TYPES: dict[str, DataType] = {"long": LongType(), "float": FloatType(), "bool": BooleanType()}
_TYPES["text"] = StringType()
_TYPES |= {f"{kind}s": ArrayType(element) for kind, element in _TYPES.items()}


_WRITERS: dict[str, Callable[[DataFrameWriter, str], None]] = {
    ".parquet": lambda writer, path: writer.parquet(path),
    ".orc": lambda writer, path: writer.orc(path),
    ".csv": lambda writer, path: writer.csv(path, header=True, escape='"'),
    ".json": lambda writer, path: writer.json(path),
    ".jsonl": lambda writer, path: writer.json(path),
}


def predict_frame(run: SavedRun, data: DataFrame) -> DataFrame:
    """`data` with predictions beside its columns, computed when the result is used.

    The columns are checked at once, and the executors once a session; a bad row fails the query that meets it.
    """
    make_ready(data.sparkSession)
    return _predicted(_for_columns(predictor(run), data), data)


def _for_columns(found: Predictor, data: DataFrame) -> Predictor:
    return replace(found, bound=with_paths(found.bound, data.columns))


def _predicted(found: Predictor, data: DataFrame, keep: Sequence[str] | None = None) -> DataFrame:
    """The kept columns of `data`, all unless `keep` names some, and the predictions beside them."""
    check_frame(data, found.bound)
    kept = kept_columns(data.columns, keep, found, folds_case(data))
    chosen, plain = select_plain(data, found.bound, kept)
    schema = StructType([data.schema[name] for name in kept])
    for each in found.added:
        schema = schema.add(each.name, _TYPES[each.kind])
    keeping = tuple((name, f"c{i}") for i, name in enumerate(kept))
    rows = PredictRows(replace(found, bound=plain), keeping, OnnxRuntimeEngine())
    return chosen.mapInArrow(rows, schema)


def predict_spark(
    run: SavedRun,
    place: Place,
    output: Path,
    spark: SparkSession,
    keep: Sequence[str] | None = None,
    waits: Waits = DEFAULT_WAITS,
) -> int:
    """Predict on Spark; `output` becomes a folder of files. Returns the number of rows."""
    check_target(output)
    cluster = inspect(spark, waits.start)
    data = waited(spark, waits.job, "opening the data", lambda: open_frame(spark, place))
    found = _for_columns(predictor(run, output), data)
    predicted = _predicted(found, data, keep)
    check_columns_of(output, to_arrow_schema(predicted.schema), found)
    backend = SparkBackend({"input": data}, {"input": place.label}, cluster, waits, before="scoring")
    rows = backend.profile(found.bound)["input"].rows
    partial = output.with_name(f"_{output.name}.{token_hex(4)}.partial").absolute()
    try:
        writer = predicted.write.mode("error")
        target = file_url(partial)
        waited(spark, waits.job, "predicting", lambda: _WRITERS[output.suffix](writer, target))
        check_target(output)
        if not partial.exists():
            message = f"`{output}` was written where Spark's executors run, which is not here"
            raise problem("R0050", message, helps=["write to a folder that this machine and the cluster share"])
        partial.rename(output)
    except (PySparkException, ConnectionError) as error:
        raise worker_failure("predicting", error) from error
    except OSError as error:
        raise problem("R0050", f"`{output}` cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return rows
