"""Whether the steps of bench/step.py are as fast as they are to be: verdicts that another day should give again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from statistics import median
from typing import Any

FASTEST = ("pytorch", "torch.compile", "jax", "keras")
"""The fastest of these is the mark, whichever it is."""

MACHINE = "the machine"
"""What the line of a file is called that says what its verdicts were found on."""

REGISTERS = {"AVX-512": "avx512f", "AVX2": "avx2"}
"""The flags of the processor, the widest registers first."""

Turns = Sequence[Mapping[str, Any]]
"""What an engine said in each of its turns, as bench/step.py hears it."""


@dataclass(frozen=True)
class Verdict:
    """How a step compares with one goal: `ratios` are the peer's time over ours in each turn, or its memory."""

    name: str
    peer: str
    ratios: Sequence[float]
    goal: float = 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """Holds the median 19 times out of 20, however the ratios are spread: that of the sign test."""
        ordered, count = sorted(self.ratios), len(self.ratios)
        cut = 0
        while 2 * sum(comb(count, k) for k in range(cut + 1)) <= 0.05 * 2**count:
            cut += 1
        cut = max(cut - 1, 0)
        return ordered[cut], ordered[-1 - cut]

    @property
    def word(self) -> str:
        """`met` or `missed` where the interval lies on one side of the goal, `even` where it holds the goal."""
        low, high = self.interval
        return "met" if low >= self.goal else "missed" if high < self.goal else "even"

    def __str__(self) -> str:
        low, high = self.interval
        numbers = f"{median(self.ratios):>6.2f}  {f'{low:.2f} to {high:.2f}':<15}{self.goal:>5.1f}  {self.word}"
        return f"{self.name:<24}{self.peer:<22}{numbers}"


@dataclass(frozen=True)
class Machine:
    """What the engines ran on: `seconds` are those of products of 1024 x 1024 matrices all along the run."""

    seconds: Sequence[float]

    @property
    def word(self) -> str:
        """The widest registers: engines gain from them differently, so verdicts may be others on other ones."""
        text = Path("/proc/cpuinfo").read_text()
        flags = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
        return next((name for name, flag in REGISTERS.items() if flag in flags), "neither AVX-512 nor AVX2")

    def __str__(self) -> str:
        best, middle = (2 * 1024**3 / 1e9 / seconds for seconds in (min(self.seconds), median(self.seconds)))
        return f"{MACHINE}: {self.word}, {best:.0f} GFLOP/s at best, {middle:.0f} at the median"


def verdicts(ours: Turns, peers: Mapping[str, Turns], pace: float) -> list[Verdict]:
    """Over PyTorch, which is to take `pace` times as long; over the fastest; over onnxruntime-training; of memory.

    Of the engines that were there. A ratio is one of processor time.
    """
    times = {name: [b["cpu"] / a["cpu"] for a, b in zip(ours, turns, strict=True)] for name, turns in peers.items()}
    found = [Verdict("over PyTorch", "pytorch", times["pytorch"], pace)] if "pytorch" in times else []
    fast = [name for name in FASTEST if name in times]
    if fast:
        fastest = min(fast, key=lambda name: median(times[name]))
        found.append(Verdict("over the fastest", fastest, times[fastest]))
    training = "onnxruntime-training"
    if training in times:
        found.append(Verdict("over the second engine", training, times[training]))
    if "pytorch" in peers:
        memory = [b["memory"] / a["memory"] for a, b in zip(ours, peers["pytorch"], strict=True)]
        found.append(Verdict("memory", "pytorch", memory))
    return found


def against(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """How the words of a run differ from those of another; `even` contradicts neither `met` nor `missed`."""
    both = [name for name in now if name in before and name != MACHINE]
    other = [name for name in both if now[name] != before[name]]
    opposite = [name for name in other if "even" not in (now[name], before[name])]
    same, near = len(both) - len(other), len(other) - len(opposite)
    counts = f"{same} are those of the file, {near} even in one of the two runs, {len(opposite)} opposite"
    told = [*opposite, *([MACHINE] if now[MACHINE] != before.get(MACHINE) else [])]
    lines = [f"{name}: {now[name]}, in the file {before.get(name, 'not said')}" for name in told]
    return "\n".join([f"of {len(both)} verdicts {counts}", *lines])


def write_words(file: Path, words: Mapping[str, str]) -> None:
    """A line for each verdict, and one for the machine."""
    file.write_text("".join(f"{name}: {word}\n" for name, word in words.items()), "utf-8")


def read_words(file: Path) -> dict[str, str]:
    """What `write_words` wrote; empty where there is no such file. Raises ValueError for other lines, and OSError."""
    if not file.exists():
        return {}
    words = {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        name, colon, word = line.rpartition(": ")
        if not colon:
            raise ValueError(f"line {number} of {file} is no verdict: {line[:80]!r}")
        words[name] = word
    return words
