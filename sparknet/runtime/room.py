"""Whether what a run will write has room, which is best known before the work is done."""

from __future__ import annotations

import shutil
from pathlib import Path

from sparknet.compiler.compiled import CompiledNet
from sparknet.runtime.problems import problem

_CHECKPOINTS = 3
"""Two are kept while the next is written."""


def check_room(net: CompiledNet, output: Path, checkpoints: bool) -> None:
    """Raise SparkNetError where the disk of `output` has no room for the run folder.

    With `checkpoints` those that the net asks for lie beside the folder, and count, too. Metrics and what is learnt of
    texts are small beside the weights, and are left out.
    """
    weights = 4 * (net.parameter_count + net.optimizer_state_size)
    folder = weights + 4 * net.parameter_count + net.step.ByteSize() + net.evaluation.ByteSize()
    beside = _CHECKPOINTS * 2 * weights if checkpoints and net.train.checkpoint is not None else 0
    parent = next(path for path in output.absolute().parents if path.exists())
    free = shutil.disk_usage(parent).free
    if free < folder + beside:
        wanted = f"{1 + (folder + beside >> 20):,} MiB" + (", its checkpoints included" if beside else "")
        raise problem(
            "R0049",
            f"the disk of `{parent}` has {free >> 20:,} MiB free, and the run writes up to {wanted}",
            helps=["make room, or name a folder on another disk with `-o`"],
        )
