"""The `sparknet` command."""

from time import perf_counter

BEGAN = perf_counter()
"""When the command began."""
