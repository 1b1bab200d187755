"""What Spark, pyspark and py4j print beside what we say, in a session of our own."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The JVM prints it before any setting of ours is read, at every start, and it asks nothing of anybody.
_CHATTER = re.compile(rb"WARNING: Using incubator modules: jdk\.incubator\.vector\s*")


@contextmanager
def quiet_start() -> Iterator[None]:
    """Start the JVM with its stderr in a pipe, from which everything but known chatter goes on to our stderr.

    The JVM keeps the pipe for its life; only the file descriptor of this process is put back at the end.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # this process has no stderr
        yield
        return
    source, sink = os.pipe()
    threading.Thread(target=_relay, args=(source, terminal), name="sparknet-stderr", daemon=True).start()
    sys.stderr.flush()
    os.dup2(sink, 2)
    os.close(sink)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)


def _relay(source: int, target: int) -> None:
    with os.fdopen(source, "rb") as lines, os.fdopen(target, "wb", buffering=0, closefd=False) as out:
        for line in lines:
            if not _CHATTER.fullmatch(line):
                out.write(line)


@contextmanager
def quiet_py4j() -> Iterator[None]:
    """Have py4j log no errors of its connections, with tracebacks, as where Java dies: our diagnostic says it."""

    def is_other(record: logging.LogRecord) -> bool:
        return Path(record.pathname).parent.name != "py4j"

    loggers = [logging.getLogger(name) for name in (None, "py4j.java_gateway", "py4j.clientserver")]  # None: the root
    for logger in loggers:
        logger.addFilter(is_other)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_other)


def quiet_accumulators() -> None:
    """Have pyspark's server of accumulators, which nothing of ours uses, print no traceback where Java dies."""
    from pyspark import SparkContext

    server = getattr(SparkContext._active_spark_context, "_accumulatorServer", None)
    if server is not None:
        server.handle_error = lambda request, address: None
