"""The net that is searched: what its trials are, and what has to be known before the first of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparknet.compiler import compile
from sparknet.compiler.checking import check
from sparknet.compiler.choices import Choice, Choices
from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.net import TypedNet
from sparknet.compiler.outputs import judge, metric_names
from sparknet.compiler.stopping import Judge
from sparknet.grammar.diagnostics import Label, SparkNetError
from sparknet.grammar.source import Source
from sparknet.grammar.spell import number
from sparknet.grammar.suggest import closest
from sparknet.runtime.problems import listing, problem
from sparknet.runtime.sources.frames import fed_by
from sparknet.runtime.training.trainer import data_section

_MOST_CHECKED = 100


@dataclass(frozen=True)
class Subject:
    """A net with choices."""

    source: Source
    settings: tuple[str, ...] = ()
    root: Path | None = None
    frames: frozenset[str] = frozenset()
    """The splits whose rows a program hands over."""

    def base(self) -> CompiledNet:
        """The net with the defaults of its choices, fed by what feeds the trials."""
        return self.fed(compile(self.source, settings=self.settings, root=self.root))

    def net(self, choices: Choices, values: Mapping[str, str]) -> CompiledNet:
        """The net of a trial, whose source has the values in the places of the choices; raises SparkNetError."""
        return compile(self.source, settings=self._settings(choices, values), root=self.root)

    def fed(self, net: CompiledNet) -> CompiledNet:
        """The net with the frames in the place of its sources."""
        return fed_by(net, self.frames)[0] if self.frames else net

    def typed(self, choices: Choices, values: Mapping[str, str]) -> TypedNet:
        """As `net`, without graphs."""
        return check(self.source, settings=self._settings(choices, values), root=self.root)

    def _settings(self, choices: Choices, values: Mapping[str, str]) -> list[str]:
        chosen = choices.settings(values)
        taken = {path_of(setting) for setting in chosen}
        return [*(s for s in self.settings if path_of(s) not in taken), *chosen]


def path_of(setting: str) -> str:
    """What a setting sets: `width`, `train.epochs`."""
    return "".join(setting.partition("=")[0].split())


def with_workers(settings: Sequence[str], net: CompiledNet, workers: int | None) -> tuple[str, ...]:
    """Settings that say how many workers a trial has: those given, else those of the file, else one.

    It stands in the source of the best run, which so gives the same bytes wherever it is run again.
    """
    if workers is None and (net.train.workers is not None or "train.workers" in net.typed.net.choices.keys):
        return tuple(settings)
    return (*(s for s in settings if path_of(s) != "train.workers"), f"train.workers={workers or 1}")


def check_choices(net: CompiledNet) -> Choices:
    """The choices; raises SparkNetError where there are none."""
    choices = net.typed.net.choices
    if not choices.every:
        helps = ["leave something open: `let lr = choose(0.1, 0.01)` or `let width = range(16, 256)`"]
        raise problem("R0091", f"`{net.source.name}` has nothing to choose", label=net.typed.net.label, helps=helps)
    return choices


def check_validation(net: CompiledNet, frames: Collection[str]) -> None:
    """Raise SparkNetError where there are no validation rows, on which alone trials may be compared."""
    data = data_section(net)
    if any("validation" in supply.split for supply in data.supplies.values()):
        return
    label: Label | None = next(iter(data.supplies.values())).label
    helps = ["give them a share in `data`: `split = {train: 0.7, validation: 0.15, test: 0.15}`"]
    if "source" not in data.supplies:
        helps = ['add a source for them: `validation = parquet("validation.parquet")`']
    if frames:
        label, helps = None, ["give some as `validation=`", *(helps if "source" in data.supplies else ())]
    message = "trials are compared on rows for `validation`, and there are none; those for `test` choose nothing"
    raise problem("R0092", message, label=label, helps=helps)


def judge_of(net: CompiledNet, metric: str | None) -> Judge:
    """By which score trials are compared; raises SparkNetError for one that is not measured."""
    scores = ["loss", *metric_names(net.typed.net)]
    if metric is not None and metric not in scores:
        near = closest(metric, scores)
        helps = [
            f"did you mean `{near}`?" if near else f"scores are {listing(scores)}; `metrics` says what is measured"
        ]
        raise problem("R0093", f"nothing called `{metric}` is measured", helps=helps)
    return judge(net.typed.net, metric)


def check_comparable(subject: Subject, choices: Choices, base: CompiledNet, judged: Judge) -> None:
    """Raise SparkNetError where trials are compared by losses that a choice makes different things."""
    if judged.metric != "loss":
        return
    expected, values = _loss(base.typed), choices.defaults()
    others = [(c, text) for c in choices.every for text in _extremes(c) if text != c.default]
    for choice, text in others[:_MOST_CHECKED]:
        try:
            found = _loss(subject.typed(choices, {**values, choice.name: text}))
        except SparkNetError:
            continue
        if found != expected:
            other = next(iter(metric_names(base.typed.net)), None)
            message = f"`{choice.name}` changes what the loss is, so that trials cannot be compared by it"
            helps = [
                f"compare them by another score: `--metric {other}`, or `metric=` in Python"
                if other
                else "leave the loss as it is"
            ]
            raise problem("R0093", message, label=choice.label, helps=helps)


def _extremes(choice: Choice) -> Sequence[str]:
    """The options of a choice, or the ends of its range."""
    ends = (choice.numbers.low, choice.numbers.high) if choice.numbers is not None else ()
    return choice.options or tuple(map(number, ends))


def _loss(typed: TypedNet) -> tuple[object, ...]:
    train = typed.net.train
    return train.loss, train.weights, train.class_weights
