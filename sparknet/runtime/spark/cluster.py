"""What executors have and lack, learned by a tiny job before any other, so that nothing fails halfway for it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from weakref import WeakSet

from pydantic import BaseModel, ConfigDict, ValidationError
from pyspark.sql import SparkSession

import sparknet
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.failures import worker_failure
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.alike import DIGITS, Alike, another_sparknet, differs
from sparknet.runtime.spark.connect import is_connect_session
from sparknet.runtime.spark.jobs import job_in_time
from sparknet.runtime.spark.probe import PROBE_SCHEMA, make_digest, make_probe
from sparknet.runtime.spark.waits import LONGER, START_SECONDS, LateError
from sparknet.runtime.versions import versions

TASKS = "sparknet.runtime.spark.tasks"
_PYTHON = "`spark.pyspark.python`, or the environment variable PYSPARK_PYTHON, says which Python executors start"


class Found(BaseModel):
    """What a task found where it ran; `executor` is the number of the process that forks the Python workers there."""

    model_config = ConfigDict(frozen=True)

    host: str
    executor: int
    cpus: int
    """Those that its processes may use."""
    memory: int
    """Bytes that its processes may take together: the machine's, or those of the container."""
    source: str | None
    """The digest of the sparknet there; None where there is none."""
    versions: dict[str, str]
    missing: str | None = None
    broken: str | None = None


@dataclass(frozen=True)
class Cluster:
    """How many tasks run at once, and what those found that looked around."""

    slots: int
    found: tuple[Found, ...]
    notes: tuple[str, ...] = ()

    @property
    def alike(self) -> Alike:
        """What all executors have in common, and those have to have that come later."""
        first = self.found[0]
        return Alike(source(), first.host, {package: first.versions[package] for package in DIGITS})


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
    task_cpus(settings)
    with _ONE_AT_A_TIME:
        found = _probe(spark, seconds) if spark in _INSPECTED else _settled(spark, seconds)
        if any(each.source != source() for each in found):
            spark.addArtifacts(str(_packed()), pyfile=True)
            found = _probe(spark, seconds)
    _check_imports(found, other_python(spark))
    notes = compared(found)
    _INSPECTED.add(spark)
    return Cluster(slots_of(settings, found), found, (*notes, *hoped(settings, found)))


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


def cores_each(settings: Settings) -> int | None:
    """The cores of an executor; None where Spark takes all that there are, as its own cluster does."""
    master = settings("spark.master", "")
    local = re.fullmatch(r"local(?:\[(\*|\d+)(?:,\s*\d+)?\])?", master)
    if local:
        return None if local[1] == "*" else int(local[1] or 1)
    apart = re.fullmatch(r"local-cluster\[\s*\d+\s*,\s*(\d+)\s*,.*", master)
    given = int(apart[1] if apart else settings("spark.executor.cores", "0"))
    return given or (1 if master.startswith(("yarn", "k8s")) else None)


