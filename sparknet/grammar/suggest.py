"""What a misspelt word may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 64
"""Longer words are not typing errors, and `difflib` takes quadratic time over them."""

_MOST = 1000
"""Candidates that are looked at, the first in the order of the alphabet."""


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` most probably stands for, or None where none is close.

    Case and underscores do not count, so `MaxPool` and `max_pool` both find `maxpool`.
    """
    if len(word) > _LONGEST:
        return None
    by_key: dict[str, str] = {}
    for candidate in sorted(candidates)[:_MOST]:
        if candidate != word:
            by_key.setdefault(_key(candidate), candidate)
    found = get_close_matches(_key(word), by_key, n=1, cutoff=0.6 if len(word) > 3 else 0.65)
    return by_key[found[0]] if found else None


def _key(word: str) -> str:
    return word.casefold().replace("_", "")
