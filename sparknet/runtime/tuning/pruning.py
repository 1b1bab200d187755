"""Which trials are ended early: the median rule of Vizier (Golovin et al., 2017, section 3.1.2), a pure function.

A trial is compared with trials of batches before its own only, so that it does not matter which of those beside it is
ahead, and by the rows that it was trained on, as trials may have batches and rounds of different sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from sparknet.compiler.stopping import Judge
from sparknet.runtime.tuning.records import Curve

FEWEST = 4
"""With fewer others there is no median to speak of."""
WARMUP = 3
"""Nothing is ended in the first third of its rounds: nets that end well may start slowly."""


def is_hopeless(curve: Curve, rounds: int, others: Sequence[Curve], judge: Judge) -> bool:
    """Whether the best score until now is worse than the median of what the others had reached by as many rows.

    `rounds` is how many the trial is to have in all.
    """
    if len(curve) * WARMUP <= rounds:
        return False
    rows = curve[-1][0]
    reached = [best for other in others if other[-1][0] >= rows and (best := _best(other, rows, judge)) is not None]
    mine = _best(curve, rows, judge)
    return len(reached) >= FEWEST and mine is not None and judge.gain(mine, median(reached)) < 0


def _best(curve: Curve, rows: int, judge: Judge) -> float | None:
    """The best score within so many rows."""
    scores = [score for seen, score in curve if seen <= rows]
    if not scores:
        return None
    return min(scores) if judge.lower_is_better else max(scores)
