"""How calls are written: the arguments of a model, in order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel


@dataclass(frozen=True)
class Form:
    """How a model is written: its arguments in order, of which the first `positional` may go unnamed."""

    names: tuple[str, ...]
    positional: int
    gathers: str | None
    """The field that takes all arguments without names, as a list."""
    texts: frozenset[str]
    """Arguments that take any text; what takes words has them as an enumeration."""
    switches: frozenset[str]
    """Arguments that are true or false."""
    needed: tuple[str, ...]
    """Arguments without a default."""


@cache
def form_of(model: type[BaseModel]) -> Form:
    """The form of a model; those in its `keyword_only` go last and by their names alone."""
    keyword_only: frozenset[str] = getattr(model, "keyword_only", frozenset())
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    return Form(
        names=tuple(sorted(fields, key=lambda name: name in keyword_only)),
        positional=len(fields) - len(keyword_only),
        gathers=getattr(model, "gathers", None),
        texts=frozenset(name for name, field in fields.items() if field.annotation is str),
        switches=frozenset(name for name, field in fields.items() if field.annotation is bool),
        needed=tuple(name for name, field in fields.items() if field.is_required()),
    )


EXAMPLES: dict[str, str] = {
    "units": "10",
    "filters": "32",
    "kernel": "3x3",
    "window": "2",
    "rate": "0.5",
    "groups": "8",
    "low": "16",
    "high": "256",
    "width": "32",
    "scale": "2",
    "amount": "1",
    "shape": "1, 28, 28",
    "axes": "1, 0",
    "limit": "1",
    "table": '"rows"',
    "path": '"rows.csv"',
}
"""A value for each argument that something needs, as a help shows it."""


def call(name: str, arguments: list[str]) -> str:
    """A call, as it is written."""
    return f"{name}({', '.join(arguments)})" if arguments else name


def usage(name: str, form: Form, given: dict[str, str]) -> str:
    """A call with what is `given` and, of what is needed and missing, an example; names are written where they must be.

    What `form.gathers` is given stands without a name however many items it has.
    """
    parts = given | {key: EXAMPLES.get(key, key) for key in form.needed if key not in given}
    found: list[str] = []
    for position, key in enumerate(key for key in form.names if key in parts):
        in_order = position < form.positional and form.names[position] == key
        short = in_order and (key in form.needed or key == "activation" or key not in given)
        found.append(parts[key] if short or key == form.gathers else f"{key}: {parts[key]}")
    return call(name, found)
