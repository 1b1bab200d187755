"""The memory that training takes on executors, against what they have: known from the net, before any data is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.summary import summarize
from sparknet.runtime.problems import problem
from sparknet.runtime.spark.cluster import Cluster, Found, Settings, tasks_at_once
from sparknet.runtime.spark.sizes import MIB, size_of

PROCESS = 170 * MIB
VECTORS = 10
ACTIVATIONS = 4
"""What the peak of a Python worker in a round was measured as (`python bench/worker_memory.py`): the process itself, so
many times the parameters and the optimizer's state, so many times the results of all layers for a batch. The vectors
are there as received, as read, as the engine's input and output with the gradients between, and as sent."""

_LEAST_OVERHEAD = "384m"


@dataclass(frozen=True)
class Need:
    """What a task takes at its peak, in bytes."""

    vectors: int
    """Parameters and optimizer's state, float32."""
    activations: int
    """The results of all layers for a batch."""

    @property
    def total(self) -> int:
        """All of it."""
        return PROCESS + VECTORS * self.vectors + ACTIVATIONS * self.activations


def need_of(net: CompiledNet) -> Need:
    """What a task that trains the net takes."""
    numbers = sum(slot.size for slot in (*net.parameters, *net.optimizer_state))
    return Need(4 * numbers, summarize(net.typed).total.bytes * net.train.batch)


def check_memory(net: CompiledNet, cluster: Cluster, settings: Settings, trials: int = 1) -> None:
    """Raise SparkNetError where the tasks that run at once in an executor take more memory than they have.

    `trials` is how many such nets are trained side by side.
    """
    need, most = need_of(net), (net.train.workers or cluster.slots) * trials
    at_once = {place: min(most, tasks) for place, tasks in tasks_at_once(settings, cluster.found).items()}
    largest = max(at_once.values(), default=1)
    limit = size_of(settings("spark.executor.pyspark.memory", "0"))
    less = (*_FEWER_TRIALS, *_SMALLER) if trials > 1 else _SMALLER
    if limit:
        cores = int(settings("spark.executor.cores", "1"))  # as Spark divides it, which takes 1 where nothing is said
        _compare(need, 1, limit // cores, "spark.executor.pyspark.memory", cores, less)
    elif settings("spark.master", "").startswith(("yarn", "k8s")):
        _compare(need, largest, overhead(settings), "spark.executor.memoryOverhead", largest, less)
    else:
        _check_machines(need, cluster.found, at_once, settings, less)


_SMALLER = ("a smaller `batch`, or an optimizer with less state, takes less",)
_FEWER_TRIALS = ("fewer trials at a time take less: `--parallel`, or `parallel=` in Python",)


def _compare(need: Need, tasks: int, given: int, key: str, largest: int, less: Sequence[str]) -> None:
    if need.total * tasks <= given:
        return
    count = f"{largest} tasks of an executor take" if tasks > 1 else "a task takes"
    more = _text(need.total * largest, up=True)
    raise problem(
        "R0067",
        f"{count} about {_text(need.total * tasks)} of memory, of which `{key}` leaves {_text(given)}",
        notes=[_shares(need)],
        helps=[f"raise `{key}` to {more}, or let an executor run fewer tasks", *less],
    )


def _check_machines(
    need: Need,
    found: Sequence[Found],
    at_once: dict[tuple[str, int], int],
    settings: Settings,
    less: Sequence[str],
) -> None:
    local = settings("spark.master", "").startswith("local[") or settings("spark.master", "") == "local"
    heap = size_of(settings("spark.driver.memory" if local else "spark.executor.memory", "1g"))
    memory = {each.host: each.memory for each in found}
    for host, given in memory.items():
        here = [count for (name, _), count in at_once.items() if name == host]
        taken = need.total * sum(here) + heap * len(here)
        if taken > given:
            what = f"about {_text(taken)} of memory, {_text(heap * len(here))} of them for Java"
            raise problem(
                "R0067",
                f"{sum(here)} tasks at once on {host} take {what}; it has {_text(given)}",
                notes=[_shares(need)],
                helps=["let fewer tasks run there: `--workers`, `spark.executor.cores`, or `local[N]`", *less],
            )


def overhead(settings: Settings) -> int:
    """What a container of an executor has beside Java's heap, in bytes: Python and all else."""
    given = size_of(settings("spark.executor.memoryOverhead", "0"))
    factor = settings("spark.executor.memoryOverheadFactor", "")
    if not factor and settings("spark.master", "").startswith("k8s"):
        factor = settings("spark.kubernetes.memoryOverheadFactor", "")  # set by Spark itself where it starts the driver
    least = size_of(settings("spark.executor.minMemoryOverhead", _LEAST_OVERHEAD))
    return given or max(least, int(float(factor or 0.1) * size_of(settings("spark.executor.memory", "1g"))))


def _shares(need: Need) -> str:
    return (
        f"a task holds {_text(need.vectors)} of parameters and optimizer's state about {VECTORS} times, "
        f"and {_text(need.activations)} of results of layers for a batch about {ACTIVATIONS} times"
    )


def _text(size: int, up: bool = False) -> str:
    """A size as Spark reads it too."""
    if size < 10 << 30:
        return f"{-(-size // MIB)}m" if up else f"{size / MIB:,.0f} MiB"
    return f"{-(-size // (1 << 30))}g" if up else f"{size / (1 << 30):,.1f} GiB"
