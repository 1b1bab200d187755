"""Whether nets train to the accuracy that they reach in PyTorch: eight nets, the same data, three seeds.

    python bench/accuracy.py                            # needs the `bench` extra
    python bench/accuracy.py --nets LSTM GRU --seeds 5
    python bench/accuracy.py --spark                    # two workers on Spark, which must give the same bytes

The nets are those of specs/, trained as they stand there, but on other rows: the digits of scikit-learn with noise on
every pixel, so that no net gets all of them right. 1,024 digits are to train on, the other 773 to test, with eight
draws of noise each: 0.1 points are six of 6,184 rows. They come from parquet files, by the way that `sparknet run
--local` goes.

Each seed trains a net four times, always for as many epochs, and with a rate that falls to 0:

- SparkNet, one worker;
- PyTorch on its own: other weights, drawn from the same distributions, its own order of rows and its own dropout. The
  difference of the means over the seeds is what the table is about;
- PyTorch from SparkNet's weights, on the batches that SparkNet took, which are recorded on their way into the engine,
  and with its masks of dropout. Nothing but rounding is left to differ, so the losses of the first twenty steps must
  agree in most of the digits that float32 has; anything else that a layer, a gradient, a running mean, an optimizer or
  a schedule did differently would show there. Rounding grows with the steps, so the ends may differ by some rows;
- SparkNet with two workers, whose weights are averaged every 50 steps, as on Spark. Each has half of the rows, and
  takes as many steps as the one worker does, with half the batch.

The accuracy of an autoencoder is the share of the variance of the test rows that its reconstruction explains.
Everything runs on one thread a process, `--jobs` of them side by side.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from accuracy_pytorch import Batch, Peer, Training
from onnxruntime import InferenceSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.graph import GraphBuilder
from sparknet.compiler.random import keep_mask
from sparknet.compiler.sections import AverageSync
from sparknet.runtime.engines.base import Floats, Graph, OnnxRuntimeEngine, Step, Sums, Trained
from sparknet.runtime.local import LocalBackend, usable_cpus
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.sources.builtin import read_built_in
from sparknet.runtime.sources.places import place_of
from sparknet.runtime.spark.session import start_session
from sparknet.runtime.training.trainer import TrainedNet, train

SPECS = Path(__file__).parents[1] / "specs"
LIMIT = 0.5
"""Points between the means over the seeds."""
FIRST, SAME = 20, 1e-4
"""By what share each of the first losses from the same weights on the same batches may differ."""
DROPOUT = {"CNN": (6, 128, 0.3)}
"""The dropout of a net: which of its layers, on how many numbers a row, the rate."""
OTHER_SEEDS = 1000
SETTINGS = ("train.schedule=[warmup(epochs: 1), cosine]", "train.sync=average(every: 128)")
"""For all nets. With a constant rate the last steps alone move a recurrent net's accuracy by a point. A test after
every 50 steps would take longer than they do; to one worker it is all the same."""
HEADS = (
    "net", "parameters", "steps", "PyTorch", "SparkNet", "difference",
    "same start: first losses", "same start: ends", "two workers",
)  # fmt: skip
SOURCE = "  source = digits()"
FILES = '  train = parquet("train.parquet")\n  test = parquet("test.parquet")'
TRAIN_DIGITS = 1024
DRAWS = {"train": 8, "test": 8}


@dataclass(frozen=True)
class Case:
    """A net: a spec, in which `swap` may put another layer, and the deviation of the noise on pixels from 0 to 16."""

    spec: str
    noise: float
    epochs: int
    swap: tuple[str, str] = ("", "")

    def source(self) -> str:
        """The spec with the files in place of its source; bindings and training stay."""
        text = (SPECS / f"{self.spec}.net").read_text()
        assert SOURCE in text
        lines = [line for line in text.replace(SOURCE, FILES).splitlines() if not line.startswith("  split ")]
        return "\n".join(lines).replace(*self.swap) + "\n"


CASES = {
    "CNN": Case("digits", 4, 6),
    "residual": Case("residual", 4, 6),
    "RNN": Case("recurrent", 4, 8, ("lstm(", "rnn(")),
    "LSTM": Case("recurrent", 4, 8),
    "GRU": Case("recurrent", 4, 8, ("lstm(", "gru(")),
    "transformer": Case("transformer", 4, 8),
    "autoencoder": Case("autoencoder", 1, 10),
    "conv. autoencoder": Case("conv_autoencoder", 1, 10),
}


# ----- rows -----


def write_rows(folder: Path, noise: float) -> None:
    """`train` and `test` as parquet files, with the columns of `digits()`; always the same rows."""
    table = read_built_in("digits")
    pixels, labels = np.stack(table["pixels"].to_numpy()), table["label"].to_numpy()
    random = np.random.default_rng(0)
    order = random.permutation(len(labels))
    for name, digits in (("train", order[:TRAIN_DIGITS]), ("test", order[TRAIN_DIGITS:])):
        chosen = np.tile(digits, DRAWS[name])
        noisy = pixels[chosen] + random.normal(0, noise, (len(chosen), 64))
        columns = {"pixels": list(noisy.clip(0, 16).astype(np.float32)), "label": labels[chosen]}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def read_rows(folder: Path, split: str, net: CompiledNet) -> Batch:
    """All rows of a split, in the shape of the net's input."""
    table = pq.read_table(folder / f"{split}.parquet")
    pixels = np.stack(table["pixels"].to_numpy()).reshape(-1, *net.inputs[0].type.shape)
    return pixels, table["label"].to_numpy().copy() if net.targets else None


