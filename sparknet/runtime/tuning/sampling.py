"""Which values a search tries next: all of them where they are few, else those that Optuna's TPE proposes.

A sampler is asked for a batch of trials, and told all of them before it is asked for more, so that what it proposes
depends on the seed and on the size of the batch alone, not on how many trials ran at a time or which was ready first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from sparknet.compiler.choices import Choice, Choices
from sparknet.compiler.stopping import Judge
from sparknet.grammar.spell import number
from sparknet.runtime.problems import problem
from sparknet.runtime.tuning.records import Trial, texts_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import Trial as Asked

Values = dict[str, str]
"""A value for each choice, as it is written in a file."""

SamplerName = Literal["grid", "tpe"]

_TRIES = 64
"""How often a sampler may propose what was tried already, before the search counts as exhausted."""


_FEWEST = 6
"""Of fewer trials nothing can be said about which choice mattered."""


class Sampler(Protocol):
    """Proposes values for the choices."""

    name: SamplerName

    def ask(self, count: int) -> list[Values]:
        """Values of at most so many trials, none of which was proposed before; fewer where there are no more."""
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """What became of the trials that `ask` proposed, in the order of these."""
        ...


def sampler_for(
    choices: Choices, trials: int, seed: int, judge: Judge, before: SamplerName | None = None
) -> tuple[Sampler, int]:
    """What proposes the trials, and how many there will be at most; `before` is what a search that goes on had.

    Raises SparkNetError where Optuna is missing.
    """
    combinations = combinations_of(choices)
    if before == "grid" or (before is None and combinations is not None and combinations <= trials):
        return Grid(choices), min(trials, combinations or trials)
    return Tpe(choices, seed, judge), trials


def combinations_of(choices: Choices) -> int | None:
    """How many combinations of values there are; None where they cannot be counted."""
    counts = [choice.count for choice in choices.every]
    return None if None in counts else math.prod(count for count in counts if count is not None)


class Grid:
    """All combinations in order, the last choice changing first."""

    name: SamplerName = "grid"

    def __init__(self, choices: Choices) -> None:
        values = [[choice.at(index) for index in range(choice.count or 0)] for choice in choices.every]
        names = [choice.name for choice in choices.every]
        self._left = (dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values))

    def ask(self, count: int) -> list[Values]:
        """As `Sampler.ask`."""
        return list(itertools.islice(self._left, count))

    def tell(self, trials: Sequence[Trial]) -> None:
        """As `Sampler.tell`: a grid learns nothing."""


class Tpe:
    """Tree-structured Parzen estimators (Bergstra et al., 2011), the first trial with the defaults of the file."""

    name: SamplerName = "tpe"

    def __init__(self, choices: Choices, seed: int, judge: Judge) -> None:
        need_optuna()
        import optuna

        self._study = _study(judge, optuna.samplers.TPESampler(seed=seed, constant_liar=True))
        self._choices = choices
        self._space = {choice.name: distribution(choice) for choice in choices.every}
        self._study.enqueue_trial({c.name: to_optuna(c, c.default) for c in choices.every})
        self._seen: set[tuple[str, ...]] = set()
        self._asked: list[Asked] = []

    def ask(self, count: int) -> list[Values]:
        """As `Sampler.ask`."""
        from optuna.trial import TrialState

        found: list[Values] = []
        self._asked = []
        for _ in range(count):
            for _ in range(_TRIES):
                asked = self._study.ask(self._space)
                values = {c.name: from_optuna(c, asked.params[c.name]) for c in self._choices.every}
                if tuple(values.values()) not in self._seen:
                    self._seen.add(tuple(values.values()))
                    self._asked.append(asked)
                    found.append(values)
                    break
                self._study.tell(asked, state=TrialState.FAIL)  # Optuna leaves these out of what it learns from
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        """As `Sampler.tell`. One that failed counts as pruned before its first round, which is the worst there is."""
        from optuna.trial import TrialState

        for asked, trial in zip(self._asked, trials, strict=False):
            for seen, score in trial.curve if trial.state == "pruned" else ():
                asked.report(score, seen)
            if trial.state == "finished":
                self._study.tell(asked, trial.score)
            else:
                self._study.tell(asked, state=TrialState.PRUNED)


def need_optuna() -> None:
    """Raise SparkNetError where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        helps = [
            "pip install 'sparknet[tune]'",
            "or leave so few values that all can be tried: `choose` in place of `range`, or more trials",
        ]
        message = "a search over more combinations than trials needs Optuna, which is not installed"
        raise problem("R0090", message, helps=helps) from error


def importances(trials: Sequence[Trial], choices: Choices, judge: Judge) -> dict[str, float]:
    """How much of the variance of the scores each choice accounts for (fANOVA, Hutter et al., 2014).

    They sum to 1. Nothing where fewer than six trials have finished, all did alike or Optuna is missing.
    """
    finished = [trial for trial in trials if trial.state == "finished" and trial.score is not None]
    varied = [c for c in choices.every if len({t.values[c.name] for t in finished}) > 1]
    if len(finished) < _FEWEST or len({trial.score for trial in finished}) < 2 or not varied:
        return {}
    try:
        import optuna
    except ImportError:
        return {}
    study = _study(judge)
    space = {choice.name: distribution(choice) for choice in choices.every}
    for trial in finished:
        texts = texts_of(trial.values)
        params = {c.name: to_optuna(c, texts[c.name]) for c in choices.every}
        study.add_trial(optuna.create_trial(params=params, distributions=space, value=trial.score))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=[c.name for c in varied])
    return {name: float(share) for name, share in sorted(found.items(), key=lambda each: (-each[1], each[0]))}


# ----- Optuna's words -----


def _study(judge: Judge, sampler: BaseSampler | None = None) -> Study:
    """A study in memory, made without the line that Optuna logs of each."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(sampler=sampler, direction="minimize" if judge.lower_is_better else "maximize")
    finally:
        optuna.logging.set_verbosity(before)


def distribution(choice: Choice) -> BaseDistribution:
    """A choice as Optuna has it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    numbers = choice.numbers
    if numbers is None:
        return CategoricalDistribution(choice.options)
    if numbers.step is not None and not numbers.whole and numbers.count is not None:
        return IntDistribution(0, numbers.count - 1)  # of places: Optuna complains about steps that do not fit
    if numbers.whole:
        count, step = numbers.count or 1, int(numbers.step or 1)
        return IntDistribution(int(numbers.low), int(numbers.low) + (count - 1) * step, log=numbers.log, step=step)
    return FloatDistribution(float(numbers.low), float(numbers.high), log=numbers.log)


def from_optuna(choice: Choice, value: object) -> str:
    """What Optuna proposes, as it is written in a file: decimals to four digits."""
    if choice.numbers is None:
        return str(value)
    assert isinstance(value, int | float)  # noqa: S101 - those of numbers are numbers
    if choice.numbers.step is not None and not choice.numbers.whole:
        return number(choice.numbers.at(int(value)))
    return number(choice.numbers.rounded(value))


def to_optuna(choice: Choice, text: str) -> object:
    """A value as it is written in a file, as Optuna has it."""
    numbers = choice.numbers
    if numbers is None:
        return text
    if numbers.step is not None and not numbers.whole:
        return round((float(text) - numbers.low) / numbers.step)
    return int(text) if numbers.whole else float(text)
