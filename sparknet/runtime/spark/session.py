"""A Spark session of our own, for the command line: quiet, local by default, its Python workers running this Python."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from pyspark.sql import SparkSession, is_remote

import sparknet
from sparknet.runtime.failures import first_cause, letting_go
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.connect import connect
from sparknet.runtime.spark.java import check_java, java_note
from sparknet.runtime.spark.masters import SUBMITTED, chosen_master, is_connect
from sparknet.runtime.spark.quiet import quiet_accumulators, quiet_start
from sparknet.runtime.spark.waits import LONGER, START_SECONDS, LateError, in_time

_TRIES = 4
"""How often Spark tries a task before the job fails; its own default on clusters."""

_LOG4J = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = spark: %p %c{1}: %m%n%ex
# Spark announces a level of its own for this logger unless it equals the root's.
logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer
logger.gateway.level = error
# A failed task comes back to Python as an exception, and from there to the user as one message.
logger.tasks.name = org.apache.spark.executor.Executor
logger.tasks.level = off
logger.sets.name = org.apache.spark.scheduler.TaskSetManager
logger.sets.level = off
logger.files.name = org.apache.spark.sql.execution.datasources.FileFormatWriter
logger.files.level = off
logger.utils.name = org.apache.spark.util.Utils
logger.utils.level = off
"""


def running_session() -> SparkSession | None:
    """The session that someone else has in this process, or one on their context; None where no Spark runs here.

    `getOrCreate` would set our settings on theirs, and `stop` would end it under their hands.
    """
    _await_given_up()
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    if is_remote():
        return None
    from pyspark import SparkContext

    context = SparkContext._active_spark_context
    return None if context is None or getattr(context, "_jsc", None) is None else SparkSession(context)


def start_session(master: str | None = None, name: str = "sparknet", seconds: float = START_SECONDS) -> SparkSession:
    """A session on `master`, by default as `chosen_master` says; raises SparkNetError where none starts."""
    master = chosen_master(master)
    if is_connect(master):
        return connect(master, seconds)
    _await_given_up()
    if master == SUBMITTED:
        return _started(SparkSession.builder, master, seconds)
    check_java()
    with tempfile.TemporaryDirectory(prefix="sparknet-") as folder, _environment(master), quiet_start():
        log4j = Path(folder, "log4j2.properties")
        log4j.write_text(_LOG4J, "utf-8")
        builder = SparkSession.builder.master(_with_retries(master)).appName(name)
        for key, value in _settings(master, log4j).items():
            builder = builder.config(key, value)
        return _started(builder, master, seconds)


def _started(builder: SparkSession.Builder, master: str, seconds: float) -> SparkSession:
    """A session; a cluster's scheduler, which may have no room for us for hours, is waited for so long.

    A session that comes later, or behind Ctrl-C, is stopped: it would keep executors that nobody uses. On a thread of
    its own, for on the main one Ctrl-C would meet pyspark in the midst of talking to Java, and leave Java behind.
    """
    found, ended = list[SparkSession](), Event()

    def start() -> None:
        try:
            found.append(builder.getOrCreate())
        finally:
            ended.set()

    try:
        in_time(seconds, start)
        quiet_accumulators()
        return found[0]
    except LateError as error:
        _give_up(found, ended)
        helps = ["has the cluster room for one more application?", LONGER]
        raise problem("R0064", f"Spark has not started on `{master}` in {seconds:,.0f} s", helps=helps) from error
    except Exception as error:  # of the start itself, which has given nothing
        message = f"Spark does not start on `{master}`: {first_cause(error)}"
        raise problem("R0061", message, notes=java_note()) from error
    except BaseException:
        _give_up(found, ended)
        raise


_LEFT: list[Event] = []
"""Of starts that were given up: whether each has ended, and what it gave has been stopped."""


def _give_up(found: Sequence[SparkSession], ended: Event) -> None:
    """Stop what a start gives, once it has `ended`, on a thread of its own."""
    stopped = Event()

    def stop() -> None:
        ended.wait()
        for session in found:
            _stop(session)
        stopped.set()

    _LEFT.append(stopped)
    threading.Thread(target=stop, name="sparknet-give-up", daemon=True).start()


def _await_given_up() -> None:
    """Wait for starts that were given up: what they give would be taken for a session that somebody uses."""
    for stopped in list(_LEFT):
        if stopped.wait(_GIVEN_UP_SECONDS):
            _LEFT.remove(stopped)


_GIVEN_UP_SECONDS = 30.0
"""So long, for a cluster's scheduler may have no room for hours."""


def _stop(session: SparkSession) -> None:
    with letting_go():
        session.stop()


def _with_retries(master: str) -> str:
    """The master, one in this process told to try a task as often as clusters do: by itself it gives up at once."""
    found = re.fullmatch(r"local(?:\[([^,\]]+)\])?", master)
    return f"local[{found[1] or 1},{_TRIES}]" if found else master


def _settings(master: str, log4j: Path) -> dict[str, str]:
    package = str(Path(sparknet.__file__).parent.parent)
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Otherwise pyspark looks up the caller's frame for every column, and prints failed queries as JSON by itself.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.driver.extraJavaOptions": " ".join(
            [f"-Dlog4j2.configurationFile={log4j.as_uri()}", *_java_options(master)]
        ),
        "spark.python.worker.reuse": "true",
        # The text of a plan for the UI, of every job's: the long form takes a tenth of the driver's time.
        "spark.sql.ui.explainMode": "simple",
        # Wherever this package is imported from, Python workers that see the same file system find it too.
        "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])),
    }
    if master.startswith("local"):
        # A round is one small stage: planning it adaptively and compiling it to Java takes longer than running it.
        settings |= {
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
            # Trained parameters come back in a task's result, not by a detour through the block manager.
            "spark.task.maxDirectResultSize": str(1 << 29),
        }
    if _is_in_process(master):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return settings


def _java_options(master: str) -> Sequence[str]:
    """In this process a JVM lives for a run of minutes, beside Python workers that need its cores.

    Compiled quickly and not again, and swept by one thread, it takes half the processor time in a first run, and a
    fifth less in those behind it.
    """
    return ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC") if _is_in_process(master) else ()


def _is_in_process(master: str) -> bool:
    return master == "local" or master.startswith("local[")


@contextmanager
def _environment(master: str) -> Iterator[None]:
    """Environment variables that Spark reads once, at its start."""
    wanted: dict[str, str | None] = {"PYSPARK_PYTHON": sys.executable}
    if not master.startswith("local"):  # on a cluster, this interpreter's path may mean nothing
        wanted["PYSPARK_PYTHON"] = os.environ.get("PYSPARK_PYTHON", sys.executable)
    wanted["SPARK_REMOTE"] = None  # or pyspark would go there, whatever the master
    if _is_in_process(master):
        wanted["SPARK_LOCAL_IP"] = "127.0.0.1"
    before = {name: os.environ.get(name) for name in wanted}
    _set_environment(wanted)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
