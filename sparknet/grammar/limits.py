"""Bounds on what a `.net` file may hold, so that no text takes unbounded time or memory."""

from __future__ import annotations

TEXT_BYTES = 1 << 20
"""Size of a file; a text in memory is measured as UTF-8."""

TOKENS = 64_000
"""Words, numbers, texts and signs in a file; a net of 5,000 layers has 35,000 to 55,000."""

DEPTH = 64
"""Brackets and operators inside each other, and `else if` in a row."""

NAME_LENGTH = 128
"""Characters of a name."""

STRING_LENGTH = 4096
"""Characters of a text between quotes."""

DIGITS = 18
"""Digits in a row, so that every whole number fits in 64 bits."""

NUMBER_LENGTH = 64
"""Characters of a number or of sizes joined by `x`."""

ERRORS = 20
"""Diagnostics in one report; what comes after so many is seldom read."""
