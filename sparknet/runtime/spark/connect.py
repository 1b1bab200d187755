"""Spark Connect: a session at a server elsewhere, and pyspark's functions speaking to the session that is meant."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from threading import Lock, get_ident
from typing import cast
from urllib.parse import urlsplit

from pyspark.sql import DataFrame, SparkSession

from sparknet.runtime.failures import first_cause
from sparknet.runtime.problems import listing, problem
from sparknet.runtime.spark.waits import START_SECONDS, LateError, in_time

PORT = 15002
LISTEN_SECONDS = 20.0
"""How long a socket may take."""

_PACKAGES = {"grpc": "grpcio", "grpc_status": "grpcio-status", "google.rpc": "googleapis-common-protos"}
_PACKAGES["zstandard"] = "zstandard"
_MODE = "SPARK_CONNECT_MODE_ENABLED"


def is_connect_session(session: SparkSession) -> bool:
    """Whether a session is one of Spark Connect, which has no context and no JVM."""
    return type(session).__module__.startswith("pyspark.sql.connect.")


def session_id(session: SparkSession) -> str:
    """What tells sessions apart, for which pyspark may make several objects each."""
    return str(session.session_id if is_connect_session(session) else session._jsparkSession.sessionUUID())  # type: ignore[attr-defined]


@contextmanager
def words_for(of: SparkSession | DataFrame) -> Iterator[None]:
    """Let pyspark's functions make columns for the session of `of`, whatever else runs in this process.

    They go by an environment variable that `SparkSession.builder` sets once. It is missing where a session was made by
    `pyspark.sql.connect` directly, and it is in the way of a classic session beside one of Spark Connect. All threads
    share it: it is as it was before once the last of them is done. Raises SparkNetError while another thread needs the
    other kind.
    """
    session = of if not isinstance(of, DataFrame) else of.sparkSession
    use = get_ident(), is_connect_session(session)
    with _LOCK:
        if any(thread != use[0] and kind != use[1] for thread, kind in _USES):
            raise problem(
                "R0068",
                "another thread uses Spark Connect, or Spark without it, at this moment",
                notes=["pyspark's functions make columns for one of both at a time in a process"],
                helps=["let one end before the other begins, or give each a process"],
            )
        if not _USES:
            _BEFORE.append(os.environ.get(_MODE))
        _USES.append(use)
        _set_mode("1" if use[1] else None)
    try:
        yield
    finally:
        with _LOCK:
            _USES.remove(use)
            _set_mode(("1" if _USES[-1][1] else None) if _USES else _BEFORE.pop())


_LOCK = Lock()
_USES: list[tuple[int, bool]] = []
"""Who needs which kind of words at the moment: the thread, and whether it is those of Spark Connect."""
_BEFORE: list[str | None] = []
"""What the variable was before the first of them."""


def _set_mode(value: str | None) -> None:
    if value is None:
        os.environ.pop(_MODE, None)
    else:
        os.environ[_MODE] = value


def check_packages() -> None:
    """Raise SparkNetError unless the packages that pyspark needs for Spark Connect are installed."""
    missing = [package for module, package in _PACKAGES.items() if not _is_installed(module)]
    if missing:
        helps = ["pip install 'sparknet[connect]'"]
        raise problem("R0062", f"Spark Connect needs {listing(missing)}, which this Python lacks", helps=helps)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package around it
        return False


def connect(url: str, seconds: float = START_SECONDS) -> SparkSession:
    """A session of our own at `url`; raises SparkNetError where no server answers in time.

    Left to itself, the client would try again for many minutes.
    """
    check_packages()
    _check_listens(url, seconds)
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    try:
        session = ConnectSession.builder.remote(url).create()  # calls nobody
    except Exception as error:
        raise problem("R0063", f"`{url}` is no address of a Spark Connect server: {first_cause(error)}") from error
    try:
        in_time(seconds, lambda: session.version)
    except Exception as error:
        session.client.close()  # or its retries would hold up the end of this process for many minutes
        if not isinstance(error, LateError):
            raise problem("R0061", f"Spark Connect at `{url}`: {first_cause(error)}") from error
        raise problem(
            "R0061",
            f"Spark Connect at `{url}` takes a connection, but does not answer in {seconds:g} s",
            helps=["is it a Spark Connect server that listens there, and does it want `;use_ssl=true` or a token?"],
        ) from error
    return cast(SparkSession, session)


def _check_listens(url: str, seconds: float) -> None:
    """Raise SparkNetError where nothing listens at the host and port of `url`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host, port = None, PORT
    if host is None:
        helps = [f"write `sc://host:{PORT}`, and parameters behind it as in `sc://host:443/;use_ssl=true;token=...`"]
        raise problem("R0063", f"`{url}` is no address of a Spark Connect server", helps=helps)
    try:
        socket.create_connection((host, port), timeout=min(seconds, LISTEN_SECONDS)).close()
    except OSError as error:
        raise problem(
            "R0061",
            f"no Spark Connect server listens at `{host}:{port}`: {error.strerror or error}",
            helps=["`start-connect-server.sh` of Spark starts one", "is the port right, and open to this machine?"],
        ) from error
