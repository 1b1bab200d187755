"""Params that are given by names, checked before Python or pyspark would refuse one without a word of what there is."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

from sparknet.grammar import closest
from sparknet.runtime.problems import listing


def check_keywords(stage: type, given: Iterable[str]) -> None:
    """Raise TypeError for a name that the constructor does not take; see `no_param`."""
    takes = inspect.signature(stage).parameters.values()
    names = [each.name for each in takes if each.kind is not inspect.Parameter.VAR_KEYWORD]
    if len(names) < len(takes):  # a subclass that takes all names, and will see to them itself
        return
    for name in given:
        if name not in names:
            raise no_param(stage, name, names)


def no_param(stage: type, name: str, names: Sequence[str]) -> TypeError:
    """The error for a name that is none of a stage's: it says the close one, if any, and all that there are.

    A TypeError, as Python raises for an unknown keyword, so that what catches that goes on to catch it.
    """
    near = closest(name, names)
    hint = f"did you mean `{near}`? " if near else ""
    return TypeError(f"{stage.__name__} has no param `{name}`; {hint}it has {listing(sorted(names), len(names))}")
