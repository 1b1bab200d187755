"""The data of a run as Spark holds it, behind what must hold of the executors before any job reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from sparknet.grammar.diagnostics import Label
from sparknet.runtime.engines.base import Engine
from sparknet.runtime.sources.places import Place
from sparknet.runtime.spark.backend import SparkBackend
from sparknet.runtime.spark.cluster import Cluster, Settings, inspect
from sparknet.runtime.spark.jobs import side_by_side, waited
from sparknet.runtime.spark.sources import open_frame
from sparknet.runtime.spark.waits import Waits


@dataclass(frozen=True)
class Opened:
    """Frames by the names of their sources, and the executors that are to train on them."""

    frames: Mapping[str, DataFrame]
    labels: Mapping[str, Label | None]
    """Where the `.net` file names the sources."""
    cluster: Cluster
    waits: Waits
    engine: Engine

    def backend(self) -> SparkBackend:
        """A backend that has encoded nothing yet."""
        return SparkBackend(self.frames, self.labels, self.cluster, self.waits, engine=self.engine)


def passing(settings: Settings, workers: int | None) -> list[str]:
    """A note where a run has a worker a slot, none being asked for, and executors come and go with the work."""
    master = settings("spark.master", "")
    here = master == "local" or master.startswith("local[")  # where Spark takes no notice of the setting
    if workers is not None or here or settings("spark.dynamicAllocation.enabled", "false") != "true":
        return []
    return [
        "executors come and go by `spark.dynamicAllocation.enabled`, and with them the number of workers, on which the "
        "result depends; write `workers = N` in the `train` section, for each run to have as many"
    ]


def open_data(
    spark: SparkSession,
    data: Mapping[str, DataFrame] | Mapping[str, Place],
    engine: Engine,
    waits: Waits,
    check: Callable[[Cluster], None],
    tell: Callable[[str], None],
) -> Opened:
    """Look at the executors, `check` what they have and open the data; `tell` gets what a user should know.

    Raises SparkNetError for executors that cannot run sparknet, and for sources that cannot be opened.
    """
    cluster = inspect(spark, waits.start)
    check(cluster)
    for text in cluster.notes:
        tell(text)

    def frame(each: DataFrame | Place) -> DataFrame:
        if not isinstance(each, Place):
            return each
        return waited(spark, waits.job, "opening the data", partial(open_frame, spark, each))

    frames = side_by_side(spark, [partial(frame, each) for each in data.values()])
    labels = {key: each.label for key, each in data.items() if isinstance(each, Place)}
    return Opened(dict(zip(data, frames, strict=True)), labels, cluster, waits, engine)
