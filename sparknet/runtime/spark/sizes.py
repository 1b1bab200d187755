"""Sizes as Spark's settings write them."""

from __future__ import annotations

import re

MIB = 1 << 20
_UNITS = {"b": 1, "k": 1 << 10, "m": MIB, "g": 1 << 30, "t": 1 << 40}


def size_of(text: str, unit: int = MIB) -> int:
    """Bytes of `2g`, `512m`, `64kb`, and of a bare number of `unit` bytes: MiB for memory, 1 for most else.

    0 for what is no size; Spark has refused that at its start.
    """
    found = re.fullmatch(r"\s*(\d+)\s*([bkmgt]?)b?\s*", text.lower())
    return int(found[1]) * (_UNITS[found[2]] if found[2] else unit) if found else 0
