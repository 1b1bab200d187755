"""What a constructor is given by name, checked before Python would refuse it without a word of what there is."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from sparknet.grammar import closest
from sparknet.runtime.problems import listing


def check_keywords(stage: type, given: Iterable[str]) -> None:
    """Raise TypeError for a name that the constructor does not take; it says the close one, if any, and all that are.

    As Python does for an unknown keyword, so that what catches it goes on to catch it.
    """
    takes = inspect.signature(stage).parameters.values()
    names = [each.name for each in takes if each.kind is not inspect.Parameter.VAR_KEYWORD]
    if len(names) < len(takes):  # a subclass that takes all names, and will see to them itself
        return
    for name in given:
        if name not in names:
            near = closest(name, names)
            hint = f"did you mean `{near}`? " if near else ""
            message = f"{stage.__name__} has no param `{name}`; {hint}it has {listing(sorted(names), len(names))}"
            raise TypeError(message)
