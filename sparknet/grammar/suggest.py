"""What a misspelt word may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

_LONGEST = 64
"""Longer words are not typing errors, and `difflib` takes quadratic time over them."""

_MOST = 1000
"""Candidates that are looked at, the first in the order of the alphabet."""


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` most probably stands for, or None where none is close.

    Case and underscores do not count, so `MaxPool` and `max_pool` both find `maxpool`. Letters here and there that are
    the same do not make a short word close: `kind` does not stand for `id`.
    """
    if len(word) > _LONGEST:
        return None
    by_key: dict[str, str] = {}
    for candidate in sorted(candidates)[:_MOST]:
        if candidate != word:
            by_key.setdefault(_key(candidate), candidate)
    key, cutoff = _key(word), 0.6 if len(word) > 3 else 0.65
    found = get_close_matches(key, by_key, n=len(by_key) or 1, cutoff=cutoff)
    return next((by_key[other] for other in found if _is_slip(key, other)), None)


def _is_slip(key: str, other: str) -> bool:
    """Whether two keys begin alike, or have half of the longer one in a stretch: few slips are of the first letter."""
    stretch = SequenceMatcher(None, key, other, autojunk=False).find_longest_match().size
    return key[:1] == other[:1] or 2 * stretch >= max(len(key), len(other))


def _key(word: str) -> str:
    return word.casefold().replace("_", "")
