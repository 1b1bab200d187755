"""Rows a second in rounds on Spark, `local[2]`, with one worker and with two.

    python bench/workers.py

Each worker takes 50 steps a round, of nets that `bench/step.py` times; the steps of the perceptron take so little that
what a round costs beside them shows. One worker and two take turns; the medians of their rounds count, but for each
run's first, which starts sessions. The peer is SparkNet itself with one worker.
"""

from __future__ import annotations

import argparse
import tempfile
from math import prod
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import rows_a_second
from step_nets import NETS, TRAIN, Net

import sparknet
from sparknet.runtime.spark.session import start_session

STEPS, ROUNDS = 50, 6
TIMED = ("CNN 28x28, batch 128", "LSTM 100, 40 steps, batch 128", "perceptron 64-128-64-10, batch 128")
FED = """
data {{
  source = parquet("{path}")
  split  = {{train: 1.0}}
  x      = column("x")
  label  = column("y")
}}
train {{
  epochs  = {epochs}
  batch   = {batch}
  workers = {workers}
  sync    = average(every: {steps})
}}
"""


def write_rows(path: Path, net: Net) -> None:
    """As many rows as two workers take in a round, of noise."""
    draw = np.random.default_rng(0)
    rows, size = 2 * STEPS * net.batch, prod(net.row)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(draw.normal(size=rows * size).astype(np.float32)), size)
    pq.write_table(pa.table({"x": flat, "y": draw.integers(0, net.classes, rows)}), path, row_group_size=1_000)


def main() -> None:
    parser = argparse.ArgumentParser(description="Rows a second on Spark with one worker and two.")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spark = start_session("local[2]")
        print(f"{'rows a second':<36}{'one worker':>12}{'two':>12}{'times':>8}")
        for name in TIMED:
            net, path = NETS[name], Path(folder, "rows.parquet")
            write_rows(path, net)
            models: dict[int, list[sparknet.Model]] = {1: [], 2: []}
            for _ in range(options.turns):
                for workers, trained in models.items():
                    told = {
                        "epochs": ROUNDS * workers // 2,
                        "workers": workers,
                        "batch": net.batch,
                        "steps": STEPS,
                    }
                    text = net.source.removesuffix(TRAIN) + FED.format(path=path, **told)
                    trained.append(sparknet.train(text, spark=spark, data_roots=[folder]))
            one, two = (rows_a_second(trained) for trained in models.values())
            print(f"{name:<36}{one:>12,.0f}{two:>12,.0f}{two / one:>8.2f}", flush=True)
        spark.stop()


if __name__ == "__main__":
    main()
