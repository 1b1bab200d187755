"""The program at the head of docs/ml.md, word for word: by `python`, by `spark-submit` and on Spark Connect."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from tests.ml.test_docs import PROGRAM
from tests.runtime.servers import ROOT, SPARK_HOME, bare_python, connect_server

PYTHON = [sys.executable]
SUBMIT = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", "local[2]"]


def run(command: list[str], folder: Path, more: dict[str, str]) -> str:
    """What a program says."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "PYSPARK_"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(
        command, cwd=folder, env={**environment, **more}, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def check(folder: Path, score: list[str], more: dict[str, str]) -> None:
    """Tune, save, and in a new process load and score to the same accuracy."""
    for name, text in zip(("tune.py", "score.py"), PROGRAM, strict=True):
        (folder / name).write_text(text, "utf-8")
    accuracy = float(run([*PYTHON, "tune.py"], folder, more).split()[-1].rstrip("%"))
    assert accuracy > 90
    said = ast.literal_eval(run([*score, "score.py"], folder, more).splitlines()[-1])
    assert round(100 * said["accuracy"], 1) == accuracy


def test_on_classic_spark(tmp_path: Path) -> None:
    check(tmp_path, SUBMIT, {})
    assert (tmp_path / "digits-model" / "stages").is_dir()


def test_on_spark_connect(tmp_path: Path) -> None:
    """The tasks of the server find no sparknet until the session brings it; this side has no Java."""
    server = tmp_path / "server"
    server.mkdir()
    with connect_server(server, bare_python(server)) as url:
        check(tmp_path, PYTHON, {"SPARK_REMOTE": url, "JAVA_HOME": str(tmp_path)})
    assert (server / "digits-model" / "stages").is_dir(), "paths are the server's"
