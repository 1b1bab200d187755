"""What bench/step.py runs in a process of its own: one engine, one net.

    python bench/step_engines.py ENGINE NET FOLDER THREADS

It takes its first steps until the net's goal is reached and says their losses; then, for every number of seconds that
comes in, it takes steps for so long and says what one cost.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from step_nets import BATCHES, NETS

MOST_STEPS = 400
"""A net that has not reached its goal by then does not."""


@dataclass(frozen=True)
class Runner:
    """An engine with a net in it: `step` takes the k-th step and gives its loss, `run` takes steps until `done`."""

    step: Callable[[int], float]
    run: Callable[[Callable[[int], bool]], int]


def by_steps(step: Callable[[int], float]) -> Runner:
    """A runner that takes its steps one by one, as a training loop in Python does."""

    def run(done: Callable[[int], bool]) -> int:
        taken = 0
        while not done(taken):
            step(taken)
            taken += 1
        return taken

    return Runner(step, run)


# ----- memory -----


def memory(field: str) -> int:
    """Bytes of resident memory: `VmRSS` now, `VmHWM` at most since the last `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


# ----- engines -----


def stock_onnxruntime(name: str, folder: Path, data: dict[str, np.ndarray], threads: int) -> Runner:
    """Stock ONNX Runtime: steps come as an iterator, as in a round of training."""
    import sparknet
    from sparknet.runtime.engines import base
    from sparknet.runtime.engines.base import OnnxRuntimeEngine, Step

    if threads > 1:  # training takes one thread a task slot; this is for the bench alone
        base.session_options = partial(_more_threads, base.session_options, threads)
    with np.load(folder / "start.npz") as start:
        flow = [start["parameters"], start["state"]]
    engine, rows = OnnxRuntimeEngine(), NETS[name].batch
    graph = engine.training_graph(sparknet.compile(NETS[name].source))
    batches = [{key: array[k] for key, array in data.items()} for k in range(BATCHES)]

    def take(steps: Iterator[Step]) -> Any:
        trained = engine.train(graph, flow[0], flow[1], steps)
        flow[:] = [trained.parameters, trained.optimizer_state]
        return trained

    def until(done: Callable[[int], bool]) -> Iterator[Step]:
        taken = 0
        while not done(taken):
            yield Step(batches[taken % BATCHES], rows, 0.001, taken)
            taken += 1

    return Runner(
        lambda k: take(iter([Step(batches[k % BATCHES], rows, 0.001, k)])).sums.mean_loss,
        lambda done: take(until(done)).steps,
    )


def _more_threads(session_options: Callable[[], Any], threads: int) -> Any:
    options = session_options()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")  # as it is by default, and in the peers
    return options


def onnxruntime_training(name: str, folder: Path, data: dict[str, np.ndarray], threads: int) -> Runner:
    import sparknet
    from sparknet.runtime.engines import training
    from sparknet.runtime.engines.base import Step

    if threads > 1:
        raise RuntimeError("it is measured on one thread only")
    net = sparknet.compile(NETS[name].source, settings=["train.engine=onnxruntime-training"])
    graph = training.OnnxRuntimeTrainingEngine().training_graph(net)
    with np.load(folder / "start.npz") as start:
        run = training._session(graph).start(start["parameters"], start["state"])
    batches = [{key: array[k] for key, array in data.items()} for k in range(BATCHES)]
    return by_steps(lambda k: run.step(Step(batches[k % BATCHES], NETS[name].batch, 0.001, k)).mean_loss)


def matmul() -> Runner:
    """The peak: products of 1024 x 1024 matrices."""
    a = np.random.default_rng(0).random((1024, 1024), np.float32)
    out = np.empty_like(a)
    return by_steps(lambda _: float(np.matmul(a, a, out=out)[0, 0]))


def make(engine: str, name: str, folder: Path, threads: int) -> tuple[Runner, int]:
    """The engine with the net in it, and the memory that its imports took."""
    with np.load(folder / "data.npz") as file:
        data = dict(file)
    with np.load(folder / "tensors.npz") as file:
        tensors = [file[key] for key in file]
    if engine == "sparknet":
        import onnx.shape_inference  # noqa: F401 - all counted as imports, not as the step's memory
        import onnxruntime  # noqa: F401

        import sparknet.runtime.engines.base

        _ = sparknet.compile  # imports the compiler
        return _measured(lambda: stock_onnxruntime(name, folder, data, threads))
    if engine == "onnxruntime-training":
        return _measured(lambda: onnxruntime_training(name, folder, data, threads))
    if engine == "matmul":
        return _measured(matmul)
    if engine == "jax":
        import step_jax

        return _measured(lambda: by_steps(_cycled(step_jax.stepper(name, tensors, data))))
    if engine == "keras":
        import step_keras

        return _measured(lambda: by_steps(_cycled(step_keras.stepper(name, tensors, data, threads))))
    import step_pytorch

    compiled = engine == "torch.compile"
    return _measured(lambda: by_steps(_cycled(step_pytorch.stepper(name, tensors, data, threads, compiled))))


def _cycled(step: Callable[[int], float]) -> Callable[[int], float]:
    return lambda k: step(k % BATCHES)


def _measured(build: Callable[[], Runner]) -> tuple[Runner, int]:
    imports = memory("VmRSS")
    forget_peak()
    return build(), imports


# ----- the conversation -----


def first_losses(runner: Runner, goal: float) -> list[float]:
    """The losses of the first steps: of eight, and on until those of all batches are below the goal on average."""
    losses: list[float] = []
    while len(losses) < 8 or (np.mean(losses[-BATCHES:]) > goal and len(losses) < MOST_STEPS):
        losses.append(runner.step(len(losses)))
    return losses


def main() -> None:
    engine, name, folder, threads = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])  # so that no engine has more
    runner, imports = make(engine, name, folder, threads)
    answer({"losses": first_losses(runner, NETS[name].goal if engine != "matmul" else np.inf)})
    for line in sys.stdin:
        stop = time.perf_counter() + float(line)
        wall, cpu = time.perf_counter(), time.process_time()
        steps = runner.run(lambda taken, stop=stop: taken >= 2 and time.perf_counter() >= stop)
        wall, cpu = ((now - then) / steps for now, then in ((time.perf_counter(), wall), (time.process_time(), cpu)))
        answer({"wall": wall, "cpu": cpu, "memory": memory("VmHWM") - imports, "rss": memory("VmRSS"), "steps": steps})


def answer(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
