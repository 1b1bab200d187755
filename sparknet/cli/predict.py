"""`sparknet predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparknet.cli.run import NO_JAVA
from sparknet.cli.tables import count, line, make_console
from sparknet.runtime.runs import OnSpark, predict_to_file
from sparknet.runtime.spark.java import find_java
from sparknet.runtime.spark.masters import check_master


def predict_rows(
    run: Path, source: str | None, output: Path | None, keep: Sequence[str] | None, master: str | None, local: bool
) -> None:
    """Score the rows of `source` with the run in the folder `run` into `output`; raises SparkNetError.

    What is None is taken from the net's `predict` section.
    """
    console = make_console()
    check_master(master)
    if not local and master is None and find_java() is None:
        line(console, "note", NO_JAVA)
        local = True
    found = predict_to_file(run, source, output, None if local else OnSpark(master), keep)
    line(console, "saved", f"{found.output}  ({count(found.rows, 'row')})")
