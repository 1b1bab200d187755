"""Where the text that a stage writes came from: errors in it name the param and what the user gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sparknet.compiler.checking import check
from sparknet.grammar import Diagnostic, Source, Span, SparkNetError, parse, syntax

if TYPE_CHECKING:
    from pyspark.ml.param import Params

_TRAIN: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("optimizer", "stepSize"),
    "epochs": ("maxIter",),
    "batch": ("blockSize",),
    "seed": ("seed",),
    "workers": ("numWorkers",),
    "schedule": ("schedule",),
    "loss": ("loss",),
    "clip": ("clip",),
    "sync": ("sync",),
    "early_stop": ("patience", "tol"),
    "checkpoint": ("checkpointInterval",),
}
"""The keys of a `train` section, and the params that a stage writes there."""

_OTHER_WORDS: Mapping[str, str] = {
    "batch": "blockSize",
    "epochs": "maxIter",
    "lr": "stepSize",
    "workers": "numWorkers",
    "validation": "validationIndicatorCol",
}
"""Words of the language that messages without a place say, and the params that say the same."""


@dataclass(frozen=True)
class Given:
    """What stands in a param, or in a place of its list."""

    param: str
    value: Any


@dataclass(frozen=True)
class Origins:
    """What the text of a stage was written for."""

    body: Sequence[Given | None] = ()
    """Of each statement of the net, those of parts one by one; None for what no param asked for."""
    data: Mapping[str, str] = field(default_factory=dict)
    """The params that name columns, by the keys of the `data` section."""
    own: Source | None = None
    """The text of the user, where the stage has only filled in sections."""


def layer_origins(param: str, layers: Sequence[Any], statements: Sequence[int]) -> list[Given]:
    """The origins of a list of layers that were written as so many statements each."""
    pairs = enumerate(zip(layers, statements, strict=True))
    return [Given(f"{param}[{place}]", item) for place, (item, count) in pairs for _ in range(count)]


def named(error: SparkNetError, source: Source, stage: Params, origins: Origins) -> tuple[Diagnostic, ...]:
    """The diagnostics of an error in a stage's text, with a note that names the param.

    What is wrong in the user's own text is shown there, as it was written.
    """
    own = _own(origins)
    places = [*_places(parse(source), stage, origins)]
    return tuple(own.get((d.code, d.message)) or _noted(d, source, places, stage) for d in error.diagnostics)


def _own(origins: Origins) -> dict[tuple[str, str], Diagnostic]:
    """What is wrong with the user's own text."""
    if origins.own is not None:
        try:
            check(origins.own)
        except SparkNetError as error:
            return {(d.code, d.message): d for d in error.diagnostics}
    return {}


def _noted(found: Diagnostic, source: Source, places: Sequence[tuple[Span, Given]], stage: Params) -> Diagnostic:
    if not found.labels:
        words = [key for key in _OTHER_WORDS if any(f"`{key}`" in text for text in (found.message, *found.helps))]
        notes = [f"`{key}` is the param `{_OTHER_WORDS[key]}` of {type(stage).__name__}" for key in words]
        return replace(found, notes=(*found.notes, *notes))
    if found.labels[0].source.text != source.text:
        return found
    start = found.labels[0].span.start
    origins = [given for span, given in places if span.start <= start < span.end]
    notes = [f"`{given.param}` of {type(stage).__name__} is {given.value!r}" for given in origins]
    return replace(found, notes=(*notes, *found.notes))


def _places(file: syntax.File, stage: Params, origins: Origins) -> Iterator[tuple[Span, Given]]:
    for item in file.items:
        if isinstance(item, syntax.Net):
            pairs = zip(_flat(item.body), origins.body, strict=False)
            yield from ((statement.span, given) for statement, given in pairs if given is not None)
        elif isinstance(item, syntax.Section):
            for entry in item.entries:
                asked = [origins.data[entry.key.text]] if entry.key.text in origins.data else []
                if item.name.text == "data" and entry.key.text in ("train", "validation"):
                    asked = ["validationIndicatorCol"]
                if item.name.text == "train":
                    asked = [name for name in _TRAIN.get(entry.key.text, ()) if stage.isSet(name)]
                yield from ((entry.span, Given(name, stage.getOrDefault(name))) for name in asked)


def _flat(body: Sequence[syntax.Statement]) -> Iterator[syntax.Statement]:
    for statement in body:
        if isinstance(statement, syntax.Part):
            yield from statement.body
        else:
            yield statement
