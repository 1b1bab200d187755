"""Failures of what lies underneath (Arrow, engines, Spark) as diagnostics: what was done, and the first cause."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb

import pyarrow as pa

from sparknet.grammar.diagnostics import Label, SparkNetError
from sparknet.runtime.engines.base import EngineError
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.waits import CALL_SECONDS, in_time


class CallbackError(Exception):
    """What a callback of the caller raised, which goes back as it is."""

    def __init__(self, raised: Exception) -> None:
        super().__init__(str(raised))
        self.raised = raised


@contextmanager
def diagnosed(doing: str) -> Iterator[None]:
    """Turn what no one nearer to it caught into SparkNetError; other exceptions are bugs of ours and pass."""
    try:
        yield
    except CallbackError as error:
        raise error.raised from None
    except EngineError as error:
        raise worker_failure(doing, error) from error
    except pa.ArrowException as error:
        raise problem("R0003", f"{doing}: the data cannot be used: {first_cause(error)}") from error
    except Exception as error:
        if break_of(error) is not None or isinstance(error, _spark_errors()):
            raise _spark_failure(doing, error) from error
        raise


@contextmanager
def letting_go() -> Iterator[None]:
    """Let go of something of Spark, which may be gone: a failure in that says nothing that was not said before."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, *_spark_errors())):
            raise


def _spark_errors() -> tuple[type[Exception], ...]:
    """What pyspark raises, where it is in use at all: importing it takes long, and it may not be installed."""
    if "pyspark" not in sys.modules:
        return ()
    from pyspark.errors import PySparkException

    found: list[type[Exception]] = [PySparkException]
    if "py4j.protocol" in sys.modules:  # classic Spark
        found.append(sys.modules["py4j.protocol"].Py4JError)
    if "grpc" in sys.modules:  # Spark Connect
        found.append(sys.modules["grpc"].RpcError)
    return tuple(found)


# ----- a Java that is gone -----

_UNANSWERED = re.compile(r"An error occurred while calling \S+|\S+ does not exist in the JVM")
"""All that py4j says where its connection breaks in a call, or in looking up a class; of what Java raised it says more.

That there is no such class it says in the same words.
"""


def break_of(error: BaseException) -> BaseException | None:
    """The error of py4j, which `error` is or hides, that says that its connection to Java broke; else None.

    Before a call py4j lets the error of the socket through. pyspark hides all of them where it reads a schema.
    """
    py4j = sys.modules.get("py4j.protocol")
    if py4j is None:
        return None
    if isinstance(error, py4j.Py4JError):
        is_break = isinstance(error, py4j.Py4JNetworkError) or _UNANSWERED.fullmatch(str(error.args[0]))
        return error if is_break else None
    if isinstance(error, ConnectionError):
        frames = walk_tb(error.__traceback__)
        return error if any(frame.f_globals.get("__name__", "").startswith("py4j.") for frame, _ in frames) else None
    hidden = error.__cause__ or error.__context__
    return break_of(hidden) if hidden is not None and isinstance(error, _spark_errors()) else None


def _is_alive() -> bool:
    """Whether Java answers, asked for the time: a connection breaks too where its thread in Java runs out of memory."""
    from pyspark import SparkContext

    from sparknet.runtime.spark.quiet import quiet_py4j

    gateway = SparkContext._gateway
    if gateway is None:  # it has not come so far
        return False

    def ask() -> None:
        gateway.jvm.java.lang.System.currentTimeMillis()  # each name in it is looked up in Java

    try:
        with quiet_py4j():
            in_time(CALL_SECONDS, ask)
    except Exception as error:  # LateError too: what is not known is not said
        return break_of(error) is None
    return True


_STOPPED = re.compile(
    r"^(?:Caused by)?(?:: )?(?:[\w.$]+: )?(?:\[\w+\] )?(?:"
    r"(?:Job \d+|Stage) cancelled because SparkContext was shut down|"
    r"Cannot call methods on a stopped SparkContext|SparkContext has been shutdown)",
    re.MULTILINE,
)
"""How Spark says that it was ended from outside, as where Java got a SIGTERM."""


def has_ended(error: BaseException) -> bool:
    """Whether an error says that Spark itself has ended, so that no worker and no file is to blame."""
    text, broken = _read(error)
    return broken is not None or _STOPPED.search(text) is not None


def _read(error: BaseException) -> tuple[str, BaseException | None]:
    """The text of an error and `break_of` it; or of what reading it raises, as py4j asks Java for the words of Java's.

    Anything else that reading raises is raised.
    """
    try:
        return str(error), break_of(error)
    except Exception as unread:
        broken = break_of(unread)
        if broken is None:
            raise
        return str(unread), broken


# ----- failures as diagnostics -----

_NOBODY = "nothing answers any more where its Java process was"
_KILLED = "did memory run out? the kernel's log (`dmesg`) tells whether it killed the process"
_NO_SECOND = "in Python, begin a new process: pyspark starts no second Java in one"
_MEMORY = "lower `batch`, or give executors more memory beside Java's: `spark.executor.memoryOverhead`"

_DEATHS = (
    (re.compile(r"ExecutorLostFailure \(([^)\n]*)\)(?: Reason: ([^\n]*))?"), "an executor was lost: {}"),
    (re.compile(r"Python worker exited unexpectedly"), "its Python process died"),
)
"""How Spark says that a process is gone, which leaves no cause of its own behind; and how we say it."""


def _spark_failure(doing: str, error: Exception) -> SparkNetError:
    cause = first_cause(error)
    helps = (_KILLED, _NO_SECOND) if cause.startswith(_NOBODY) else ()
    return problem("R0033", f"{doing}: Spark failed: {cause}", helps=helps)


def worker_failure(doing: str, error: Exception, label: Label | None = None) -> SparkNetError:
    """A failed job as a diagnostic; `label` is the source that it read."""
    if has_ended(error):
        return _spark_failure(doing, error)
    cause, helps = first_cause(error), tuple[str, ...]()
    for sign, words in _DEATHS:
        found = sign.search(str(error))
        if found is not None:
            cause, helps = words.format(*filter(None, reversed(found.groups()))), (_KILLED, _MEMORY)
            break
    return problem("R0031", f"{doing}: a worker failed: {cause[:500]}", label=label, helps=helps)


def first_cause(error: Exception) -> str:
    """The innermost cause that an error names: Python's last, else Java's last `Caused by`, else its first line."""
    text, broken = _read(error)
    if broken is not None and not _is_alive():
        return f"{_NOBODY} ({broken})"
    details = getattr(error, "details", None)  # of gRPC, whose errors are texts of many lines otherwise
    text = str(details()) if callable(details) else text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"([\w.]+(Error|Exception)|SystemExit): ", line)]
    java = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    top = [line.removeprefix(": ") for line in lines if line.startswith(": ")]  # Java's own, as py4j writes it
    cause = (python[-1:] or java[-1:] or top[:1] or lines[:1] or [type(error).__name__])[0]
    return re.sub(r"^[\w.$]+(Error|Exception): ", "", cause)[:500]
