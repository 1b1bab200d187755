"""One Spark session for all tests that need one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from sparknet.runtime.spark.session import start_session


def pytest_configure() -> None:
    """Let Ctrl-C be heard, by the processes that tests start too: a shell that starts tests behind `&` ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def spark_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session of all tests keeps blocks and shuffles on disk."""
    return tmp_path_factory.mktemp("spark")


@pytest.fixture(scope="session")
def spark(spark_files: Path) -> Iterator[SparkSession]:
    """The session of all tests: `local[2]`, started as the command line starts it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SPARK_LOCAL_DIRS", str(spark_files))
        session = start_session("local[2]")
    yield session
    session.stop()
