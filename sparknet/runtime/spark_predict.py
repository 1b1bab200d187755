"""Predictions on Spark: lazily for a DataFrame, or from a source to files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, DataType, FloatType, LongType, StructType

from sparknet.runtime.engine import OnnxRuntimeEngine
from sparknet.runtime.inference import PredictRows, kept_columns, predictor
from sparknet.runtime.predict import check_target
from sparknet.runtime.problems import problem
from sparknet.runtime.profile import check_columns, check_types
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.sources import Place
from sparknet.runtime.spark import SparkBackend, arrow_schema, quoted, task_cpus, worker_failure
from sparknet.runtime.spark_sources import open_frame

_TYPES: dict[str, DataType] = {"long": LongType(), "float": FloatType(), "floats": ArrayType(FloatType())}


def predict_frame(run: SavedRun, data: DataFrame, keep: Sequence[str] | None = None) -> DataFrame:
    """`data` with predictions beside its columns, computed when the result is used.

    The columns are checked at once; a bad row fails the query that meets it.
    """
    found = predictor(run)
    check_columns(found.bound, data.columns)
    check_types(found.bound, arrow_schema(data.select(*map(quoted, found.columns))))
    kept = kept_columns(data.columns, keep, found)
    chosen = data.select(*map(quoted, dict.fromkeys([*kept, *found.columns])))
    schema = StructType([chosen.schema[name] for name in kept])
    for name, kind in found.added:
        schema = schema.add(name, _TYPES[kind])
    rows = PredictRows(found, tuple(kept), OnnxRuntimeEngine(task_cpus(data.sparkSession)))
    return chosen.mapInArrow(rows.unlabelled(), schema)


def predict_spark(
    run: SavedRun, place: Place, output: Path, spark: SparkSession, keep: Sequence[str] | None = None
) -> int:
    """Predict on Spark; `output` becomes a folder of files. Returns the number of rows."""
    check_target(output)
    data = open_frame(spark, place)
    predicted = predict_frame(run, data, keep)
    profile = SparkBackend(data).profile(predictor(run).bound)
    partial = output.with_name(f"_{output.name}.{token_hex(4)}.partial").absolute()
    try:
        writer = predicted.write.mode("errorifexists")
        writer.parquet(partial.as_uri()) if output.suffix == ".parquet" else writer.json(partial.as_uri())
        check_target(output)
        partial.rename(output)
    except PySparkException as error:
        raise worker_failure("predicting", error) from error
    except OSError as error:
        raise problem("R0050", f"`{output}` cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return profile.rows
