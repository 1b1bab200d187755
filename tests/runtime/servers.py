"""A Spark Connect server and a cluster of our own, from the jars that pyspark brings."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep

import pyspark

SPARK_HOME = Path(pyspark.__file__).parent
ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0


def free_port() -> int:
    """A port that nothing listened at a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def service(folder: Path, name: str, command: list[str], port: int, more: Mapping[str, str]) -> Iterator[None]:
    """A program of Spark's `bin` that listens at a port, with its output in `folder`; it ends with the block."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "PYSPARK_", "PYTHON"))},
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        **more,
    }
    log = folder / f"{name}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=sink, stderr=subprocess.STDOUT)
    try:
        until = monotonic() + START_SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()[-3000:]
            assert monotonic() < until, log.read_text()[-3000:]
            sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def bare_python(folder: Path) -> Path:
    """A Python that has all packages of this one but sparknet, as the executors of a cluster may."""
    packages = folder / "packages"
    packages.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "sparknet" not in path.name.lower() and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{packages}:$PYTHONPATH" exec "{sys.executable}" -S "$@"\n', "utf-8")
    python.chmod(0o755)
    return python


@contextmanager
def connect_server(folder: Path, python: Path) -> Iterator[str]:
    """A Spark Connect server with two task slots, whose tasks run `python`; gives its address."""
    port = free_port()
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
    }
    confs = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    submit = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]", *confs]
    command = [*submit, "--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with service(folder, "connect", command, port, {"PYSPARK_PYTHON": str(python)}):
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def standalone(folder: Path) -> Iterator[str]:
    """A cluster of two workers with a core each, at two addresses of this machine; gives that of its master.

    Spark runs the copy of a task at another host only, and all workers of `local-cluster` are at one.
    """
    ports = [free_port() for _ in range(4)]
    program, package = str(SPARK_HOME / "bin" / "spark-class"), "org.apache.spark.deploy"
    master = f"spark://127.0.0.1:{ports[0]}"
    given = ["--host", "127.0.0.1", "--port", str(ports[0]), "--webui-port", str(ports[1])]
    with ExitStack() as stack:
        stack.enter_context(service(folder, "master", [program, f"{package}.master.Master", *given], ports[0], {}))
        for number, port in enumerate(ports[2:], 1):
            given = ["--host", f"127.0.0.{number}", "--webui-port", str(port), "--cores", "1", "--memory", "700m"]
            command = [program, f"{package}.worker.Worker", *given, "--work-dir", str(folder / "work"), master]
            stack.enter_context(service(folder, f"worker-{number}", command, port, {}))
        yield master


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
