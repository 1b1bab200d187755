"""Accuracy and bytes of each `sync` on 80,000 rows, against `sync = step`, with 2, 4 and 8 workers in this process.

    python bench/sync.py
    python bench/sync.py --nets perceptron --workers 8 --syncs "outer(lr" --seeds 3

The digits are too few for eight workers, so these rows are made: a CNN reads digits put anywhere on a larger page, half
of the digits only in the rows for `test`; a GRU tells noisy waves apart; a perceptron learns what another one says of
noise. Every run takes the same passes over the rows. `bytes` are what goes down and up in the whole run, all
workers together, over what `step` needs. Local workers send what those on Spark would.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import teacher_rows
from numpy.typing import NDArray

import sparknet
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.sources.places import place_of
from sparknet.runtime.training.trainer import TrainedNet, train

ROWS = 80_000
NET = """
net {name} {{
  input x: float[{shape}]
  {layers}
  output y: class[{classes}]
}}
data {{
  train = parquet("{folder}/{name}.train.parquet")
  test  = parquet("{folder}/{name}.test.parquet")
  x     = column("x")
  y     = column("y")
}}
train {{
  epochs = {epochs}
}}
"""
Table = tuple[NDArray[np.float32], NDArray[np.int64]]
SYNCS: dict[str, tuple[str, ...]] = {
    "step": ("train.sync=step",),
    "average(every: 50)": (),
    "average(every: 300)": ("train.sync=average(every: 300)",),
    "average(every: 100), int8, moments reset": (
        "train.sync=average(every: 100)", "train.exchange=int8", "train.moments=reset",
    ),
    "average(every: 300, after: 300)": ("train.sync=average(every: 300, after: 300)",),
    "outer(every: 300)": ("train.sync=outer(every: 300)",),
    "outer(every: 300), int8": ("train.sync=outer(every: 300)", "train.exchange=int8"),
    "outer(lr: 1.2, momentum: 0.8, every: 320), int8": (
        "train.sync=outer(lr: 1.2, momentum: 0.8, every: 320)", "train.exchange=int8",
    ),
    "outer(lr: 1.0, momentum: 0.8, every: 80), int8, moments reset": (
        "train.sync=outer(lr: 1.0, momentum: 0.8, every: 80)", "train.exchange=int8", "train.moments=reset",
    ),
}  # fmt: skip


def pages(draw: np.random.Generator, count: int, test: bool) -> Table:
    """Digits of 8 x 8 anywhere on a page of 12 x 12, with noise."""
    from sklearn.datasets import load_digits

    digits, labels = load_digits(return_X_y=True)
    own = np.arange(len(digits)) % 2 == int(test)
    chosen = draw.choice(np.flatnonzero(own), count)
    page = draw.random((count, 12, 12), np.float32) * 0.3
    for k, (down, right) in enumerate(draw.integers(0, 5, (count, 2))):
        page[k, down : down + 8, right : right + 8] += digits[chosen[k]].reshape(8, 8).astype(np.float32) / 16
    return page.reshape(count, -1), labels[chosen]


def waves(draw: np.random.Generator, count: int, test: bool) -> Table:
    """20 steps of 4 features: six kinds of waves, of any phase, in noise."""
    kind = draw.integers(0, 6, count)
    time, feature = np.arange(20)[:, None], np.arange(4)[None, :]
    pace = (0.4 + 0.15 * kind)[:, None, None]
    wave = np.sin(pace * time + draw.uniform(0, 6.3, (count, 1, 1)) + feature * (1 + kind % 2)[:, None, None])
    return (wave + draw.normal(0, 0.8, wave.shape)).astype(np.float32).reshape(count, -1), kind


NETS: dict[str, tuple[dict[str, object], Callable[[np.random.Generator, int, bool], Table]]] = {
    "perceptron": (
        {"shape": "64", "layers": "dense(128, relu) -> dense(64, relu) -> dense(10)", "classes": 10, "epochs": 10},
        teacher_rows,
    ),
    "rnn": ({"shape": "20, 4", "layers": "gru(32) -> dense(6)", "classes": 6, "epochs": 5}, waves),
    "cnn": (
        {
            "shape": "1, 12, 12",
            "layers": "conv(8, 3x3, relu) -> maxpool(2) -> conv(16, 3x3, relu) -> maxpool(2)\n  flatten -> dense(10)",
            "classes": 10,
            "epochs": 5,
        },
        pages,
    ),
}


def write(folder: Path, name: str) -> None:
    draw = np.random.default_rng(0)
    for split, count in (("train", ROWS), ("test", ROWS // 10)):
        x, y = NETS[name][1](draw, count, split == "test")
        flat = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), x.shape[1])
        pq.write_table(pa.table({"x": flat, "y": y}), folder / f"{name}.{split}.parquet")


def trained(folder: Path, name: str, sync: str, workers: int, seed: int) -> TrainedNet:
    text = NET.format(name=name, folder=folder, **NETS[name][0])
    net = sparknet.compile(text, settings=[f"train.workers={workers}", f"train.seed={seed}", *SYNCS[sync]])
    places = {key: place_of(supply.source, supply.label, (str(folder),)) for key, supply in net.data.supplies.items()}
    return train(net, LocalBackend(places))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--syncs", nargs="+", default=[""], help="beginnings of `sync`; `step` is always run")
    given = parser.parse_args()
    syncs = [sync for sync in SYNCS if sync == "step" or sync.startswith(tuple(given.syncs))]
    heads = [f"{n} workers | bytes" for n in given.workers]
    print("| net | `sync` | " + " | ".join(heads) + " |\n" + "| --- " * (2 * len(heads) + 2) + "|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.nets:
            write(Path(temporary), name)
            whole: dict[int, float] = {}
            for sync in syncs:
                cells = []
                for workers in given.workers:
                    runs = [trained(Path(temporary), name, sync, workers, seed) for seed in range(given.seeds)]
                    accuracy = statistics.mean(100 * run.scores["test"].metrics["accuracy"] for run in runs)
                    sent = statistics.mean(sum(r.bytes_up + r.bytes_down for r in run.history) for run in runs)
                    whole.setdefault(workers, sent)
                    share = "1" if sync == "step" else f"1/{whole[workers] / sent:.0f}"
                    cells.append(f"{accuracy:.1f} % | {share}")
                print(f"| {name} | `{sync}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
