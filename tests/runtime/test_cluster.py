"""What executors have and lack: looked at before the first job, and said with what to change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparknet.grammar import SparkNetError
from sparknet.runtime.runs import OnSpark, run_spark
from sparknet.runtime.spark import cluster
from sparknet.runtime.spark.alike import Alike
from sparknet.runtime.spark.cluster import (
    Cluster,
    Found,
    Seen,
    Settings,
    compared,
    executor_fault,
    hoped,
    inspect,
    is_settled,
    slots_of,
    task_cpus,
    tasks_at_once,
)
from sparknet.runtime.spark.opening import passing
from sparknet.runtime.spark.waits import Waits
from sparknet.runtime.training.records import Event, Note
from tests.runtime.conftest import only, small_net


def test_what_is_found(spark: SparkSession) -> None:
    found = inspect(spark)
    assert (found.slots, len(found.found), found.notes) == (2, 2, ())
    assert 1 << 28 < found.found[0].memory < 1 << 50


def test_a_package_that_the_executors_lack(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TASKS", "no_such_package.at_all")
    with pytest.raises(SparkNetError) as error:
        inspect(spark)
    assert only(error).startswith("R0066 the executors' Python has no `no_such_package` on ")
    assert error.value.diagnostics[0].helps


def test_a_package_that_the_python_from_path_lacks(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "TASKS", "no_such_package.at_all")
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")
    with pytest.raises(SparkNetError) as error:
        inspect(spark)
    there = spark.sparkContext.pythonExec
    assert only(error) == (
        f"R0066 the executors' Python has no `no_such_package`: it is `{there}`, and here runs `/venv/bin/python`"
    )
    (help,) = error.value.diagnostics[0].helps
    assert help == "set `PYSPARK_PYTHON=/venv/bin/python` in the environment before the session starts"


def test_another_python(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark.sparkContext, "pythonVer", "3.99")  # what the driver says of itself
    with pytest.raises(SparkNetError) as error:
        inspect(spark)
    assert only(error).startswith("R0066 Python is 3.")
    assert only(error).endswith(" on the executors, 3.99 here")
    assert "PYSPARK_PYTHON" in error.value.diagnostics[0].helps[0]


def test_no_python(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark.sparkContext, "pythonExec", "/no/such/python3")
    with pytest.raises(SparkNetError) as error:
        inspect(spark)
    assert only(error).startswith("R0066 the executors cannot start Python: there is no `/no/such/python3` on ")


def test_another_numpy(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    here = cluster.versions()
    monkeypatch.setattr(cluster, "versions", lambda: here | {"numpy": "1.26.4"})
    with pytest.raises(SparkNetError) as error:
        inspect(spark)
    assert only(error).startswith(f"R0066 numpy is {here['numpy']} on ")
    assert only(error).endswith(", 1.26.4 here")


def test_another_sparknet_that_stays(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent is what there is, which is not what it is said to be."""
    monkeypatch.setattr(cluster, "source", lambda: "0123456789ab")
    monkeypatch.setattr(cluster, "_packed", lambda: Path("none.zip"))  # it is made once in a process
    monkeypatch.setattr(spark, "addArtifacts", lambda path, pyfile: None)
    with pytest.raises(SparkNetError) as error:
        inspect(spark)
    assert only(error).startswith("R0066 the executors' Python took another sparknet before this run, on ")


