"""What executors have and lack, learned by a tiny job before any other, so that nothing fails halfway for it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from weakref import WeakSet

from pydantic import BaseModel, ConfigDict, ValidationError
from pyspark.sql import SparkSession

import sparknet
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.failures import worker_failure
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.connect import is_connect_session
from sparknet.runtime.spark.jobs import job_in_time
from sparknet.runtime.spark.probe import PROBE_SCHEMA, make_digest, make_probe
from sparknet.runtime.spark.waits import LONGER, START_SECONDS, LateError
from sparknet.runtime.versions import versions

TASKS = "sparknet.runtime.spark.tasks"
_PACKAGES = ("numpy", "onnxruntime", "onnxruntime-training-cpu")
_PYTHON = "`spark.pyspark.python`, or the environment variable PYSPARK_PYTHON, says which Python executors start"
_DIGITS = ("numpy", "onnxruntime", "onnxruntime-training-cpu")
"""Packages whose versions decide the last digits."""


class Found(BaseModel):
    """What a task found where it ran; `executor` is the number of the process that forks the Python workers there."""

    model_config = ConfigDict(frozen=True)

    host: str
    executor: int
    memory: int
    """Bytes that its processes may take together: the machine's, or those of the container."""
    source: str | None
    """The digest of the sparknet there; None where there is none."""
    versions: dict[str, str]
    missing: str | None = None
    broken: str | None = None


@dataclass(frozen=True)
class Cluster:
    """How many tasks run at once, and what was found by as many."""

    slots: int
    found: tuple[Found, ...]
    notes: tuple[str, ...] = ()


Settings = Callable[[str, str], str]
"""A setting by its key, or the default that is given."""


def settings_of(spark: SparkSession) -> Settings:
    """Those of the session and its cluster, alike on Spark Connect."""
    return lambda key, default: str(spark.conf.get(key, default))


