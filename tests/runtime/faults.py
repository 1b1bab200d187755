"""An engine that fails as it is told, in the midst of a round: what the fault tests hand to Spark's workers.

The orders are files in a folder that driver and workers share, `NUMBER.KIND`. Each is carried out once, by the task
that renames it first, before its second step. Workers import this module from the folder that holds the package too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

import numpy as np
from pyspark import TaskContext

from sparknet.runtime.engines.base import Floats, Graph, OnnxRuntimeEngine, Step, Trained
from sparknet.runtime.spark.exchange import AverageSegments
from sparknet.runtime.spark.preparing import Batches

DEADLINE = 120.0
"""Seconds after which a worker waits no more for its end, so that no test hangs."""


@dataclass(frozen=True)
class Faults(OnnxRuntimeEngine):
    """Stock ONNX Runtime, but for the faults that are ordered in `folder`."""

    folder: Path
    seed: int | None = None
    """Where it is given, workers and executors die at random steps besides, as torchft's punisher kills them."""

    def train(self, graph: Graph, parameters: Floats, optimizer_state: Floats, steps: Iterable[Step]) -> Trained:
        return super().train(graph, parameters, optimizer_state, self._struck(steps))

    def _struck(self, steps: Iterable[Step]) -> Iterator[Step]:
        for number, step in enumerate(steps):
            if number == 1:
                self._strike()
            if self.seed is not None:
                self._punish(step)
            yield step

    def _strike(self) -> None:
        task = TaskContext.get()
        if task is None:  # the run that nothing happens to, in the test's own process
            return
        again = self.folder / f"again.{_place()}"
        if task.attemptNumber():
            again.touch()
        if (self.folder / "raise-always").exists():
            raise RuntimeError("the sensor is on fire")
        if (self.folder / "worker-always").exists():
            os.kill(os.getpid(), SIGKILL)
        if self._claim("raise"):
            raise RuntimeError("the sensor is on fire")
        if self._claim("worker"):
            os.kill(os.getpid(), SIGKILL)
        if self._claim("executor"):
            os.kill(executor(), SIGKILL)
            time.sleep(DEADLINE)
        if self._claim("late"):  # two copies of the task compute, and both end
            end = time.monotonic() + DEADLINE
            while time.monotonic() < end and not again.exists():
                time.sleep(0.02)
        if self._claim("hang"):  # only the copy ends
            time.sleep(DEADLINE)

    def _punish(self, step: Step) -> None:
        """Die, once in a hundred steps: the draw goes by the step and not by the clock, which runs with the load."""
        task = TaskContext.get()
        if task is None:
            return
        draw = np.random.Generator(np.random.Philox(key=[self.seed or 0, step.seed ^ task.attemptNumber()])).random()
        kind = "executor" if draw < 0.003 else "worker"
        died = self.folder / f"{step.seed}-{task.attemptNumber()}.{kind}-done"
        if draw < 0.012 and not died.exists():
            died.write_text(_place())
            os.kill(executor() if kind == "executor" else os.getpid(), SIGKILL)
            time.sleep(DEADLINE)

    def _claim(self, kind: str) -> bool:
        return claim(self.folder, kind)


@dataclass(frozen=True)
class DyingAverage(AverageSegments):
    """Averages slices, but for the task that finds an order to die of it, behind the first mean."""

    folder: Path

    def __call__(self, batches: Batches) -> Batches:
        for number, batch in enumerate(super().__call__(batches)):
            if number == 1 and claim(self.folder, "averaging"):
                os.kill(os.getpid(), SIGKILL)
            yield batch


def claim(folder: Path, kind: str) -> bool:
    """Whether this task is the one to carry out an order of this kind."""
    for order in sorted(folder.glob(f"*.{kind}")):
        done = order.with_suffix(f".{kind}-done")
        try:
            order.rename(done)
        except FileNotFoundError:
            continue
        done.write_text(_place())
        return True
    return False


def executor() -> int:
    """The process of the executor that this worker computes for: it started the daemon that forked the worker."""
    stat = Path(f"/proc/{os.getppid()}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def order(folder: Path, number: int, kind: str) -> None:
    """Order a fault."""
    (folder / f"{number}.{kind}").touch()


def carried_out(folder: Path) -> list[str]:
    """The faults that have struck, in order."""
    return [path.suffix[1:].removesuffix("-done") for path in sorted(folder.glob("*-done"))]


def tried_again(folder: Path) -> list[str]:
    """The faults that have struck, of those whose task another one computed, too: after them, or at the same time."""
    done = [path for path in sorted(folder.glob("*-done")) if (folder / f"again.{path.read_text()}").exists()]
    return [path.suffix[1:].removesuffix("-done") for path in done]


def _place() -> str:
    """The task of a worker, whichever of its attempts."""
    task = TaskContext.get()
    assert task is not None
    return f"{task.stageId()}-{task.partitionId()}"
