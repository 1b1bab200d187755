"""Rows a second in rounds on Spark, `local[2]`, with one worker and with two.

    python bench/workers.py

Each worker takes 50 steps a round, of the CNN and the LSTM that `bench/step.py` times and of a perceptron, whose steps
take so little that what a round costs beside them shows. One worker and two take turns; the medians of their rounds
count, but for each run's first, which starts sessions. The peer is SparkNet itself with one worker.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import rows_a_second

import sparknet
from sparknet.runtime.spark.session import start_session

STEPS, BATCH, ROUNDS = 50, 128, 6
NETS = {
    "CNN 28x28": (
        "1, 28, 28",
        "conv(32, 3x3, relu) -> maxpool(2) -> conv(64, 3x3, relu) -> maxpool(2)\n"
        "  flatten -> dense(128, relu) -> dense(10)",
    ),
    "LSTM 100, 40 steps": ("40, 8", "lstm(100) -> dense(10)"),
    "perceptron 64-128-64-10": ("64", "dense(128, relu) -> dense(64, relu) -> dense(10)"),
}
TEXT = """
net Timed {{
  input x: float[{shape}]
  {layers}
  output y: class[10]
}}
data {{
  source = parquet("{path}")
  split  = {{train: 1.0}}
  x      = column("x")
  y      = column("y")
}}
train {{
  epochs  = {epochs}
  batch   = {batch}
  workers = {workers}
  sync    = average(every: {steps})
}}
"""


def write_rows(path: Path, size: int) -> None:
    """As many rows as two workers take in a round, of noise."""
    draw = np.random.default_rng(0)
    rows = 2 * STEPS * BATCH
    flat = pa.FixedSizeListArray.from_arrays(pa.array(draw.normal(size=rows * size).astype(np.float32)), size)
    pq.write_table(pa.table({"x": flat, "y": draw.integers(0, 10, rows)}), path, row_group_size=1_000)


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows a second on Spark with one worker and two.")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spark = start_session("local[2]")
        print(f"{'rows a second':<28}{'one worker':>12}{'two':>12}{'times':>8}")
        for name, (shape, layers) in NETS.items():
            path = Path(folder, "rows.parquet")
            write_rows(path, int(np.prod([int(side) for side in shape.split(",")])))
            models: dict[int, list[sparknet.Model]] = {1: [], 2: []}
            for _ in range(options.turns):
                for workers, trained in models.items():
                    told = {"epochs": ROUNDS * workers // 2, "workers": workers, "batch": BATCH, "steps": STEPS}
                    text = TEXT.format(shape=shape, layers=layers, path=path, **told)
                    trained.append(sparknet.train(text, spark=spark, data_roots=[folder]))
            one, two = (rows_a_second(trained) for trained in models.values())
            print(f"{name:<28}{one:>12,.0f}{two:>12,.0f}{two / one:>8.2f}", flush=True)
        spark.stop()


if __name__ == "__main__":
    main()