# ----- one net, one seed -----


@dataclass(frozen=True)
class Recorder(OnnxRuntimeEngine):
    """The engine of all runs, which keeps the steps that it took and their losses."""

    steps: list[Step] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def train(self, graph: Graph, parameters: Floats, optimizer_state: Floats, steps: Iterable[Step]) -> Trained:
        sums, taken = Sums(), 0
        for taken, step in enumerate(steps, 1):  # noqa: B007 - the last is the count
            trained = super().train(graph, parameters, optimizer_state, [step])
            parameters, optimizer_state = trained.parameters, trained.optimizer_state
            self.steps.append(step)
            self.losses.append(trained.sums.mean_loss)
            sums = sums.add(trained.sums)
        return Trained(parameters, optimizer_state, sums, taken)


@dataclass(frozen=True)
class Outcome:
    """What a net came to with one seed: accuracies in points, and how far the first losses of the same start differ."""

    name: str
    parameters: int
    steps: int
    sparknet: float
    pytorch: float
    same_start: float
    two_workers: float
    start: float
    seconds: tuple[float, float]
    """Those of the steps alone: SparkNet's, and PyTorch's on the same batches."""
    digest: str
    """That of the weights that two workers came to."""


def run(name: str, seed: int, folder: Path) -> Outcome:
    """All four trainings; `folder` holds NAME.net and its rows."""
    net, recorder = compiled(name, seed, folder), Recorder()
    ours = train_recorded(net, recorder)
    batches = [rows_of(step) for step in recorder.steps]
    same, own = (peer(name, net, start, len(batches)) for start in (seed, OTHER_SEEDS + seed))
    if name in DROPOUT:
        same.give_masks(masks(recorder.steps, *DROPOUT[name]))
    began = time.perf_counter()
    losses = same.train(batches)
    seconds = time.perf_counter() - began
    torch.manual_seed(seed)
    own.train(shuffled(read_rows(folder, "train", net), net.train.batch, net.train.epochs))
    two = run_local(halved(net))
    test = read_rows(folder, "test", net)
    whole = None if net.targets else float((test[0] / 16).var(axis=0, dtype=np.float64).mean())

    def points(score: float) -> float:
        return 100 * (score if whole is None else 1 - score / whole)

    return Outcome(
        name,
        net.trained_count,
        len(batches),
        sparknet=points(score_of(ours)),
        pytorch=points(own.score(*test)),
        same_start=points(same.score(*test)),
        two_workers=points(score_of(two)),
        start=max(abs(a - b) / b for a, b in zip(recorder.losses[:FIRST], losses[:FIRST], strict=True)),
        seconds=(sum(record.seconds_compute for record in ours.history), seconds),
        digest=sha256(two.parameters.tobytes()).hexdigest(),
    )


def compiled(name: str, seed: int, folder: Path) -> CompiledNet:
    settings = [*SETTINGS, f"train.epochs={CASES[name].epochs}", f"train.seed={seed}", "train.workers=1"]
    return sparknet.compile(folder / f"{name}.net", settings=settings)


