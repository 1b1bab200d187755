"""Milliseconds and memory of one training step, SparkNet on stock ONNX Runtime against other engines.

    python bench/step.py                                # needs the `bench` extra
    python bench/step.py --nets CNN LSTM --engines sparknet pytorch --threads 2
    python bench/step.py --soak 5000                    # memory over many steps, SparkNet alone
    python bench/step.py --threads 1 --turns 15 --verdicts verdicts.txt

All engines train the same nets from the same weights on the same batches, each in a process of its own that is kept to
as many cores as threads. They take turns of a fraction of a second, so that a machine that changes its speed changes
all of them; a ratio is taken within a turn. Printed are medians over the turns, with the range of the ratios; `goal` is
the seconds to the net's goal, a loss: as many steps as it took from the common start, at the median. Memory is the peak
over what the imports left; `peak` is the share of what a 1024 x 1024 matrix product reaches in turns of its own.
Behind the table are verdicts on one thread, see step_verdicts.py: where the interval of a median holds the goal it is
`even`. `--verdicts` compares them with those in the file, of another day or machine, and then writes them there,
without their numbers. Under the verdicts is the machine: if its median is far below its best, it was busy with other
things, from which engines need not suffer alike.
Engines that are not installed, or fail, are left out and named. onnxruntime-training cannot be in the same environment:
`--training` names the Python of another one, see docs/engines.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from step_engines import MOST_STEPS
from step_nets import NETS
from step_verdicts import MACHINE, Machine, Verdict, against, read_words, verdicts, write_words

ENGINES = ("sparknet", "onnxruntime-training", "pytorch", "torch.compile", "jax", "keras")
TRAINING = Path(".venv-training/bin/python")
SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",  # not the default on older processors, though faster there too
    "JAX_PLATFORMS": "cpu",
    "KERAS_BACKEND": "tensorflow",
}
LEFT_ALONE = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONWARNINGS"}


class Peer:
    """An engine's process; it only works while it is asked to."""

    def __init__(self, engine: str, name: str, folder: Path, threads: int, python: str = sys.executable) -> None:
        self.engine, self.turns = engine, []
        kept = {k: v for k, v in os.environ.items() if k not in LEFT_ALONE}
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        limits["PYTHONPATH"] = str(Path(__file__).parents[1])  # onnxruntime-training's environment need not have us
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(
            [python, str(Path(__file__).with_name("step_engines.py")), engine, name, str(folder), str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=kept | limits | SETTINGS,
        )  # fmt: skip
        self.losses = self._read()["losses"]

    def _read(self) -> dict[str, Any]:
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries have their say on the standard output too
                return json.loads(line)
        self.errors.seek(0)
        last = (self.errors.read().strip().splitlines() or ["no word"])[-1]
        raise RuntimeError(f"{self.engine}: {last[:150]}")

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
    """Write the weights and the batches; gives the multiply-adds of a step's products, about."""
    import sparknet
    from sparknet.compiler.summary import summarize

    net, bench = sparknet.compile(NETS[name].source), NETS[name]
    parameters = net.initial_parameters()
    np.savez(folder / "start.npz", parameters=parameters, state=net.initial_optimizer_state())
    trained = [s for s in net.parameters if s.kind == "trained"]
    tensors = {f"{k:03}": parameters[s.offset : s.offset + s.size].reshape(s.shape) for k, s in enumerate(trained)}
    np.savez(folder / "tensors.npz", **tensors)
    np.savez(folder / "data.npz", **bench.data())
    return 3 * summarize(net.typed).total.multiply_adds * bench.batch


def open_peers(options: argparse.Namespace, name: str, folder: Path, threads: int) -> list[Peer]:
    peers = []
    for engine in options.engines:
        python = sys.executable
        if engine == "onnxruntime-training":
            python = str(options.training)
        try:
            peers.append(Peer(engine, name, folder, threads, python))
        except (RuntimeError, FileNotFoundError) as error:
            print(f"{name:<42}{engine:<22}left out: {error}")
    return peers


def compare(name: str, options: argparse.Namespace, threads: int) -> tuple[list[Verdict], list[float]]:
    """Print the lines of a net; gives its verdicts, and the seconds of a matrix product between its turns."""
    with tempfile.TemporaryDirectory() as temporary:
        multiply_adds = prepare(name, Path(temporary))
        peers = open_peers(options, name, Path(temporary), threads)
        matmul = Peer("matmul", name, Path(temporary), threads)
        for k in range(options.turns + 1):
            for peer in (*peers[k % len(peers) :], *peers[: k % len(peers)], matmul):
                peer.turn(options.seconds if peer is not matmul else 0.1)
            if k == 0:  # the first is to warm up
                for peer in (*peers, matmul):
                    peer.turns.clear()
        least = multiply_adds / 1024**3 * min(turn["wall"] for turn in matmul.turns)
        for peer in peers:
            print(row(name, threads, peer, peers[0], least), flush=True)
        for peer in (*peers, matmul):
            peer.close()
    others = {peer.engine: peer.turns for peer in peers[1:]} if peers[0].engine == "sparknet" else {}
    return verdicts(peers[0].turns, others, NETS[name].pace), [turn["wall"] for turn in matmul.turns]


def row(name: str, threads: int, peer: Peer, first: Peer, least: float) -> str:
    """One line; `least` is the seconds that the step's products take at the machine's peak."""
    wall, cpu, memory = peer.median("wall"), peer.median("cpu"), peer.median("memory")
    steps = len(peer.losses)
    goal = f"{steps * wall:.2f} s" if steps < MOST_STEPS else "never"
    times = f"{1000 * wall:>9.3f}{1000 * cpu:>9.3f}{goal:>9}{memory / 2**20:>6.0f}{100 * least / wall:>5.0f} %"
    ratio = ""
    if peer is not first:
        ratios = [b["wall"] / a["wall"] for a, b in zip(first.turns, peer.turns, strict=True)]
        of_cpu = statistics.median(b["cpu"] / a["cpu"] for a, b in zip(first.turns, peer.turns, strict=True))
        off = max(abs(a - b) for a, b in zip(first.losses[:8], peer.losses[:8], strict=True))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        ratio = f"{statistics.median(ratios):>6.2f}  {spread:<15}{of_cpu:>5.2f}{off:>10.1e}"
    return f"{name:<42}{threads}  {peer.engine:<21}{times}{ratio}"


def soaked(name: str, steps: int) -> str:
    """Resident memory after a tenth of the steps, and what is added until the end."""
    with tempfile.TemporaryDirectory() as temporary:
        prepare(name, Path(temporary))
        peer = Peer("sparknet", name, Path(temporary), 1)
        sizes, taken = [], 0
        while taken < steps:
            result = peer.turn(1.0)
            taken += result["steps"]
            sizes.append((taken, result["rss"]))
        settled = next(size for done, size in sizes if done >= steps / 10)
        peer.close()
    return f"{name:<42}{taken:>7} steps{settled / 2**20:>8.1f} MiB{(sizes[-1][1] - settled) / 2**20:>+7.2f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description="Training steps, engine against engine.")
    parser.add_argument("--nets", nargs="+", default=[""], help="beginnings of names of nets")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a turn")
    parser.add_argument("--training", type=Path, default=TRAINING, help="Python of onnxruntime-training's environment")
    parser.add_argument("--verdicts", type=Path, metavar="FILE", help="compare with these, then overwrite them")
    parser.add_argument("--soak", type=int, default=0, metavar="STEPS")
    options = parser.parse_args()
    before = verdicts_before(parser, options)
    names = [name for name in NETS if name.startswith(tuple(options.nets))]
    if options.soak:
        for name in names:
            print(soaked(name, options.soak), flush=True)
        return
    print(
        f"medians of {options.turns} turns; `times` is the engine's time over that of the first; `off` is how far the"
    )
    print("first losses lie from those of the first\n")
    heads = f"{'ms':>9}{'CPU ms':>9}{'goal':>9}{'MiB':>6}{'peak':>7}{'times':>6}  {'range':<15}{'CPU':>5}{'off':>10}"
    print(f"{'net':<41}thr {'engine':<20}{heads}")
    found = {(name, threads): compare(name, options, threads) for name in names for threads in options.threads}
    alone = {name: each for (name, threads), each in found.items() if threads == 1}
    if alone:
        judge(alone, before, options.verdicts)


def verdicts_before(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, str]:
    """Those of an earlier run; ends the program before it measures where they cannot be read or compared."""
    if options.verdicts is None:
        return {}
    if 1 not in options.threads:
        parser.error("--verdicts needs --threads 1, as verdicts are those on one thread")
    try:
        return read_words(options.verdicts)
    except (OSError, ValueError) as error:
        parser.error(f"--verdicts: {error}")


def judge(found: dict[str, tuple[list[Verdict], list[float]]], before: dict[str, str], file: Path | None) -> None:
    """Print the verdicts on one thread, and how they differ from those before; `file` has them from then on.

    It stays as it is where that would lose some: of a run of some nets, or without an engine.
    """
    judged = [(name, verdict) for name, (of_net, _) in found.items() for verdict in of_net]
    machine = Machine([seconds for _, of_machine in found.values() for seconds in of_machine])
    print(f"\n{'verdict on one thread':<42}{'':<24}{'':<22}{'times':>6}  {'median within':<15}{'goal':>5}")
    for name, verdict in judged:
        print(f"{name:<42}{verdict}")
    print(machine)
    if file is None:
        return
    words = {f"{name}, {verdict.name}": verdict.word for name, verdict in judged} | {MACHINE: machine.word}
    if before:
        print(against(before, words))
    lost = before.keys() - words.keys()
    if lost:
        print(f"{file} stays as it is: this run lacks {len(lost)} of its verdicts")
    else:
        write_words(file, words)


if __name__ == "__main__":
    main()
