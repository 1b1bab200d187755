"""Milliseconds and memory of one training step, SparkNet on stock ONNX Runtime against other engines.

    python bench/step.py                                # needs the `bench` extra
    python bench/step.py --nets CNN LSTM --engines sparknet pytorch --threads 2
    python bench/step.py --soak 5000                    # memory over many steps, SparkNet alone

All engines train the same nets from the same weights on the same batches, each in a process of its own. They take turns
of a fraction of a second, so that a machine that changes its speed changes all of them; a ratio is taken within a turn.
Printed are medians over the turns, with the range of the ratios; memory is the peak over what the imports left; `peak`
is the share of what a 1024 x 1024 matrix product reaches in a turn of its own. Engines that are not installed, or fail,
are left out and named.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from step_nets import BATCHES, NETS

ENGINES = ("sparknet", "pytorch", "torch.compile", "jax", "keras")
Step = Callable[[int], float]


# ----- one engine, in a process of its own -----


def memory(field: str) -> int:
    """Bytes of resident memory: `VmRSS` now, `VmHWM` at most since the last `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def sparknet_stepper(folder: Path, data: dict[str, np.ndarray], threads: int) -> Step:
    import onnxruntime as ort

    from sparknet.runtime.engines.base import Graph, OnnxRuntimeEngine
    from sparknet.runtime.engines.base import Step as One

    if threads > 1:  # training takes one thread a task slot; this is for the bench alone
        fields = ort.SessionOptions.intra_op_num_threads
        ort.SessionOptions.intra_op_num_threads = property(fields.fget, lambda o, _: fields.fset(o, threads))
    with np.load(folder / "start.npz") as start:
        flow = [start["parameters"], start["state"]]
    graph = Graph("training step", (folder / "step.onnx").read_bytes(), int("label" in data))
    batches = [{name: array[k] for name, array in data.items()} for k in range(BATCHES)]
    engine = OnnxRuntimeEngine()

    def step(k: int) -> float:
        batch = batches[k]
        trained = engine.train(graph, flow[0], flow[1], [One(batch, len(batch["x"]), 0.001, k)])
        flow[:] = [trained.parameters, trained.optimizer_state]
        return trained.sums.mean_loss

    return step


def matmul_stepper() -> Step:
    a = np.random.default_rng(0).random((1024, 1024), np.float32)
    out = np.empty_like(a)
    return lambda _: float(np.matmul(a, a, out=out)[0, 0])


def stepper(engine: str, name: str, folder: Path, threads: int) -> tuple[Step, int]:
    """The engine's step, and the memory that its imports took."""
    with np.load(folder / "data.npz") as file:
        data = dict(file)
    with np.load(folder / "tensors.npz") as file:
        tensors = [file[key] for key in file]
    if engine == "sparknet":
        import onnxruntime  # noqa: F401 - counted as an import, not as the step's memory

        import sparknet.runtime.engines.base  # noqa: F401

        return _measured(lambda: sparknet_stepper(folder, data, threads))
    if engine == "matmul":
        return _measured(matmul_stepper)
    if engine == "jax":
        import step_jax

        return _measured(lambda: step_jax.stepper(name, tensors, data))
    if engine == "keras":
        import step_keras

        return _measured(lambda: step_keras.stepper(name, tensors, data, threads))
    import step_pytorch

    return _measured(lambda: step_pytorch.stepper(name, tensors, data, threads, engine == "torch.compile"))


def _measured(make: Callable[[], Step]) -> tuple[Step, int]:
    imports = memory("VmRSS")
    forget_peak()
    return make(), imports


def child(engine: str, name: str, folder: Path, threads: int) -> None:
    """Take some steps, say their losses; then a turn for every number of seconds that comes in."""
    step, imports = stepper(engine, name, folder, threads)
    answer({"losses": [step(k % BATCHES) for k in range(8)]})
    for line in sys.stdin:
        seconds, steps = float(line), 0
        wall, cpu = time.perf_counter(), time.process_time()
        while steps < 2 or time.perf_counter() - wall < seconds:
            step(steps % BATCHES)
            steps += 1
        wall, cpu = ((now - then) / steps for now, then in ((time.perf_counter(), wall), (time.process_time(), cpu)))
        answer({"wall": wall, "cpu": cpu, "memory": memory("VmHWM") - imports, "rss": memory("VmRSS"), "steps": steps})


def answer(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)


# ----- all engines, in turns -----


class Peer:
    """An engine's process; it only works while it is asked to."""

    def __init__(self, engine: str, name: str, folder: Path, threads: int) -> None:
        self.engine, self.turns = engine, []
        kept = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "tensorflow"}
        if threads == 1:
            quiet["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child", engine, name, str(folder), str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=kept | limits | quiet,
        )  # fmt: skip
        self.losses = self._read()["losses"]

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            last = (self.errors.read().strip().splitlines() or ["no word"])[-1]
            raise RuntimeError(f"{self.engine}: {last[:150]}")
        return json.loads(line)

    def turn(self, seconds: float) -> dict[str, Any]:
        print(seconds, file=self.process.stdin, flush=True)
        result = self._read()
        self.turns.append(result)
        return result

    def median(self, key: str) -> float:
        return statistics.median(turn[key] for turn in self.turns)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def prepare(name: str, folder: Path) -> int:
    """Write the step graph, the weights and the batches; gives the multiply-adds of a step's products, about."""
    import sparknet
    from sparknet.compiler.summary import summarize

    net, bench = sparknet.compile(NETS[name].source), NETS[name]
    (folder / "step.onnx").write_bytes(net.step.SerializeToString())
    parameters = net.initial_parameters()
    np.savez(folder / "start.npz", parameters=parameters, state=net.initial_optimizer_state())
    trained = [s for s in net.parameters if s.kind == "trained"]
    tensors = {f"{k:03}": parameters[s.offset : s.offset + s.size].reshape(s.shape) for k, s in enumerate(trained)}
    np.savez(folder / "tensors.npz", **tensors)
    np.savez(folder / "data.npz", **bench.data())
    return 3 * summarize(net.typed).total.multiply_adds * bench.batch


def open_peers(engines: list[str], name: str, folder: Path, threads: int) -> list[Peer]:
    peers = []
    for engine in engines:
        try:
            peers.append(Peer(engine, name, folder, threads))
        except RuntimeError as error:
            print(f"  left out: {error}")
    return peers


def compare(name: str, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        multiply_adds = prepare(name, Path(temporary))
        peers = open_peers([*options.engines, "matmul"], name, Path(temporary), options.threads)
        *peers, matmul = peers
        for k in range(options.turns + 1):
            for peer in (*peers[k % len(peers) :], *peers[: k % len(peers)], matmul):
                peer.turn(options.seconds if peer is not matmul else 0.1)
            if k == 0:  # the first is to warm up
                for peer in (*peers, matmul):
                    peer.turns.clear()
        speed = 1024**3 / min(turn["wall"] for turn in matmul.turns)
        for peer in peers:
            print(row(name, peer, peers[0], multiply_adds / speed), flush=True)
        for peer in (*peers, matmul):
            peer.close()


def row(name: str, peer: Peer, first: Peer, least: float) -> str:
    wall, cpu, memory = peer.median("wall"), peer.median("cpu"), peer.median("memory")
    ratios = [b["wall"] / a["wall"] for a, b in zip(first.turns, peer.turns, strict=True)]
    of_cpu = statistics.median(b["cpu"] / a["cpu"] for a, b in zip(first.turns, peer.turns, strict=True))
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), CPU {of_cpu:.2f}"
    off = max(abs(a - b) for a, b in zip(first.losses, peer.losses, strict=True))
    share = f"{100 * least / wall:.0f} %"
    times = f"{1000 * wall:>9.3f}{1000 * cpu:>9.3f}{memory / 2**20:>7.0f}"
    ratio = "" if peer is first else f"{spread:<36}{first.median('memory') / memory:>6.2f}{off:>10.1e}"
    return f"{name:<42}{peer.engine:<14}{times}{share:>7}   {ratio}"


def soak(name: str, options: argparse.Namespace) -> None:
    """Resident memory after a tenth of the steps, and what is added until the end."""
    with tempfile.TemporaryDirectory() as temporary:
        prepare(name, Path(temporary))
        peer = Peer("sparknet", name, Path(temporary), options.threads)
        sizes, steps = [], 0
        while steps < options.soak:
            result = peer.turn(1.0)
            steps += result["steps"]
            sizes.append((steps, result["rss"]))
        settled = next(size for done, size in sizes if done >= options.soak / 10)
        print(f"{name:<42}{steps:>7} steps{settled / 2**20:>8.1f} MiB{(sizes[-1][1] - settled) / 2**20:>+7.2f} MiB")
        peer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Training steps, engine against engine.")
    parser.add_argument("--nets", nargs="+", default=[""], help="beginnings of names of nets")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a turn")
    parser.add_argument("--soak", type=int, default=0, metavar="STEPS")
    options = parser.parse_args()
    names = [name for name in NETS if name.startswith(tuple(options.nets))]
    if not options.soak:
        print(f"{options.threads} thread(s), medians of {options.turns} turns; losses differ by at most `off`\n")
        heads = f"{'ms':>9}{'CPU ms':>9}{'MiB':>7}{'peak':>7}   {'times the first speed':<36}{'memory':>6}{'off':>10}"
        print(f"{'net':<42}{'engine':<14}{heads}")
    for name in names:
        (soak if options.soak else compare)(name, options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
