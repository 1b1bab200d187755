"""Whether what a run will write has room, which is best known before the work is done."""

from __future__ import annotations

import shutil
from pathlib import Path

from sparknet.compiler.compiled import CompiledNet
from sparknet.runtime.problems import problem
from sparknet.runtime.training.standing import momentum_size

_CHECKPOINTS = 3
"""Two are kept while the next is written."""


def check_room(net: CompiledNet, output: Path | None, checkpoints: Path | None) -> None:
    """Raise SparkNetError where a disk has no room for the run folder `output` and the folder of the `checkpoints`.

    Either is None where it lies elsewhere, or is not written. Metrics and what is learnt of texts are small beside the
    weights, and are left out.
    """
    if output is not None and checkpoints is not None and _device(output) == _device(checkpoints):
        beside = _checkpoint_bytes(net)
        _check(output, _folder_bytes(net) + beside, ", its checkpoints included" if beside else "", "-o")
        return
    if output is not None:
        _check(output, _folder_bytes(net), "", "-o")
    if checkpoints is not None:
        _check(checkpoints, _checkpoint_bytes(net), " of checkpoints", "--checkpoints")


def _folder_bytes(net: CompiledNet) -> int:
    weights = net.parameter_count + net.optimizer_state_size
    graphs = int(net.step.ByteSize() + net.evaluation.ByteSize())
    return 4 * (weights + net.parameter_count) + graphs


def _checkpoint_bytes(net: CompiledNet) -> int:
    """Of all checkpoints that are there at a time: each holds the weights, those kept, and the momentum of `outer`."""
    if net.train.checkpoint is None:
        return 0
    weights = net.parameter_count + net.optimizer_state_size
    return _CHECKPOINTS * 4 * (2 * weights + momentum_size(net))


def _check(folder: Path, size: int, what: str, option: str) -> None:
    present = _present(folder)
    free = shutil.disk_usage(present).free
    if free < size:
        raise problem(
            "R0049",
            f"the disk of `{present}` has {free >> 20:,} MiB free, "
            f"and the run writes up to {1 + (size >> 20):,} MiB{what}",
            helps=[f"make room, or name a folder on another disk with `{option}`"],
        )


def _present(folder: Path) -> Path:
    """The folder, or what is there of its path."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _device(folder: Path) -> int:
    return _present(folder).stat().st_dev
