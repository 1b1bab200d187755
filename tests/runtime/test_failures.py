"""Java that dies and Spark that is stopped get one diagnostic each, whichever call meets it, and no tracebacks."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from py4j.clientserver import ClientServer, JavaParameters, PythonParameters
from py4j.java_gateway import JavaObject
from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.classic.dataframe import DataFrame as ClassicDataFrame

from sparknet.grammar import SparkNetError
from sparknet.runtime.failures import diagnosed, worker_failure
from sparknet.runtime.spark.quiet import quiet_accumulators, quiet_py4j
from tests.runtime.conftest import only


def ask(java: ClientServer) -> object:
    return java.entry_point.toString()


def read_schema(java: ClientServer) -> object:
    return ClassicDataFrame(JavaObject("o1", java._gateway_client), SparkSession.active()).schema


@pytest.mark.parametrize(
    ("call", "answers", "token", "raises"),
    [
        (ask, False, None, ConnectionRefusedError),
        (ask, True, "secret", Py4JNetworkError),
        (ask, True, None, Py4JError),
        (lambda java: java.jvm.java, True, None, Py4JError),
        (read_schema, False, None, PySparkException),
        (read_schema, True, None, PySparkException),
    ],
    ids=["before", "connecting", "in a call", "looking up a class", "before a schema", "in a schema"],
)
def test_java_that_died_is_a_diagnostic(
    call: Callable[[ClientServer], object],
    answers: bool,
    token: str | None,
    raises: type[Exception],
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever meets it first; but a broken connection to a Java that answers, or to another's, says no such thing."""
    with socket.socket() as port, client_of(port, token) as java:
        if answers:
            port.listen()
            threading.Thread(target=hang_up, args=[port], daemon=True).start()
        with pytest.raises(raises) as gone, quiet_py4j():
            call(java)
        port.close()
        told = "R0033 training: Spark failed: nothing answers any more where its Java process was"
        with pytest.raises(SparkNetError) as error, diagnosed("training"):
            raise gone.value
        assert only(error).startswith("R0033 training: Spark failed: ")
        assert not only(error).startswith(told)
        monkeypatch.setattr("pyspark.SparkContext._gateway", java)
        with pytest.raises(SparkNetError) as error, diagnosed("training"):
            raise gone.value
        assert only(error).startswith(told)
        assert worker_failure("training", gone.value).diagnostics[0].message.startswith(told.partition(" ")[2])
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    with pytest.raises(ConnectionRefusedError), diagnosed("training"):
        raise ConnectionRefusedError(111, "Connection refused")


@contextmanager
def client_of(port: socket.socket, token: str | None = None) -> Iterator[ClientServer]:
    """py4j's end of a link to a Java that would be at a port."""
    port.bind(("127.0.0.1", 0))
    java = ClientServer(JavaParameters(port=port.getsockname()[1], auth_token=token), PythonParameters(port=0))
    try:
        yield java
    finally:
        java.shutdown()


def hang_up(port: socket.socket) -> None:
    """End as a process that is killed does: its connection is reset while an answer is waited for."""
    with port.accept()[0] as connection:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_java_that_dies_before_its_error_is_read_is_a_diagnostic(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as port, client_of(port) as java:
        monkeypatch.setattr("pyspark.SparkContext._gateway", java)
        with pytest.raises(SparkNetError) as error, diagnosed("training"):
            raise Py4JJavaError("An error occurred while calling o1.x.\n", JavaObject("o2", java._gateway_client))
    assert only(error).startswith("R0033 training: Spark failed: nothing answers any more where its Java process was")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{}SparkException: {}", "Job 3 cancelled because SparkContext was shut down"),
        ("An error\nCaused by: {}IllegalStateException: {}", "SparkContext has been shutdown"),
        ("Calling o4.x.\n: {}IllegalStateException: {}", "Cannot call methods on a stopped SparkContext"),
    ],
)
def test_spark_that_was_stopped_is_no_workers_failure(text: str, cause: str) -> None:
    (found,) = worker_failure("round 1", PySparkException(text.format("java.lang.", cause))).diagnostics
    assert f"{found.code} {found.message}" == f"R0033 round 1: Spark failed: {cause}"


def test_a_worker_that_speaks_of_a_stopped_spark_has_failed_all_the_same() -> None:
    (found,) = worker_failure(
        "round 1", PySparkException("ValueError: told: SparkContext has been shutdown")
    ).diagnostics
    assert f"{found.code} {found.message}" == "R0031 round 1: a worker failed: told: SparkContext has been shutdown"


def test_others_log_while_py4j_does_not(caplog: pytest.LogCaptureFixture) -> None:
    with quiet_py4j():
        logging.getLogger("py4j.clientserver").error("told")
        logging.error("told")
    assert len(caplog.records) == 2


def test_accumulators_are_silent_about_connections_that_break(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server: Any = spark.sparkContext._accumulatorServer
    monkeypatch.setattr(server, "handle_error", server.handle_error)
    quiet_accumulators()
    server.handle_error(None, None)
    assert capsys.readouterr().err == ""


def test_what_java_itself_raises_does_not_say_that_it_died(spark: SparkSession) -> None:
    java = spark.sparkContext._jvm
    assert java is not None
    with pytest.raises(SparkNetError) as error, diagnosed("training"):
        java.java.lang.Integer.parseInt("x")
    assert only(error) == 'R0033 training: Spark failed: For input string: "x"'
    with pytest.raises(SparkNetError) as error, diagnosed("training"):
        java.java.lang.Integer.parse("x")
    assert only(error) == "R0033 training: Spark failed: java.lang.Integer.parse does not exist in the JVM"
