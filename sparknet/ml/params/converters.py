"""What values params take, checked when they are set: pyspark names the param in front of what is said."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from sparknet.grammar import construct as c


def whole(least: int, most: int | None = None) -> Callable[[Any], int]:
    """A converter for whole numbers from `least` to `most`; it raises TypeError, which pyspark shows with the name."""

    def convert(value: Any) -> int:
        fits = isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer()
        if not fits or value < least or (most is not None and value > most):
            upper = "" if most is None else f" to {most:,}"
            raise TypeError(f"It must be a whole number from {least:,}{upper or ' on'}, found {value!r}.")
        return int(value)

    return convert


def number(least: float) -> Callable[[Any], float]:
    """A converter for numbers from `least` on."""

    def convert(value: Any) -> float:
        if not isinstance(value, Real) or isinstance(value, bool) or not float(value) >= least:
            raise TypeError(f"It must be a number from {least:g} on, found {value!r}.")
        return float(value)

    return convert


def positive(value: Any) -> float:
    """A number above 0, not infinite; raises TypeError, which pyspark shows with the name of the param."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < float("inf"):
        raise TypeError(f"It must be a number above 0, found {value!r}.")
    return float(value)


def shape(value: Any) -> list[int]:
    """Sides of a shape, whole numbers from 1 on; raises TypeError as `positive`."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"It must be a list of whole numbers from 1 on, found {value!r}.")
    return [whole(1)(side) for side in value]


def written(value: Any) -> str:
    """A value as the language writes it, such as `adam(lr: 0.01)`; raises SparkNetError where it does not read so."""
    if not isinstance(value, str):
        raise TypeError(f"It must be a text of the language, such as 'adam', found {value!r}.")
    c.expr(value)
    return value


def layer_list(value: Any) -> list[Any]:
    """Layers: a list of texts and layer tuples, or one text. Lists stand for tuples, as JSON has no others."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple) or not value:
        raise TypeError(f"It must be a list of layer tuples and texts, or one text, found {value!r}.")
    if isinstance(value[0], Integral):
        raise TypeError(f"It must be a list of layers; one layer is a list too: [{tuple(value)!r}].")
    return [_layer(item) for item in value]


def _layer(item: Any) -> str | tuple[int | str, ...]:
    if isinstance(item, str):
        return item
    if not isinstance(item, list | tuple) or not item or not all(isinstance(part, Integral | str) for part in item):
        raise TypeError(
            f"A layer is a tuple such as (28, 3, 3, 64, 'RELU') or a text such as 'maxpool(2)', found {item!r}."
        )
    return tuple(part if isinstance(part, str) else int(part) for part in item)


def one_of(*words: str) -> Callable[[Any], str]:
    """A converter for one of some words, in any case."""

    def convert(value: Any) -> str:
        if not isinstance(value, str) or value.lower() not in words:
            raise TypeError(f"It must be one of {', '.join(words)}, found {value!r}.")
        return value.lower()

    return convert