def tasks_at_once(settings: Settings, found: Sequence[Found]) -> dict[tuple[str, int], int]:
    """How many tasks each executor that was found, by its host and number, runs at once.

    Where no setting says how many cores an executor has, they are as many as tasks looked around there, for Spark gives
    each core one. A caller's `spark.default.parallelism` is no number of cores: then there are no more than the
    machine's.
    """
    cpus, cores = task_cpus(settings), cores_each(settings)
    most = {(each.host, each.executor): each.cpus for each in found}
    looked = Counter((each.host, each.executor) for each in found)
    if _looks(settings) is not None:
        looked = Counter({place: min(count, most[place]) for place, count in looked.items()})
    return {place: max(1, (cores or count) // cpus) for place, count in looked.items()}


def executors_of(settings: Settings, found: Sequence[Found]) -> int:
    """How many executors there are: those seen, and those whose cores were counted though they were too busy to look.

    Spark counts two cores where there is but one.
    """
    cores, places = cores_each(settings), {(each.host, each.executor) for each in found}
    counted = len(found) // cores if cores and len(found) > 2 and _looks(settings) is None else 0
    return max(len(places), counted)


def slots_of(settings: Settings, found: Sequence[Found]) -> int:
    """How many tasks run at once on all executors."""
    cores = cores_each(settings)
    if cores is None:
        return sum(tasks_at_once(settings, found).values())
    return executors_of(settings, found) * max(1, cores // task_cpus(settings))


def asked_executors(settings: Settings) -> int:
    """How many executors the application is to have; 0 where nothing says, or where they come and go."""
    if settings("spark.dynamicAllocation.enabled", "false") == "true":
        return 0
    return int(settings("spark.executor.instances", "0"))


def hoped(settings: Settings, found: Sequence[Found]) -> list[str]:
    """A note where fewer executors took a task than are asked for."""
    executors, asked = executors_of(settings, found), asked_executors(settings)
    if executors >= asked:
        return []
    return [
        f"{executors} of the {asked} executors that `spark.executor.instances` asks for are there; "
        "the result depends on the number of workers, so give `workers` where it must not change"
    ]


# ----- the job -----

_PAUSE = 0.5
_STEADY = 2.0
"""Seconds in which no executor more has come, when nobody says how many there are to be."""
_PATIENT = 30.0
"""The same while fewer have come than were asked for: `spark.scheduler.maxRegisteredResourcesWaitingTime`."""


@dataclass(frozen=True)
class Seen:
    """What a look found, so many seconds behind the first one."""

    seconds: float
    executors: int
    tasks: int


def is_settled(seen: Sequence[Seen], asked: int) -> bool:
    """Whether no more executors are to be expected: as many as were `asked` for are there, or no more have come."""
    if seen[-1].executors >= asked > 0:
        return True
    grown, executors, tasks = 0.0, 0, 0
    for look in seen:
        if look.executors > executors or look.tasks > tasks:
            grown, executors, tasks = look.seconds, max(executors, look.executors), max(tasks, look.tasks)
    return seen[-1].seconds - grown >= (_PATIENT if asked else _STEADY)


def _settled(spark: SparkSession, seconds: float) -> tuple[Found, ...]:
    """What is found once all executors are there, which register one by one behind the start of a session."""
    settings, found = settings_of(spark), _probe(spark, seconds)
    master, began = settings("spark.master", ""), monotonic()
    if master == "local" or master.startswith("local["):
        return found
    seen = [Seen(0, executors_of(settings, found), len(found))]
    while not is_settled(seen, asked_executors(settings)) and monotonic() - began < seconds:
        sleep(_PAUSE)
        found = _probe(spark, seconds)
        seen.append(Seen(monotonic() - began, executors_of(settings, found), len(found)))
    return found


_MANY, _UNTOLD = 64, (1 << 31) - 1


def _looks(settings: Settings) -> int | None:
    """How many tasks look around; None for one a core, which is what Spark makes unless it is told a number."""
    keys = "spark.sql.leafNodeDefaultParallelism", "spark.default.parallelism"
    told = [number for key in keys if (number := int(settings(key, str(_UNTOLD)))) != _UNTOLD]
    return max(*told, _MANY) if told else None


def _probe(spark: SparkSession, seconds: float) -> tuple[Found, ...]:
    """What a task in each slot finds."""
    frame = spark.range(0, 1 << 12, numPartitions=_looks(settings_of(spark))).mapInArrow(
        make_probe((TASKS, "onnxruntime"), DIGITS, source()), PROBE_SCHEMA
    )
    try:
        rows = job_in_time(spark, seconds, frame.toArrow).column("found").to_pylist()
        return tuple(Found.model_validate_json(row) for row in rows)
    except LateError as error:
        raise _no_executor(settings_of(spark), seconds) from error
    except ValidationError as error:
        raise worker_failure("looking at the executors", error) from error
    except Exception as error:
        failed = worker_failure("looking at the executors", error)
        raise _start_fault(error, spark) or executor_fault(error, spark) or failed from error


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


def _python_help(spark: SparkSession) -> str:
    """What to do where executors run another Python, or none."""
    return _take_this_python() if other_python(spark) else _PYTHON


def _start_fault(error: Exception, spark: SparkSession) -> SparkNetError | None:
    """What Spark says where Python does not start, or lacks what our first look needs; None for all else."""
    text = str(error)
    where = _host(text)
    program = re.search(r'Cannot run program "([^"]+)"', text)
    if program:
        return problem(
            "R0066",
            f"the executors cannot start Python: there is no `{program[1]}`{where}",
            helps=[_python_help(spark)],
        )
    package = re.search(r"No module named '?(\w+)\b(?!\.)", text)
    if package:
        return _lacks(package[1], where, other_python(spark))
    return None


def _host(text: str) -> str:
    host = re.search(r"\(TID \d+\) \(([^ )]+)", text)
    return f" on {host[1]}" if host else ""


def executor_fault(error: Exception, spark: SparkSession) -> SparkNetError | None:
    """What pyspark's worker says of another Python, or `Alike`; None for all else, such as a caller's own code."""
    text = str(error)
    where = _host(text)
    python = re.search(r"Python in worker has different version: (\S+) than that in driver: ([\d.]+)", text)
    if python:
        return problem(
            "R0066",
            f"Python is {python[1]} on the executors, {python[2]} here",
            notes=[f"found{where}"] if where else [],
            helps=[_python_help(spark)],
        )
    said = re.search(r"error\[R0066\]: ([^\n]+)\n\s*= help: ([^\n]+)", text)
    return problem("R0066", said[1], helps=[said[2]]) if said else None


# ----- what is there -----


def _check_imports(found: Sequence[Found], other: str | None) -> None:
    for each in found:
        if each.source is None:
            raise _lacks("sparknet", f" on {each.host}", other)
        if each.source != source():
            raise another_sparknet(each.host)
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
            raise differs("numpy", f"{each.versions['numpy']} on {each.host}", f"{here['numpy']} here")
    first, notes = found[0], []
    for package in DIGITS:
        for each in found:
            if each.versions[package] != first.versions[package]:
                there = f"{each.versions[package]} on {each.host}"
                raise differs(package, there, f"{first.versions[package]} on {first.host}")
        if first.versions[package] != here[package]:
            there = f"{first.versions[package]} on the executors ({first.host})"
            notes.append(f"{package} is {there}, {here[package]} here: last digits may differ from a run here")
    return notes


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
