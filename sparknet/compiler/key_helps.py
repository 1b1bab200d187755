"""Helps for keys that a section does not have, and for values that are no call where one is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sparknet.compiler.scope import Scope
from sparknet.compiler.sections import DATA_KEYS, SUPPLY_KEYS, PredictSection, TrainSection
from sparknet.compiler.sources import reader
from sparknet.compiler.synonyms import KEYS, NEEDLESS, WORDS, plain_name
from sparknet.compiler.translate import word, written
from sparknet.grammar import syntax
from sparknet.grammar.suggest import closest

_OWN: dict[str, tuple[str, ...]] = {
    "data": DATA_KEYS,
    "train": tuple(TrainSection.model_fields),
    "predict": tuple(PredictSection.model_fields),
}
"""The keys of each section, those of `data` that stand for inputs and outputs left out."""

_WORDED = ("optimizer", "schedule", "loss", "metrics")
"""Keys whose values are words."""


def key_help(entry: syntax.Entry, section: syntax.Section, known: Sequence[str], scope: Scope) -> str:
    """What to write in place of a key that a section does not have."""
    key, name = plain_name(entry.key.text), section.name.text
    for other in (name, *_OWN):
        if key in KEYS[other] and (other == name or key not in map(plain_name, known)):
            where = "" if other == name else f" in `{other}`"
            return f"write `{_filled(KEYS[other][key], entry, section, scope)}`{where}"
    if key in NEEDLESS:
        return NEEDLESS[key]
    home = next((s for s, keys in _OWN.items() if entry.key.text in keys), None)
    if home is not None:
        return f"it is a key of `{home}`: move this line to there"
    near = closest(entry.key.text, known)
    if near:
        return f"did you mean `{near}`?"
    ports = [k for k in known if k not in DATA_KEYS]
    if name == "data" and ports:
        return f"the inputs and outputs of the net are {', '.join(f'`{p}`' for p in ports)}"
    return f"keys are {', '.join(f'`{k}`' for k in known)}"


def _filled(line: str, entry: syntax.Entry, section: syntax.Section, scope: Scope) -> str:
    """A line of ours with the value that was written."""
    key, template = line.split(" = ", 1)
    value = written(entry.value, scope)
    if isinstance(entry.value, syntax.Name | syntax.String):
        text = entry.value.text if isinstance(entry.value, syntax.Name) else entry.value.value
        words = WORDS.get("metric" if key == "metrics" else key, {})
        value = words.get(plain_name(text), value.lower() if key in _WORDED else value)
    if isinstance(entry.value, syntax.Call) and "(" in template:
        return f"{key} = {value}"
    optimizer = next((written(e.value, scope) for e in section.entries if e.key.text == "optimizer"), "adam")
    source = reader(entry.value.value) if isinstance(entry.value, syntax.String) else value
    return f"{key} = " + template.format(value=value, optimizer=optimizer.partition("(")[0], source=source)


def means_source(entry: syntax.Entry) -> bool:
    """Whether a key that `data` does not have says where rows come from."""
    return "{source}" in KEYS["data"].get(plain_name(entry.key.text), "") or (
        closest(entry.key.text, DATA_KEYS) in SUPPLY_KEYS
    )


_OF_A_NUMBER = {
    "optimizer": ("adam(lr: {})",),
    "clip": ("norm({})",),
    "sync": ("average(every: {})",),
    "moments": ("average(every: {})",),
    "early_stop": ("patience({})",),
    "checkpoint": ("rounds({})", "minutes({})"),
}
"""What may be meant by a number where a call is asked for."""


def called_help(what: str, value: syntax.Expr, table: Mapping[str, Any], scope: Scope) -> str | None:
    """What to write in place of a value where one of `table` is asked for, with its arguments in parentheses."""
    text = value.value if isinstance(value, syntax.String) else None
    if text is not None and what in ("source", "input", "output"):
        kind = text.rpartition(".")[2]
        return f"write `{reader(text)}`" if kind in table else _choices(what, table)
    if text is not None and (text in table or word(what, text, table)):
        return f"write `{text if text in table else word(what, text, table)}`, without quotes"
    if isinstance(value, syntax.Number) and what in _OF_A_NUMBER:
        return "write " + " or ".join(f"`{call.format(written(value, scope))}`" for call in _OF_A_NUMBER[what])
    return _choices(what, table)


def _choices(what: str, table: Iterable[str]) -> str | None:
    return f"sources are {', '.join(f'`{name}`' for name in table)}" if what == "source" else None
