"""Seconds to an accuracy, and rows a second, of a perceptron on 100,000 rows: SparkNet on Spark against PyTorch.

    python bench/distributed.py                # needs the `bench` extra

All train 64-128-64-10 with Adam in batches of 128 until 92 % of the test rows are right, looking after every epoch, and
read the same Parquet file; the clock starts when the file and, for Spark, a session are there. Peers are PyTorch in one
thread of a plain process, and two processes of pyspark's TorchDistributor with DistributedDataParallel, each on half
of the rows, as its documentation shows. They take turns; printed are the medians. Then come SparkNet's rows a second in
the rounds, with one worker and with two.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import sparknet

ROWS, FEATURES, CLASSES, BATCH, EPOCHS, GOAL = 100_000, 64, 10, 128, 30, 0.92
NET = """
net Perceptron {{
  input x: float[64]
  dense(128, relu) -> dense(64, relu) -> dense(10)
  output y: class[10]
}}
data {{
  train = parquet("{folder}/train.parquet")
  test  = parquet("{folder}/test.parquet")
  x     = column("x")
  y     = column("y")
}}
train {{
  epochs  = {epochs}
  batch   = {batch}
  workers = {workers}
  sync    = {sync}
}}
"""


def teacher_rows(draw: np.random.Generator, count: int, test: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of noise, their class what a random perceptron says of them, the same for every `draw`."""
    own = np.random.default_rng(1)
    first, second = own.normal(size=(FEATURES, 24)) / 8, own.normal(size=(24, CLASSES))
    x = draw.normal(size=(count, FEATURES)).astype(np.float32)
    return x, (np.maximum(x @ first, 0) @ second).argmax(1)


def write_rows(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for name, count in (("train", ROWS), ("test", ROWS // 10)):
        x, y = teacher_rows(draw, count, name == "test")
        flat = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), FEATURES)
        pq.write_table(pa.table({"x": flat, "y": y}), folder / f"{name}.parquet", row_group_size=10_000)


# ----- PyTorch: what runs in each process -----


def read(folder: str, name: str):
    import torch

    table = pq.read_table(f"{folder}/{name}.parquet")
    x, y = table["x"].combine_chunks().flatten().to_numpy(), table["y"].to_numpy()
    return torch.tensor(x).reshape(-1, FEATURES), torch.tensor(y)


def train_pytorch(folder: str, distributed: bool) -> float:
    """The accuracy at the end, as soon as it is the goal."""
    import torch
    from torch import nn

    rank, size = 0, 1
    torch.set_num_threads(1)
    if distributed:
        torch.distributed.init_process_group("gloo")
        rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    torch.manual_seed(0)
    (x, y), (test_x, test_y) = read(folder, "train"), read(folder, "test")
    x, y = x[rank::size], y[rank::size]
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    model = nn.parallel.DistributedDataParallel(net) if distributed else net
    optimizer, loss_of = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    accuracy = 0.0
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            optimizer.zero_grad()
            loss_of(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = float((net(test_x).argmax(1) == test_y).float().mean())
        if accuracy >= GOAL:
            break
    if distributed:
        torch.distributed.destroy_process_group()
    return accuracy


def in_a_plain_process(folder: Path) -> None:
    """A process of its own, as for the others, so that the import of torch counts alike."""
    code = f"import distributed; assert distributed.train_pytorch({str(folder)!r}, False) >= distributed.GOAL"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


def with_torch_distributor(folder: Path) -> None:
    from pyspark.ml.torch.distributor import TorchDistributor

    found = TorchDistributor(num_processes=2, local_mode=True, use_gpu=False).run(train_pytorch, str(folder), True)
    assert found >= GOAL, found


# ----- SparkNet -----


def with_sparknet(spark, folder: Path, workers: int, sync: str) -> sparknet.Model:
    """Ends with the round in which the goal is reached."""
    text = NET.format(folder=folder, epochs=EPOCHS, batch=BATCH, workers=workers, sync=sync)
    return sparknet.train(
        text, spark=spark, data_roots=[folder], callback=lambda record: record.score.metrics["accuracy"] >= GOAL
    )


def rows_a_second(models: list[sparknet.Model]) -> float:
    """In the rounds but the first, which starts sessions: steps of all workers over the whole time of a round."""
    rounds = [record for model in models for record in model.run.history[1:]]
    return statistics.median(record.train.rows / record.seconds_total for record in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description="SparkNet on Spark against PyTorch.")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--sync", default="outer(lr: 1.0, momentum: 0.8, every: 400)")
    options = parser.parse_args()
    from sparknet.runtime.spark.session import start_session

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_rows(folder)
        spark = start_session("local[2]")
        models: dict[int, list[sparknet.Model]] = {1: [], 2: []}

        def ours(workers: int) -> Callable[[], None]:
            def run() -> None:
                models[workers].append(with_sparknet(spark, folder, workers, options.sync))

            return run

        ways: dict[str, Callable[[], None]] = {
            "PyTorch, one thread": lambda: in_a_plain_process(folder),
            "TorchDistributor, two processes": lambda: with_torch_distributor(folder),
            "SparkNet on Spark, one worker": ours(1),
            "SparkNet on Spark, two workers": ours(2),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.turns):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - began)
        spark.stop()
    base = statistics.median(seconds["PyTorch, one thread"])
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        print(f"{name:<34}{middle:>7.1f} s  ({min(taken):.1f} to {max(taken):.1f}){middle / base:>7.2f} of PyTorch's")
    one, two = rows_a_second(models[1]), rows_a_second(models[2])
    print(f"\nrows a second in rounds: {one:,.0f} with one worker, {two:,.0f} with two: {two / one:.2f} times")


if __name__ == "__main__":
    main()
