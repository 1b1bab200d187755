"""Memory that tasks take against what executors have, by settings and machines that are given."""

from __future__ import annotations

from pathlib import Path

import pytest

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError
from sparknet.runtime.spark.cluster import Cluster, Found, Settings
from sparknet.runtime.spark.memory import PROCESS, check_memory, need_of, overhead
from sparknet.runtime.spark.sizes import size_of
from tests.runtime.conftest import only

GIB = 1 << 30
NET = """
net Large {{
  input x: float[1000]
  dense({width}) -> dense(10)
  output y: class[10]
}}
train {{
  optimizer = adam(lr: 0.001)
  epochs = 1
  batch = 100
  workers = {workers}
}}
"""


def net_of(width: int = 10_000, workers: int = 8) -> CompiledNet:
    return sparknet.compile(NET.format(width=width, workers=workers))


def settings(**values: str) -> Settings:
    return lambda key, default: values.get(key.removeprefix("spark.").replace(".", "_"), default)


def cluster(tasks: int, executors: int = 1, memory: int = 64 * GIB) -> Cluster:
    found = [
        Found(host="a", executor=number % executors, cpus=16, memory=memory, source=None, versions={})
        for number in range(tasks)
    ]
    return Cluster(tasks, tuple(found))


def test_what_a_task_takes() -> None:
    need = need_of(net_of(width=10))
    assert need.vectors == 4 * (3 * (1000 * 10 + 10 + 10 * 10 + 10) + 1)  # parameters, two moments, adam's count
    assert need.activations == 100 * 4 * (10 + 10)
    assert need.total > PROCESS


@pytest.mark.parametrize(
    ("text", "size"),
    [("2g", 2 * GIB), ("512m", GIB // 2), ("512", GIB // 2), ("1024k", 1 << 20), ("1gb", GIB), ("", 0)],
)
def test_sizes_as_spark_writes_them(text: str, size: int) -> None:
    assert size_of(text) == size
    assert size_of("1073741824", unit=1) == GIB


def test_overhead_of_a_container() -> None:
    assert overhead(settings()) == 384 << 20
    assert overhead(settings(executor_memory="10g")) == GIB
    assert overhead(settings(executor_memory="10g", executor_memoryOverhead="3g")) == 3 * GIB
    assert overhead(settings(executor_memory="10g", executor_memoryOverheadFactor="0.4")) == 4 * GIB
    assert overhead(settings(executor_minMemoryOverhead="1g")) == GIB


def test_overhead_on_kubernetes() -> None:
    here = {"master": "k8s://host", "executor_memory": "10g"}
    assert overhead(settings(**here)) == GIB  # 0.4 is what Spark sets where it starts the driver, too
    assert overhead(settings(**here, kubernetes_memoryOverheadFactor="0.4")) == 4 * GIB
    both = {"kubernetes_memoryOverheadFactor": "0.4", "executor_memoryOverheadFactor": "0.2"}
    assert overhead(settings(**here, **both)) == 2 * GIB
    assert overhead(settings(executor_memory="10g", kubernetes_memoryOverheadFactor="0.4")) == GIB


@pytest.mark.parametrize(
    ("values", "message", "help"),
    [
        (
            {"master": "spark://host:7077", "executor_pyspark_memory": "4g", "executor_cores": "4"},
            "R0067 a task takes about 1,342 MiB of memory, of which `spark.executor.pyspark.memory` leaves 1,024 MiB",
            "raise `spark.executor.pyspark.memory` to 5370m, or let an executor run fewer tasks",
        ),
        (
            {"master": "yarn", "executor_memory": "4g", "executor_cores": "4"},
            "R0067 4 tasks of an executor take about 5,369 MiB of memory, "
            "of which `spark.executor.memoryOverhead` leaves 410 MiB",
            "raise `spark.executor.memoryOverhead` to 5370m, or let an executor run fewer tasks",
        ),
        (
            {"master": "local[4]"},
            "R0067 4 tasks at once on a take about 6,393 MiB of memory, 1,024 MiB of them for Java; it has 6,144 MiB",
            "let fewer tasks run there: `--workers`, `spark.executor.cores`, or `local[N]`",
        ),
    ],
)
def test_too_little(values: dict[str, str], message: str, help: str) -> None:
    with pytest.raises(SparkNetError) as error:
        check_memory(net_of(), cluster(4, memory=6 * GIB), settings(**values))
    assert only(error) == message
    assert error.value.diagnostics[0].helps[0] == help


@pytest.mark.parametrize(
    ("tasks", "executors", "values"),
    [
        (4, 1, {"master": "local[4]"}),
        (4, 1, {"master": "yarn", "executor_memoryOverhead": "6g", "executor_cores": "4"}),
        (4, 1, {"master": "yarn", "executor_memoryOverhead": "3g", "executor_cores": "4", "task_cpus": "2"}),
        (4, 2, {"master": "k8s://host", "executor_memoryOverhead": "3g", "executor_cores": "2"}),
        (4, 1, {"master": "yarn", "executor_memoryOverhead": "1400m"}),  # a core each, whoever looked around where
        (9, 1, {"master": "local[4]"}),
        (4, 1, {"master": "spark://host:7077", "executor_pyspark_memory": "1400m"}),  # Spark takes it for a core's
        (4, 1, {"master": "spark://host:7077", "executor_pyspark_memory": "6g"}),
    ],
)
def test_enough(tasks: int, executors: int, values: dict[str, str]) -> None:
    check_memory(net_of(), cluster(tasks, executors, memory=7 * GIB), settings(**values))


def test_trials_side_by_side_take_more() -> None:
    given = settings(master="yarn", executor_memoryOverhead="2800m", executor_cores="4")
    check_memory(net_of(workers=1), cluster(4), given, trials=2)
    with pytest.raises(SparkNetError) as error:
        check_memory(net_of(workers=1), cluster(4), given, trials=3)
    assert only(error).startswith("R0067 3 tasks of an executor take about ")
    assert (
        error.value.diagnostics[0].helps[1]
        == "fewer trials at a time take less: `--parallel`, or `parallel=` in Python"
    )


def test_fewer_workers_take_less(tmp_path: Path) -> None:
    check_memory(
        net_of(workers=1), cluster(4), settings(master="yarn", executor_memoryOverhead="1400m", executor_cores="4")
    )
    with pytest.raises(SparkNetError):
        check_memory(
            net_of(workers=2), cluster(4), settings(master="yarn", executor_memoryOverhead="1400m", executor_cores="4")
        )
