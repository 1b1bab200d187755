"""Codes of the diagnostics of this package, each with its one-line title.

E010x and E011x are about what is written, E012x about the file as a whole. Later passes keep tables of their own.
"""

from __future__ import annotations

CODES = {
    "E0101": "something else was expected here",
    "E0102": "a bracket or a brace is not closed",
    "E0103": "a bracket or a brace closes nothing",
    "E0104": "a character that means nothing here",
    "E0105": "a text is not closed",
    "E0106": "an unknown escape in a text",
    "E0107": "neither a number nor a name",
    "E0108": "a number that cannot be held",
    "E0109": "`:` and `=` are mixed up",
    "E0110": "two entries in one line",
    "E0111": "a comma is missing",
    "E0112": "an arrow leads nowhere, or comes from nowhere",
    "E0113": "a word or a sign of another language",
    "E0114": "a word of the language is used as a name",
    "E0115": "something that cannot stand in this place",
    "E0116": "operators that do not go together",
    "E0117": "a misspelt word",
    "E0120": "the file is too large",
    "E0121": "the file holds too much",
    "E0122": "the file is not UTF-8 text",
    "E0123": "an invisible character",
    "E0124": "a name or a text is too long",
    "E0125": "the file cannot be read",
    "E0126": "nested too deeply",
    "E0127": "the file cannot be written",
    "E0128": "a part of the installation is missing",
}
