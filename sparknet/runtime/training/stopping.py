"""Which round is the best one, and when a run is over: functions of the rounds so far, and the caller's word."""

from __future__ import annotations

from collections.abc import Sequence

from sparknet.compiler.stopping import Judge, Patience
from sparknet.runtime.failures import CallbackError
from sparknet.runtime.training.records import Callback, RoundRecord, Score


def is_best(history: Sequence[RoundRecord], judge: Judge) -> bool:
    """Whether the last round is the one to keep: better on validation than every round before.

    Without validation rows every round takes the place of the one before: to choose by the test rows would spoil them.
    """
    *before, last = (_validated(record, judge) for record in history)
    return last is None or all(score is not None and judge.gain(last, score) > 0 for score in before)


def is_over(history: Sequence[RoundRecord], judge: Judge, patience: Patience | None) -> bool:
    """Whether the last `patience.rounds` rounds in a row were not better by `min_delta` than the best one before."""
    if patience is None:
        return False
    best, since = None, 0
    for record in history:
        score = _validated(record, judge)
        if score is None:
            return False
        if best is None or judge.gain(score, best) > patience.min_delta:
            best, since = score, 0
        else:
            since += 1
    return since >= patience.rounds


def asks_to_stop(callback: Callback, record: RoundRecord) -> bool:
    """Whether the caller ends the run; raises CallbackError for what it raises, and for an answer that is none."""
    try:
        answer = callback(record)
        if answer is not None and not isinstance(answer, bool):
            raise TypeError(f"`callback` returns True to end the run, else None or False, not {answer!r:.80}")
    except Exception as error:
        raise CallbackError(error) from error
    return answer is True


def _validated(record: RoundRecord, judge: Judge) -> float | None:
    score = record.score
    return None if score is None or score.split != "validation" else judged(score, judge)


def judged(score: Score, judge: Judge) -> float:
    """The number of a score that the judge goes by."""
    return score.loss if judge.metric == "loss" else score.metrics[judge.metric]
