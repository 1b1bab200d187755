"""Peak memory of a Python worker in a round, beside the formula of `sparknet/runtime/spark/memory.py`.

Each net trains three steps in a process of its own, as a Spark task does: the job is handed over, its results are made.
"""

from __future__ import annotations

import resource
from multiprocessing import get_context

import numpy as np
import pyarrow as pa

import sparknet
from sparknet.compiler.schedules import Rates
from sparknet.runtime.encoding.encode import Block, Field, Layout
from sparknet.runtime.engines.base import OnnxRuntimeEngine
from sparknet.runtime.spark.digests import block_digests
from sparknet.runtime.spark.memory import need_of
from sparknet.runtime.spark.preparing import block_row
from sparknet.runtime.spark.tasks import TrainRound
from sparknet.runtime.training.rounds import Plan, RoundTask, Shard

ROWS = 512
NET = """
net Measured {{
  input x: {x}
  {layers}
  output y: class[10]
}}
train {{
  optimizer = {optimizer}
  epochs = 1
  batch = {batch}
}}
"""
PERCEPTRON, CNN = "dense({0}, relu) -> dense({0}, relu) -> dense(10)", "conv({0}, 3x3, relu) -> conv({0}, 3x3, relu)"
CASES = [
    (PERCEPTRON.format(64), 32, "adam(lr: 0.001)"),
    (PERCEPTRON.format(1024), 32, "adam(lr: 0.001)"),
    (PERCEPTRON.format(3072), 32, "adam(lr: 0.001)"),
    (PERCEPTRON.format(3072), 32, "sgd(lr: 0.1)"),
    (f"{CNN.format(64)} -> flatten -> dense(10)", 128, "adam(lr: 0.001)"),
    (f"{CNN.format(64)} -> flatten -> dense(10)", 512, "adam(lr: 0.001)"),
]


def work(job: TrainRound, batch: pa.RecordBatch) -> int:
    """What the worker does; the most bytes that it held."""
    for _ in range(2):
        list(job(iter([batch])))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def measure(layers: str, batch: int, optimizer: str) -> None:
    """One line of the table."""
    x = "float[1, 16, 16]" if "conv" in layers else "float[256]"
    net = sparknet.compile(NET.format(x=x, layers=layers, batch=batch, optimizer=optimizer))
    kinds = [(port, "<f4" if port.type.dtype == "float32" else "<u1") for port in (*net.inputs, *net.targets)]
    layout = Layout(tuple(Field(port, kind) for port, kind in kinds), ROWS)
    draw = np.random.default_rng(0)
    numbers = draw.random((ROWS, 256), np.float32), draw.integers(0, 10, (ROWS, 1)).astype(np.uint8)
    block = Block(0, "train", 0, ROWS, b"".join(each.tobytes() for each in numbers))
    engine = OnnxRuntimeEngine()
    vectors = net.initial_parameters(), net.initial_optimizer_state()
    task = RoundTask(engine.training_graph(net), layout, Plan(0, 0, 3, batch, 0, Rates(0.001)), *vectors)
    known = block_digests([("train", 0, 0, block.digest())])
    job = TrainRound(task, task.segments, (Shard(0, ROWS, ROWS),), engine, known)
    with get_context("spawn").Pool(1) as fresh:
        peak = fresh.apply(work, (job, block_row(block)))
    need = need_of(net)
    sizes = (need.vectors, need.activations, peak, need.total)
    print(f"{layers[:28]:28} {optimizer[:4]:4} {batch:5}", *(f"{size / (1 << 20):8,.0f}" for size in sizes), flush=True)


if __name__ == "__main__":
    print(f"{'MiB':39} {'vectors':>8} {'results':>8} {'peak':>8} {'formula':>8}")
    for case in CASES:
        measure(*case)
