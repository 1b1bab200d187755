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
        if is_gone(error) or isinstance(error, _spark_errors()):
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


_UNANSWERED = re.compile(r"An error occurred while calling \S+")
"""All that py4j says where the connection broke in the middle of a call; of what Java raised it says more."""


def is_gone(error: BaseException) -> bool:
    """Whether py4j found nobody at the other end: Java has died, before a call or in the middle of it.

    Before a call py4j lets the error of the socket through. Where a class was to be looked up it says that there is
    none, as it does where there is none.
    """
    py4j = sys.modules.get("py4j.protocol")
    if py4j is not None and isinstance(error, py4j.Py4JError):
        said = str(error.args[0])
        return (
            isinstance(error, py4j.Py4JNetworkError)
            or _UNANSWERED.fullmatch(said) is not None
            or (said.endswith(" does not exist in the JVM") and not _answers())
        )
    frames = walk_tb(error.__traceback__) if isinstance(error, ConnectionError) else ()
    return any(frame.f_globals.get("__name__", "").startswith("py4j.") for frame, _ in frames)


def _answers() -> bool:
    """Whether the Java of pyspark does, asked for the time."""
    from pyspark import SparkContext

    try:
        if SparkContext._gateway is not None:
            SparkContext._gateway.jvm.java.lang.System.currentTimeMillis()
    except Exception as error:
        if isinstance(error, (OSError, *_spark_errors())):
            return False
        raise
    return True


def _spark_failure(doing: str, error: Exception) -> SparkNetError:
    return problem("R0033", f"{doing}: Spark failed: {first_cause(error)}")


_DEATHS = (
    (re.compile(r"ExecutorLostFailure \(([^)\n]*)\)(?: Reason: ([^\n]*))?"), "an executor was lost: {}"),
    (re.compile(r"Python worker exited unexpectedly"), "its Python process died"),
)
"""How Spark says that a process is gone, which leaves no cause of its own behind; and how we say it."""

_MEMORY = (
    "did memory run out? the kernel's log (`dmesg`) tells whether it killed the process",
    "lower `batch`, or give executors more memory beside Java's: `spark.executor.memoryOverhead`",
)


def worker_failure(doing: str, error: Exception, label: Label | None = None) -> SparkNetError:
    """A failed job as a diagnostic; `label` is the source that it read."""
    if is_gone(error):
        return _spark_failure(doing, error)
    cause, helps = first_cause(error), tuple[str, ...]()
    for sign, words in _DEATHS:
        found = sign.search(str(error))
        if found is not None:
            cause, helps = words.format(*filter(None, reversed(found.groups()))), _MEMORY
            break
    return problem("R0031", f"{doing}: a worker failed: {cause[:500]}", label=label, helps=helps)


def first_cause(error: Exception) -> str:
    """The innermost cause that an error names: Python's last, else Java's last `Caused by`, else its first line."""
    if is_gone(error):
        return f"nothing answers any more where its Java process was ({error})"
    details = getattr(error, "details", None)  # of gRPC, whose errors are texts of many lines otherwise
    text = str(details() if callable(details) else error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"([\w.]+(Error|Exception)|SystemExit): ", line)]
    java = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    cause = (python[-1:] or java[-1:] or lines[:1] or [type(error).__name__])[0]
    return re.sub(r"^[\w.$]+(Error|Exception): ", "", cause)[:500]
