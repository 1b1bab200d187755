"""The words that a `let` may hold: those that arguments of layers take, `relu` or `same`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

from sparknet.compiler.layers import LAYERS
from sparknet.compiler.layers.activation import ACTIVATIONS


@cache
def layer_words() -> frozenset[str]:
    """All of them."""
    fields = (field for layer in LAYERS.values() for field in layer.model_fields.values())
    return frozenset(ACTIVATIONS) | {word for field in fields for word in _listed(field.annotation)}


def _listed(annotation: Any) -> Iterator[str]:
    """The texts among the values that an annotation lists."""
    if get_origin(annotation) is Literal:
        yield from (value for value in get_args(annotation) if isinstance(value, str))
        return
    for part in get_args(annotation):
        yield from _listed(part)
