"""What it costs to exchange less: accuracy and bytes by `moments`, by `exchange`, by `sync` and by way of rounding.

    python bench/exchange.py moments
    python bench/exchange.py exchange
    python bench/exchange.py sync
    python bench/exchange.py rounding

Each trains a CNN, an RNN and a perceptron on the digits for the same epochs, with 2, 4 and 8 workers in this process,
and gives the mean accuracy on the rows for `test` over the seeds, its standard error, and the bytes that all workers
send in a round. `--seeds 5 --workers 2 4 8 --nets cnn rnn perceptron` are the defaults.

`rounding` compares the int8 of `exchange` with what it might have been: rounding to the nearest, and that with error
feedback (Seide et al., 2014; Karimireddy et al., 2019, arXiv:1901.09847), for which every worker here keeps what it
could not send. Ours keep nothing: Spark runs a lost task anywhere.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import Source
from sparknet.runtime.engines.base import Floats
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.sources.places import place_of
from sparknet.runtime.training.rounds import RoundResult, RoundTask, Shard, round_result, train_round
from sparknet.runtime.training.trainer import TrainedNet, train

SPECS = Path(__file__).parents[1] / "specs"
PERCEPTRON = """
net Perceptron {
  input image: float[1, 8, 8]
  flatten -> dense(128, relu) -> dense(64, relu) -> dense(10)
  output digit: class[10]
}
data {
  source = digits()
  image  = column("pixels") / 16
  digit  = column("label")
}
train { epochs = 20 }
"""
NETS: dict[str, Callable[[], str]] = {
    "cnn": (SPECS / "digits.net").read_text,
    "rnn": (SPECS / "rnn.net").read_text,
    "perceptron": lambda: PERCEPTRON.replace("{ epochs = 20 }", "{\n  epochs = 20\n}"),
}
TOPICS: dict[str, dict[str, tuple[str, ...]]] = {
    "moments": {
        "average": (),
        "average(every: 2)": ("train.moments=average(every: 2)",),
        "average(every: 4)": ("train.moments=average(every: 4)",),
        "reset": ("train.moments=reset",),
    },
    "exchange": {
        "float32": (),
        "float16": ("train.exchange=float16",),
        "int8": ("train.exchange=int8",),
        "int8, moments every 4": ("train.exchange=int8", "train.moments=average(every: 4)"),
    },
    "sync": {
        "step": ("train.sync=step",),
        "average(every: 10)": ("train.sync=average(every: 10)",),
        "average(every: 50)": (),
        "outer": ("train.sync=outer",),
        "average(every: 50, after: 100)": ("train.sync=average(every: 50, after: 100)",),
    },
    "rounding": {"at random": (), "to the nearest": (), "nearest, error kept": ()},
}


class RoundingBackend(LocalBackend):
    """Sends changes as int8 rounded to the nearest; with `keeps`, what was lost is added to the next change."""

    def __init__(self, net: CompiledNet, keeps: bool) -> None:
        super().__init__(places(net))
        self._keeps = keeps
        self._errors: dict[int, Floats] = {}

    def train(self, task: RoundTask, shards: Sequence[Shard]) -> RoundResult:
        """As `Backend.train`, the state of the optimizer and the untrained parameters as float32."""
        reports, total, state, weights = [], np.zeros(len(task.parameters)), np.zeros(0), task.weights(shards)
        for shard in shards:
            result = train_round(self.engine, task, shard, self._blocks[("train", shard.worker)])
            reports.append(result.report)
            change = result.parameters - task.parameters
            if self._keeps:
                change = change + self._errors.get(shard.worker, np.float32(0))
            sent = nearest(change)
            self._errors[shard.worker] = change - sent
            share = weights[shard.worker] / sum(weights.values())
            total += sent * share
            state = share * result.optimizer_state + (state if len(state) else 0)
        found = round_result(task, reports, (), ())
        return replace(found, parameters=(task.parameters + total).astype("f4"), optimizer_state=state.astype("f4"))


def nearest(values: Floats, chunk: int = 256) -> Floats:
    padded = np.pad(values, (0, -len(values) % chunk)).reshape(-1, chunk)
    scales = np.abs(padded).max(axis=1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    return (np.rint(padded / scales) * scales).ravel()[: len(values)]


def places(net: CompiledNet) -> dict[str, object]:
    return {key: place_of(supply.source, supply.label, ()) for key, supply in net.data.supplies.items()}


def trained(topic: str, variant: str, net: str, workers: int, seed: int) -> TrainedNet:
    settings = [f"train.workers={workers}", f"train.seed={seed}", *TOPICS[topic][variant]]
    if topic == "rounding":
        settings.append("train.moments=average")
        settings += ["train.exchange=int8"] if variant == "at random" else []
    compiled = sparknet.compile(Source(net, NETS[net](), SPECS), settings=settings)
    if topic == "rounding" and variant != "at random":
        return train(compiled, RoundingBackend(compiled, keeps=variant.endswith("kept")))
    return train(compiled, LocalBackend(places(compiled)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("topic", choices=TOPICS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    given = parser.parse_args()
    print(f"| net | {given.topic} | " + " | ".join(f"{n} workers" for n in given.workers) + " | sent a round |")
    print("| --- " * (len(given.workers) + 3) + "|", flush=True)
    for net in given.nets:
        for variant in TOPICS[given.topic]:
            cells, sent = [], []
            for workers in given.workers:
                runs = [trained(given.topic, variant, net, workers, seed) for seed in range(given.seeds)]
                found = [100 * run.scores["test"].metrics["accuracy"] for run in runs]
                error = statistics.stdev(found) / len(found) ** 0.5 if len(found) > 1 else 0.0
                cells.append(f"{statistics.mean(found):.1f} ± {error:.1f}")
                sent += [sum(r.bytes_up for r in run.history) / len(run.history) / workers for run in runs]
            each = (
                "" if topic_is_simulated(given.topic, variant) else f"{statistics.mean(sent) / 1000:,.0f} kB a worker"
            )
            print(f"| {net} | `{variant}` | {' | '.join(cells)} | {each} |", flush=True)


def topic_is_simulated(topic: str, variant: str) -> bool:
    return topic == "rounding" and variant != "at random"


if __name__ == "__main__":
    sys.exit(main())
