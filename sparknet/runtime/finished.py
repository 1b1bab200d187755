"""What becomes of a run that is to be resumed, but is finished: its folder is there, and so may be its checkpoints."""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from sparknet.compiler import CompiledNet, compile
from sparknet.compiler.folder import MANIFEST, NET
from sparknet.grammar import Source
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime import run_folder
from sparknet.runtime.problems import problem
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.training import checkpoints
from sparknet.runtime.training.checkpoints import Reached


def check_unfinished(net: CompiledNet, output: Path | None, place: str | None) -> None:
    """As `finished`, which raises SparkNetError R0046 where the run is."""
    said = None if output is None else finished(net, output, place)
    if said is not None:
        raise problem("R0046", f"{said}: there is nothing to resume")


def finished(net: CompiledNet, output: Path, place: str | None) -> str | None:
    """Say that the run of `net` in `output` is finished, and remove what is left of its checkpoints; None if it is not.

    A process may end between the two last steps of a run: its folder is written, its checkpoints are not removed yet.
    Raises SparkNetError, and leaves them, where folder or checkpoints are those of another run.
    """
    if not os.path.lexists(output / MANIFEST):
        return None
    reached = _reached(run_folder.load(output), output)
    said = f"the run in `{output}` is finished"
    try:
        checkpoints.check_same(reached, net)
        store = checkpoints.place_of(output, place)
        left = store is not None and checkpoints.clear(store, net)
    except SparkNetError as error:
        helps = (f"{said}; name another folder for another run",)
        raise SparkNetError([replace(each, helps=helps) for each in error.diagnostics]) from error
    return f"{said}, and what was left of its checkpoints is removed" if left else said


def _reached(run: SavedRun, folder: Path) -> Reached:
    """What the checkpoints of a finished run have said that it is, but for its rows."""
    net = compile(Source(str(folder / NET), run.net, folder))
    return checkpoints.describe_run(net, run.manifest.workers, "0" * 64).model_copy(
        update={"net": sha256(run.step + run.evaluation).hexdigest(), "versions": run.manifest.versions}
    )