def inspect(spark: SparkSession, seconds: float = START_SECONDS) -> Cluster:
    """Look around on the executors; raises SparkNetError where none comes, or where no run could succeed there.

    Executors that lack this package, or have another one, get it from here, for as long as the session lives.
    """
    settings = settings_of(spark)
    cpus = task_cpus(settings)
    with _ONE_AT_A_TIME:
        found = _probe(spark, seconds)
        if any(each.source != source() for each in found):
            spark.addArtifacts(str(_packed()), pyfile=True)
            found = _probe(spark, seconds)
    _check_imports(found, other_python(spark))
    notes = compared(found)
    _INSPECTED.add(spark)
    return Cluster(max(1, len(found) // cpus), found, (*notes, *hoped(settings, found)))


_INSPECTED: WeakSet[SparkSession] = WeakSet()
_ONE_AT_A_TIME = Lock()
"""Spark refuses an artifact that is there, as where two threads of a tuning bring this package at the same time."""


def make_ready(spark: SparkSession) -> None:
    """See to it, once a session, that lazy queries find what they need; raises SparkNetError as `inspect`."""
    if spark not in _INSPECTED:
        inspect(spark)


def task_cpus(settings: Settings) -> int:
    """How many cores a task takes; raises SparkNetError where no executor has as many."""
    cpus, cores = int(settings("spark.task.cpus", "1")), int(settings("spark.executor.cores", "0"))
    if 0 < cores < cpus:
        raise problem(
            "R0065",
            f"no executor can run a task: each has {cores} {'core' if cores == 1 else 'cores'}, a task takes {cpus}",
            helps=["lower `spark.task.cpus`, or raise `spark.executor.cores`"],
        )
    return cpus


def hoped(settings: Settings, found: Sequence[Found]) -> list[str]:
    """A note where fewer executors took a task than are asked for."""
    executors = len({(each.host, each.executor) for each in found})
    asked = int(settings("spark.executor.instances", "0"))
    if executors >= asked or settings("spark.dynamicAllocation.enabled", "false") == "true":
        return []
    return [
        f"{executors} of the {asked} executors that `spark.executor.instances` asks for are there; "
        "the result depends on the number of workers, so give `workers` where it must not change"
    ]


# ----- the job -----


def _probe(spark: SparkSession, seconds: float) -> tuple[Found, ...]:
    """What a task in each slot finds."""
    frame = spark.range(1 << 12).mapInArrow(
        make_probe((TASKS, "onnxruntime"), _PACKAGES, source()), PROBE_SCHEMA
    )  # a partition a core
    try:
        rows = job_in_time(spark, seconds, frame.toArrow).column("found").to_pylist()
        return tuple(Found.model_validate_json(row) for row in rows)
    except LateError as error:
        raise _no_executor(settings_of(spark), seconds) from error
    except ValidationError as error:
        raise worker_failure("looking at the executors", error) from error
    except Exception as error:
        raise _refused(error, other_python(spark)) from error


def _no_executor(settings: Settings, seconds: float) -> SparkNetError:
    cores = settings("spark.executor.cores", "")
    wanted = f"`spark.executor.memory` ({settings('spark.executor.memory', '1g')})"
    wanted += f" and `spark.executor.cores` ({cores})" if cores else ""
    return problem(
        "R0064",
        f"no executor of `{settings('spark.master', 'the cluster')}` has done a task in {seconds:,.0f} s",
        helps=[f"see the cluster's page: are there workers, and is what {wanted} ask for free?", LONGER],
    )


def other_python(spark: SparkSession) -> str | None:
    """The Python that executors on this machine start, where it is not the one that runs here; else None."""
    if is_connect_session(spark) or not settings_of(spark)("spark.master", "").startswith("local"):
        return None
    named = spark.sparkContext.pythonExec
    found = os.path.abspath(shutil.which(named) or named)  # links stay: that of a venv leads to the Python it is of
    return None if found == os.path.abspath(sys.executable) else found


def _take_this_python() -> str:
    return f"set `PYSPARK_PYTHON={sys.executable}` in the environment before the session starts"


def _refused(error: Exception, other: str | None) -> SparkNetError:
    """What pyspark's own worker says before it comes to any code of ours; `other` as `other_python` gives it."""
    text = str(error)
    host = re.search(r"\(TID \d+\) \(([^ )]+)", text)
    where = f" on {host[1]}" if host else ""
    python = re.search(r"Python in worker has different version: (\S+) than that in driver: ([\d.]+)", text)
    if python:
        return problem(
            "R0066",
            f"Python is {python[1]} on the executors, {python[2]} here",
            notes=[f"found{where}"] if where else [],
            helps=[_take_this_python() if other else _PYTHON],
        )
    program = re.search(r'Cannot run program "([^"]+)"', text)
    if program:
        return problem(
            "R0066",
            f"the executors cannot start Python: there is no `{program[1]}`{where}",
            helps=[_take_this_python() if other else _PYTHON],
        )
    package = re.search(r"No module named '?([\w]+)", text)
    if package:
        return _lacks(package[1], where, other)
    return worker_failure("looking at the executors", error)


# ----- what is there -----


def _check_imports(found: Sequence[Found], other: str | None) -> None:
    for each in found:
        if each.source is None:
            raise _lacks("sparknet", f" on {each.host}", other)
        if each.source != source():
            message = f"the executors' Python took another sparknet before this run, on {each.host}"
            raise problem("R0066", message, helps=["begin a new Spark session, whose Python workers are new too"])
        if each.missing is not None:
            raise _lacks(each.missing, f" on {each.host}", other)
        if each.broken is not None:
            message = f"sparknet cannot be imported on {each.host}: {each.broken}"
            raise problem("R0066", message, helps=["make the executors' Python environment like the one here"])


def _lacks(module: str, where: str, other: str | None) -> SparkNetError:
    if other is not None:
        return problem(
            "R0066",
            f"the executors' Python has no `{module}`: it is `{other}`, and here runs `{sys.executable}`",
            helps=[_take_this_python()],
        )
    return problem(
        "R0066",
        f"the executors' Python has no `{module}`{where}",
        helps=[
            "`pip install sparknet` into the Python of every executor brings all that it needs",
            "or send an environment along: docs/spark.md shows how",
        ],
    )


def compared(found: Sequence[Found]) -> list[str]:
    """What differs in versions; raises SparkNetError where that breaks a run, or what is the same on each machine."""
    here = versions()
    for each in found:
        major = each.versions["numpy"].partition(".")[0]
        if major != here["numpy"].partition(".")[0]:  # arrays of one cannot be read by the other
            raise _differs("numpy", f"{each.versions['numpy']} on {each.host}", f"{here['numpy']} here")
    first, notes = found[0], []
    for package in _DIGITS:
        for each in found:
            if each.versions[package] != first.versions[package]:
                there = f"{each.versions[package]} on {each.host}"
                raise _differs(package, there, f"{first.versions[package]} on {first.host}")
        if first.versions[package] != here[package]:
            there = f"{first.versions[package]} on the executors ({first.host})"
            notes.append(f"{package} is {there}, {here[package]} here: last digits may differ from a run here")
    return notes


def _differs(package: str, there: str, here: str) -> SparkNetError:
    helps = [f"install the same {package} in both places: executors take the Python of `spark.pyspark.python`"]
    return problem("R0066", f"{package} is {there}, {here}", helps=helps)


@cache
def source() -> str:
    """The digest of this package."""
    return make_digest()(str(Path(sparknet.__file__).parent))


@cache
def _packed() -> Path:
    """This package as a zip file, which lives as long as this process: Spark may fetch it at any time."""
    root = Path(sparknet.__file__).parent
    target = Path(_folder().name, f"sparknet-{sparknet.__version__}-{source()}.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(root.parent))
    return target


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that is removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="sparknet-")
