"""Milliseconds of one training step, SparkNet on stock ONNX Runtime against PyTorch, one thread each.

    python bench/step.py            # needs the `bench` extra

Each engine trains the same net from the same kind of data in a process of its own, in turns (A B A B ...), so that a
machine that changes its speed changes both. Printed are medians over the turns: wall time and CPU time of a step, and
how much the process grew between its start and its end (peak resident memory, imports not counted).
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
DIGITS = (ROOT / "specs" / "digits.net").read_text()
PERCEPTRON = """
net Perceptron {
  input image: float[64]
  dense(64 * 2, relu) -> dense(64, relu) -> dense(10)
  output digit: class[10]
}
train { optimizer = adam(lr: 0.001) }
"""
NETS = {  # name: source, shape of a row, batch
    "digits.net, batch 32": (DIGITS, (1, 8, 8), 32),
    "digits.net, batch 128": (DIGITS, (1, 8, 8), 128),
    "64-128-64-10, batch 128": (PERCEPTRON, (64,), 128),
}
ENGINES = ("sparknet", "pytorch")
TURNS, SECONDS, STEPS = 5, 2.0, 10
"""Processes for each engine, the time that each trains, and the steps timed together."""


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sparknet_steps(name: str) -> Callable[[], None]:
    import sparknet
    from sparknet.runtime.engine import Graph, OnnxRuntimeEngine, Step

    source, shape, batch = NETS[name]
    net = sparknet.compile(source)
    graph = Graph("training step", net.step.SerializeToString(), len(net.metrics))
    image, digit = data(shape, batch)
    steps = [Step({"image": image, "digit": digit}, batch, 0.001, seed) for seed in range(STEPS)]
    engine = OnnxRuntimeEngine()
    flow = [net.initial_parameters(), net.initial_optimizer_state()]

    def run() -> None:
        trained = engine.train(graph, *flow, steps)
        flow[:] = [trained.parameters, trained.optimizer_state]

    return run


def pytorch_steps(name: str) -> Callable[[], None]:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    _, shape, batch = NETS[name]
    if len(shape) == 3:
        layers = [nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10)]
    else:
        layers = [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    image, digit = (torch.from_numpy(array) for array in data(shape, batch))
    scale = 1 / 16 if len(shape) == 3 else 1

    def run() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(image * scale), digit)
            loss.backward()
            optimizer.step()
            loss.item()

    return run


def data(shape: tuple[int, ...], batch: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 17, (batch, *shape)).astype(np.float32), random.integers(0, 10, batch)


def child(engine: str, name: str) -> None:
    make = {"sparknet": sparknet_steps, "pytorch": pytorch_steps}[engine]
    if engine == "sparknet":
        import onnxruntime  # noqa: F401 - counted as an import, not as the step's memory

        import sparknet  # noqa: F401
    else:
        import torch  # noqa: F401
    before = peak_bytes()
    run = make(name)
    run()
    walls, cpu = [], time.process_time()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        walls.append((time.perf_counter() - start) / STEPS)
    cpu = (time.process_time() - cpu) / len(walls) / STEPS
    print(json.dumps({"wall": statistics.median(walls), "cpu": cpu, "memory": peak_bytes() - before}))


def main() -> None:
    print(f"one thread each, medians of {TURNS} turns\n")
    print(f"{'net':<26}{'engine':<10}{'ms a step':>10}{'CPU ms':>9}{'MiB':>7}   times PyTorch's speed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in NETS:
        results: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
        for _ in range(TURNS):
            for engine in ENGINES:
                command = [sys.executable, __file__, engine, name]
                out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
                results[engine].append(json.loads(out))
        ratios = [b["wall"] / a["wall"] for a, b in zip(*results.values(), strict=True)]
        for engine, runs in results.items():
            wall, cpu, memory = (statistics.median(run[key] for run in runs) for key in ("wall", "cpu", "memory"))
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            ratio = spread if engine == "sparknet" else ""
            print(f"{name:<26}{engine:<10}{1000 * wall:>10.3f}{1000 * cpu:>9.3f}{memory / 2**20:>7.0f}   {ratio}")


if __name__ == "__main__":
    child(*sys.argv[1:]) if len(sys.argv) > 1 else main()
