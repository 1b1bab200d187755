"""Executors that come after the first look at them: each task compares itself with what was found then."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sparknet
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.preparing import Batches
from sparknet.runtime.spark.probe import make_digest
from sparknet.runtime.versions import versions

DIGITS = ("numpy", "onnxruntime", "onnxruntime-training-cpu")
"""Packages whose versions decide the last digits."""


@dataclass(frozen=True)
class Alike:
    """What every executor of a run has: the digest of its sparknet, and versions, as they were found on `host`."""

    source: str
    host: str
    versions: Mapping[str, str]

    def check(self) -> None:
        """Raise SparkNetError where this process has others; Spark tries the task again, elsewhere perhaps."""
        host = socket.gethostname()
        if f"-{self.source}.zip" not in sparknet.__file__ and _source() != self.source:
            raise another_sparknet(host)
        for package in DIGITS:
            here, there = _versions()[package], self.versions.get(package)
            if here != there:
                raise differs(package, f"{here} on {host}", f"{there} on {self.host}")


@dataclass(frozen=True)
class Checked:
    """A job for processes that are like those which were looked at before the run."""

    job: Callable[[Batches], Batches]
    alike: Alike

    def __call__(self, batches: Batches) -> Batches:
        """As the job; raises SparkNetError in another process."""
        self.alike.check()
        return self.job(batches)


def differs(package: str, there: str, here: str) -> SparkNetError:
    """The error of a package in two versions, each with its place."""
    helps = [f"install the same {package} in both places: executors take the Python of `spark.pyspark.python`"]
    return problem("R0066", f"{package} is {there}, {here}", helps=helps)


def another_sparknet(host: str) -> SparkNetError:
    """The error of a Python process that has imported another sparknet than that of the run."""
    message = f"the executors' Python took another sparknet before this run, on {host}"
    return problem("R0066", message, helps=["begin a new Spark session, whose Python workers are new too"])


@cache
def _source() -> str:
    return make_digest()(str(Path(sparknet.__file__).parent))


@cache
def _versions() -> dict[str, str]:
    return versions()
