"""Processes of a cluster that die, hang, run twice, come and go: the bytes are those of a run that nothing happened to.

Slow, because what takes the place of an executor that dies has to load Java, Python and ONNX Runtime first. All runs
share one process and one Spark context, of `cluster.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.conftest import DIGITS

ROOT = Path(__file__).parents[2]
NET = f"""
net Slow {{
  input image: float[1, 8, 8]
  (8, 3, 3, 16, "RELU")
  flatten -> dense(10)
  output digit: class[10]
}}
{DIGITS}train {{
  steps   = 240
  workers = 2
  batch   = 24
  sync    = average(every: 30)
}}
"""


@pytest.fixture(scope="module")
def became(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of each run, by its name."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "slow.net").write_text(NET)
    command = [sys.executable, "-m", "tests.runtime.cluster", str(folder / "slow.net"), str(folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_one_fault_in_each_round(became: dict[str, Any]) -> None:
    """An exception; a worker, then an executor killed; a task whose copy ends, too, and one whose copy alone does."""
    found = became["one a round"]
    assert found["struck"] == ["raise", "worker", "executor", "late", "hang"]
    assert {"raise", "worker", "late", "hang"} <= set(found["again"])  # a stage that began anew counts from 0 again
    assert found["gone"] == 1
    assert (found["digest"], found["rounds"]) == (became["undisturbed"], 8)


def test_workers_and_executors_killed_at_random(became: dict[str, Any]) -> None:
    found = became["punished"]
    assert set(found["struck"]) == {"worker", "executor"}
    assert found["gone"] > 0
    assert (found["digest"], found["rounds"]) == (became["undisturbed"], 8)


def test_executors_taken_away_added_and_all_lost(became: dict[str, Any]) -> None:
    found = became["scaled"]
    assert found["gone"] == 2
    assert (found["digest"], found["rounds"]) == (became["undisturbed"], 8)


def test_an_executor_killed_between_two_pieces_of_the_averages(became: dict[str, Any]) -> None:
    found = became["pieces"]
    assert found["gone"] == 1
    assert (found["digest"], found["rounds"]) == (became["undisturbed"], 8)


def test_all_executors_are_seen_though_they_have_just_been_asked_for(became: dict[str, Any]) -> None:
    assert became["seen"] == 2
