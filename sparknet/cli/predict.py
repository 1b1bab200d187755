"""`sparknet predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparknet.cli.run import NO_JAVA
from sparknet.cli.tables import count, line, make_console
from sparknet.runtime.runs import OnSpark, predict_to_file
from sparknet.runtime.spark.java import lacks_java
from sparknet.runtime.spark.masters import check_master
from sparknet.runtime.spark.waits import DEFAULT_WAITS, Waits


def predict_rows(
    run: Path,
    source: str | None,
    output: Path | None,
    keep: Sequence[str] | None,
    master: str | None,
    local: bool,
    waits: Waits = DEFAULT_WAITS,
) -> None:
    """Score the rows of `source` with the run in the folder `run` into `output`; raises SparkNetError.

    What is None is taken from the net's `predict` section.
    """
    console = make_console()
    check_master(master)
    if not local and lacks_java(master):
        line(console, "note", NO_JAVA)
        local = True
    found = predict_to_file(run, source, output, None if local else OnSpark(master, waits=waits), keep)
    line(console, "saved", f"{found.output}  ({count(found.rows, 'row')})")