def test_versions_that_differ_a_little(folder: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    here = cluster.versions()
    monkeypatch.setattr(cluster, "versions", lambda: here | {"onnxruntime": "1.99.0"})
    events: list[Event] = []
    run_spark(small_net(folder, workers=2), progress=events.append, on=OnSpark(spark=spark))
    (note,) = [event.text for event in events if isinstance(event, Note)]
    assert note.startswith(f"onnxruntime is {here['onnxruntime']} on the executors (")
    assert note.endswith("), 1.99.0 here: last digits may differ from a run here")


def found_on(host: str, **versions: str) -> Found:
    return Found(
        host=host, executor=1, cpus=8, memory=1 << 30, source=None, versions={**cluster.versions(), **versions}
    )


def test_executors_that_differ_among_each_other() -> None:
    with pytest.raises(SparkNetError) as error:
        compared([found_on("a", onnxruntime="1.31.0"), found_on("b", onnxruntime="1.32.0")])
    assert only(error) == "R0066 onnxruntime is 1.32.0 on b, 1.31.0 on a"


def test_nobody_takes_a_task(folder: Path, spark: SparkSession) -> None:
    with pytest.raises(SparkNetError) as error:
        run_spark(small_net(folder), on=OnSpark(spark=spark, waits=Waits(start=0.001)))
    assert only(error).startswith("R0064 no executor of `local[2")
    assert "--start-timeout" in error.value.diagnostics[0].helps[1]


def settings(**values: str) -> Settings:
    return lambda key, default: values.get(key.replace(".", "_"), default)


def test_tasks_that_no_executor_can_run() -> None:
    assert task_cpus(settings(spark_task_cpus="4")) == 4
    with pytest.raises(SparkNetError) as error:
        task_cpus(settings(spark_executor_cores="2", spark_task_cpus="4"))
    assert only(error) == "R0065 no executor can run a task: each has 2 cores, a task takes 4"


def test_fewer_executors_than_asked_for() -> None:
    one = found_on("a")
    (note,) = hoped(settings(spark_executor_instances="4"), [one, one])
    assert note.startswith("1 of the 4 executors that `spark.executor.instances` asks for")
    assert hoped(settings(spark_executor_instances="1"), [one]) == []
    assert hoped(settings(spark_executor_instances="4", spark_dynamicAllocation_enabled="true"), [one]) == []


def test_executors_that_come_and_go() -> None:
    of_yarn = {"spark_master": "yarn", "spark_dynamicAllocation_enabled": "true"}
    (note,) = passing(settings(**of_yarn), None)
    assert "`spark.dynamicAllocation.enabled`" in note
    assert "`workers = N`" in note
    assert passing(settings(**of_yarn), 4) == []
    assert passing(settings(spark_master="yarn"), None) == []
    for master in ("local", "local[2, 4]"):
        assert passing(settings(**{**of_yarn, "spark_master": master}), None) == []


# ----- how many tasks run at once -----


def looks(*counts: int, cpus: int = 8) -> list[Found]:
    """What so many tasks on each of some executors found."""
    found = found_on("a").model_copy(update={"cpus": cpus})
    return [found.model_copy(update={"executor": i}) for i, count in enumerate(counts) for _ in range(count)]


@pytest.mark.parametrize(
    ("values", "counts", "expected"),
    [
        ({"spark_master": "local[2, 4]"}, [5], [2]),
        ({"spark_master": "local"}, [1], [1]),
        ({"spark_master": "local[*]"}, [6], [6]),
        ({"spark_master": "local[*]", "spark_default_parallelism": "64"}, [64], [8]),
        ({"spark_master": "local[4]", "spark_default_parallelism": "1"}, [64], [4]),
        ({"spark_master": "local-cluster[2, 3, 1024]"}, [5, 1], [3, 3]),
        ({"spark_master": "yarn"}, [2, 1], [1, 1]),
        ({"spark_master": "yarn", "spark_executor_cores": "4"}, [7, 1], [4, 4]),
        ({"spark_master": "yarn", "spark_executor_cores": "5", "spark_task_cpus": "2"}, [4, 6], [2, 2]),
        ({"spark_master": "spark://host:7077"}, [2, 6], [2, 6]),
        ({"spark_master": "spark://host:7077", "spark_sql_leafNodeDefaultParallelism": "100"}, [70, 30], [8, 8]),
        ({"spark_master": "spark://host:7077", "spark_task_cpus": "2"}, [1, 4], [1, 2]),
    ],
)
def test_tasks_go_by_cores(values: dict[str, str], counts: list[int], expected: list[int]) -> None:
    assert [*tasks_at_once(settings(**values), looks(*counts)).values()] == expected


@pytest.mark.parametrize(
    ("values", "counts", "expected"),
    [
        ({"spark_master": "yarn", "spark_executor_cores": "4"}, [4, 4], 8),
        ({"spark_master": "yarn", "spark_executor_cores": "4"}, [8], 8),  # one of the two was busy
        ({"spark_master": "yarn", "spark_executor_cores": "5", "spark_task_cpus": "2"}, [5, 5], 4),
        ({"spark_master": "yarn", "spark_executor_cores": "4", "spark_default_parallelism": "9"}, [32, 32], 8),
        ({"spark_master": "k8s://host"}, [2], 1),
        ({"spark_master": "spark://host:7077"}, [3, 5], 8),
        ({"spark_master": "local[4]", "spark_task_cpus": "2"}, [4], 2),
    ],
)
def test_slots(values: dict[str, str], counts: list[int], expected: int) -> None:
    assert slots_of(settings(**values), looks(*counts)) == expected


def test_a_number_of_partitions_is_no_number_of_slots(spark: SparkSession) -> None:
    for told in (1, 7):
        spark.conf.set("spark.sql.leafNodeDefaultParallelism", told)
        try:
            assert inspect(spark).slots == 2
        finally:
            spark.conf.unset("spark.sql.leafNodeDefaultParallelism")


def seen(*looks: tuple[float, int, int]) -> list[Seen]:
    return [Seen(*each) for each in looks]


def test_when_no_more_executors_are_waited_for() -> None:
    assert not is_settled(seen((0, 1, 2)), 0), "one look tells nothing of those that come"
    assert not is_settled(seen((0, 1, 2), (1.5, 1, 2)), 0)
    assert is_settled(seen((0, 1, 2), (1.5, 1, 2), (2, 1, 2)), 0)
    assert not is_settled(seen((0, 1, 2), (1.5, 2, 4), (3, 2, 4)), 0), "one more has come"
    busy = seen((0, 2, 4), (1, 1, 4), (2, 2, 4))
    assert is_settled(busy, 0), "who was too busy for a look is none that came"
    assert is_settled(seen((0, 4, 8)), 4), "all that were asked for"
    assert not is_settled(seen((0, 3, 6), (29, 3, 6)), 4)
    assert is_settled(seen((0, 3, 6), (30, 3, 6)), 4)


# ----- executors that come later -----


def alike(**versions: str) -> Alike:
    return Alike(cluster.source(), "first", {**cluster.versions(), **versions})


def test_an_executor_that_comes_later_with_another_version(spark: SparkSession) -> None:
    alike().check()
    for other, said in (
        (alike(onnxruntime="0.9"), f"onnxruntime is {cluster.versions()['onnxruntime']} on "),
        (Alike("0123456789ab", "first", cluster.versions()), "the executors' Python took another sparknet before "),
    ):
        with pytest.raises(SparkNetError) as error:
            other.check()
        assert only(error).startswith(f"R0066 {said}")
        (worker,) = error.value.diagnostics
        told = executor_fault(RuntimeError(f"Job aborted\n  Traceback\nSparkNetError: {error.value}\n\tat java"), spark)
        assert told is not None
        assert (told.diagnostics[0].message, told.diagnostics[0].helps) == (worker.message, worker.helps)


def test_what_a_callers_own_code_lacks_is_no_fault_of_executors(spark: SparkSession) -> None:
    """A lazy frame may hold a UDF; its failure is told with what was being done."""
    said = "Traceback\nModuleNotFoundError: No module named 'theirs'\n\tat java"
    assert executor_fault(RuntimeError(f"Job aborted (TID 3) (10.0.0.1 executor 1): {said}"), spark) is None


def test_a_round_on_an_executor_that_came_later(
    folder: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cluster, "alike", alike(numpy="1.0"))
    with pytest.raises(SparkNetError) as error:
        run_spark(small_net(folder, workers=2), on=OnSpark(spark=spark))
    assert only(error).startswith(f"R0066 numpy is {cluster.versions()['numpy']} on ")
    assert only(error).endswith(", 1.0 on first")