def halved(net: CompiledNet) -> CompiledNet:
    """The work of one worker for two."""
    return net.with_train(workers=2, batch=net.train.batch // 2, sync=AverageSync(every=50))


def train_recorded(net: CompiledNet, recorder: Recorder) -> TrainedNet:
    """As `run_local`, with an engine of our own."""
    assert net.data is not None
    places = {key: place_of(supply.source, supply.label) for key, supply in net.data.supplies.items()}
    return train(net, LocalBackend(places, recorder))


def score_of(trained: TrainedNet) -> float:
    (score,) = trained.scores["test"].metrics.values()
    return score


def peer(name: str, net: CompiledNet, seed: int, steps: int) -> Peer:
    """The net in PyTorch with the first weights of a seed, trained as the file says."""
    flat = net.initial_parameters(seed)
    trained = [slot for slot in net.parameters if slot.kind == "trained"]
    tensors = [flat[slot.offset : slot.offset + slot.size].reshape(slot.shape) for slot in trained]
    settings, epoch_steps = net.train, steps // net.train.epochs
    warmup = settings.schedule[0].in_steps(epoch_steps) if settings.schedule else 0
    decay, clip = settings.optimizer.weight_decay, settings.clip
    return Peer(name, tensors, Training(settings.optimizer.lr, steps, decay, warmup, clip and clip.limit))


def rows_of(step: Step) -> Batch:
    """Inputs and labels of a step, by the order of the net's ports."""
    pixels, *labels = step.feeds.values()
    return pixels, labels[0] if labels else None


def masks(steps: Sequence[Step], layer: int, width: int, rate: float) -> Iterator[Floats]:
    """What the step graph multiplies by in its dropout, from the seed of each step."""
    g = GraphBuilder("mask")
    x, seed = g.input("x", "float32", ("N", width)), g.input("seed", "int64", ())
    g.output("mask", keep_mask(g, x, seed, layer, rate), "float32", ("N", width))
    session = InferenceSession(g.model().SerializeToString())
    for step in steps:
        feeds = {"x": np.empty((step.rows, width), np.float32), "seed": np.array(step.seed, np.int64)}
        yield session.run(None, feeds)[0]


def shuffled(rows: Batch, size: int, epochs: int) -> Iterator[Batch]:
    """Epochs of batches in an order of PyTorch's own; the rows fill whole batches."""
    pixels, labels = rows
    for _ in range(epochs):
        for chosen in torch.randperm(len(pixels)).split(size):
            yield pixels[chosen], None if labels is None else labels[chosen]


def check_spark(seeds: int, folders: dict[str, Path], outcomes: dict[str, list[Outcome]]) -> bool:
    """Whether two workers on Spark come to the same bytes as in one process; prints a line a net."""
    spark, agree = start_session("local[2]"), True
    try:
        for name, folder in folders.items():
            began, digests = time.perf_counter(), []
            for seed in range(seeds):
                net = halved(compiled(name, seed, folder))
                trained = run_spark(net, on=OnSpark(spark=spark))
                digests.append(sha256(trained.parameters.tobytes()).hexdigest())
            same = digests == [outcome.digest for outcome in outcomes[name]]
            agree &= same
            found = "the same bytes" if same else "OTHER BYTES"
            print(f"{name} on Spark: {found}, {time.perf_counter() - began:.0f} s", flush=True)
    finally:
        spark.stop()
    return agree


# ----- all of them -----


def prepare(name: str, folder: Path) -> Path:
    """A folder with NAME.net and the rows that it reads."""
    folder = folder / name.replace(" ", "_")
    folder.mkdir()
    (folder / f"{name}.net").write_text(CASES[name].source())
    write_rows(folder, CASES[name].noise)
    return folder


def report(name: str, outcomes: list[Outcome]) -> tuple[str, bool]:
    """The row of the table, and whether all that it says is as it should be."""
    first = outcomes[0]
    theirs, ours = ([getattr(o, key) for o in outcomes] for key in ("pytorch", "sparknet"))
    difference = statistics.fmean(ours) - statistics.fmean(theirs)
    ends = max(abs(o.sparknet - o.same_start) for o in outcomes)
    start = max(o.start for o in outcomes)
    two = statistics.fmean(o.two_workers for o in outcomes) - statistics.fmean(theirs)
    cells = [
        name, f"{first.parameters:,}", f"{first.steps:,}", spread(theirs), spread(ours), f"{difference:+.2f}",
        f"{start:.0e}", f"{ends:.2f}", f"{two:+.2f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |", abs(difference) <= LIMIT and start < SAME


def spread(points: list[float]) -> str:
    return f"{statistics.fmean(points):.2f} ({min(points):.2f} to {max(points):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=CASES, default=list(CASES), metavar="NET")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=usable_cpus())
    parser.add_argument("--spark", action="store_true", help="train with two workers on Spark too")
    options = parser.parse_args()
    began, fine = time.perf_counter(), True
    print(f"| {' | '.join(HEADS)} |\n|{' --- |' * len(HEADS)}", flush=True)
    with TemporaryDirectory() as temporary:
        folders = {name: prepare(name, Path(temporary)) for name in options.nets}
        with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
            seeds = range(options.seeds)
            waiting = {n: [pool.submit(run, n, seed, folder) for seed in seeds] for n, folder in folders.items()}
            outcomes = {}
            for name, futures in waiting.items():
                outcomes[name] = [future.result() for future in futures]
                row, good = report(name, outcomes[name])
                fine &= good
                print(row, flush=True)
        everything = [o for each in outcomes.values() for o in each]
        ours, theirs = (sum(o.seconds[side] for o in everything) for side in (0, 1))
        print(f"\nsteps: SparkNet {ours:.0f} s, PyTorch {theirs:.0f} s; {time.perf_counter() - began:.0f} s in all")
        if options.spark:
            fine &= check_spark(options.seeds, folders, outcomes)
    sys.exit(not fine)


if __name__ == "__main__":
    main()
