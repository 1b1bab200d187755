"""Codes of the diagnostics that stages raise beside those of the compiler and the runtime, each with its title."""

from __future__ import annotations

CODES: dict[str, str] = {
    "M0001": "params that contradict each other",
    "M0002": "features that make no input of the net",
    "M0003": "labels that are no classes",
    "M0004": "a saved stage that is not what it should be",
}
