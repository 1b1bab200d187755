"""Runs on executors that are processes of their own, with faults in their rounds; `test_cluster_faults.py` starts it.

A process of its own, because a JVM holds one Spark context. All runs share that, and what became of them is printed as
JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from signal import SIGKILL
from typing import Any
from unittest.mock import patch

import pyarrow as pa
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.runtime import runs
from sparknet.runtime.engines.base import Floats
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.spark import exchange
from sparknet.runtime.spark.cluster import inspect
from sparknet.runtime.training import sequence
from sparknet.runtime.training.exchange import BLOCK, Segment
from sparknet.runtime.training.records import Event, RoundRecord
from sparknet.runtime.training.trainer import TrainedNet
from tests.runtime.faults import Faults, carried_out, order, tried_again
from tests.runtime.servers import standalone

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.log.level": "OFF",
    "spark.executorEnv.PYTHONPATH": str(ROOT),
    "spark.driver.host": "127.0.0.1",
    "spark.executor.memory": "700m",
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.minTaskRuntime": "2s",
    "spark.speculation.multiplier": "2",
    "spark.speculation.quantile": "0.5",
    "spark.task.maxFailures": "12",  # what dies at random does so more than three times in a row now and then
}
Watch = Callable[[Event], None]


def session(master: str) -> SparkSession:
    """One that has two executors with a core each."""
    builder = SparkSession.builder.master(master)
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def digest(trained: TrainedNet) -> str:
    return sha256(trained.parameters.tobytes() + trained.optimizer_state.tobytes()).hexdigest()


def run(
    net: CompiledNet, spark: SparkSession, orders: Path, watch: Watch = lambda event: None, seed: int | None = None
) -> dict[str, Any]:
    """What became of a run that follows `orders`, with a `seed` those of chance, too.

    Which faults tasks say they carried out, for which of them another attempt of the task came to the same step, and
    how many of the executors are gone.
    """
    orders.mkdir()
    wait_for(spark, 2)
    began, before = time.monotonic(), executors()
    with patch.object(runs, "engine_for", lambda name: Faults(orders, seed)):
        trained = run_spark(net, progress=watch, on=OnSpark(spark=spark))
    found = {
        "digest": digest(trained),
        "rounds": len(trained.history),
        "struck": carried_out(orders),
        "again": tried_again(orders),
        "gone": len(before - executors()),
    }
    print(f"{orders.name}: {time.monotonic() - began:.1f} s, {found}", file=sys.stderr, flush=True)
    return found


def behind(acts: dict[int, Callable[[], object]]) -> Watch:
    """Do things once rounds have ended."""

    def watch(event: Event) -> None:
        if isinstance(event, RoundRecord) and event.round in acts:
            acts[event.round]()

    return watch


def one_a_round(orders: Path, *kinds: str) -> Watch:
    """A fault of another kind in each round but the first."""
    return behind({number: partial(order, orders, number, kind) for number, kind in enumerate(kinds, 1)})


# ----- executors -----


def executors() -> set[int]:
    """The processes of the executors, which are below this one."""
    found = {}
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdecimal():
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                found[int(path.name)] = parent, (path / "cmdline").read_text()
        except OSError:
            continue
    below, new = set[int](), {os.getpid()}
    while new:
        below |= new
        new = {pid for pid, (parent, _) in found.items() if parent in new} - below
    return {pid for pid in below if "CoarseGrainedExecutorBackend" in found[pid][1]}


def wait_for(spark: SparkSession, count: int) -> None:
    """Wait until so many executors have come or are left."""
    scheduler: Any = spark.sparkContext._jsc.sc()
    end = time.monotonic() + 120
    while scheduler.getExecutorIds().size() != count and time.monotonic() < end:
        time.sleep(0.05)
    assert scheduler.getExecutorIds().size() == count


def kill_all() -> None:
    for pid in executors():
        os.kill(pid, SIGKILL)


def scaled(spark: SparkSession) -> dict[int, Callable[[], object]]:
    """One executor less, one more, none for a while, as clusters that are shared or break have it."""
    scheduler: Any = spark.sparkContext._jsc.sc()

    def down() -> None:
        scheduler.killExecutor(scheduler.getExecutorIds().apply(0))
        wait_for(spark, 1)

    def up() -> None:
        scheduler.requestExecutors(2)  # beside those that were asked for, which are none: two came by themselves
        wait_for(spark, 2)

    return {1: down, 3: up, 5: kill_all}


def by_pieces() -> ExitStack:
    """Have the averages of each round come to the driver by two jobs: the parameters, the optimizer's state."""
    stack = ExitStack()
    for name, value in {"DIRECT_BYTES": 0, "SLICE": BLOCK, "PIECE_BYTES": 1}.items():
        stack.enter_context(patch.object(exchange, name, value))
    return stack


def killed_between_pieces() -> Any:
    """Kill an executor once, when the first piece is here."""
    read, struck = exchange._read_means, list[int]()

    def strike(table: pa.Table, segments: Sequence[Segment]) -> Iterator[tuple[Segment, Floats]]:
        if not struck:
            struck.append(min(executors()))
            os.kill(struck[0], SIGKILL)
        return read(table, segments)

    return patch.object(exchange, "_read_means", strike)


# ----- runs -----


def main(net: CompiledNet, folder: Path) -> dict[str, Any]:
    """All runs, by name."""
    found: dict[str, Any] = {"undisturbed": digest(run_local(net))}
    with standalone(folder) as master:
        spark = session(master)
        found["seen"] = len({each.executor for each in inspect(spark).found})  # nobody has waited for them
        kinds = ("raise", "worker", "executor", "late", "hang")
        with patch.object(sequence, "LONG", 0):  # what is done behind a round comes before the next one begins
            found["one a round"] = run(net, spark, folder / "1", one_a_round(folder / "1", *kinds))
            found["scaled"] = run(net, spark, folder / "3", behind(scaled(spark)))
        with by_pieces(), killed_between_pieces():
            found["pieces"] = run(net, spark, folder / "4")
        found["punished"] = run(net, spark, folder / "2", seed=152)
        spark.stop()
    return found


if __name__ == "__main__":
    print(json.dumps(main(sparknet.compile(sys.argv[1]), Path(sys.argv[2]).resolve())))
