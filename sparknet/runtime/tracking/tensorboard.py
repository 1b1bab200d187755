"""Event files that TensorBoard shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from sparknet.compiler.compiled import CompiledNet
from sparknet.runtime.problems import problem
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.tracking.base import Beginning, kept_scores, missing, scalars
from sparknet.runtime.training.records import RoundRecord


@dataclass
class TensorBoard:
    """Writes event files into `folder`: `tensorboard --logdir FOLDER` shows the run while it goes on.

    The steps of the curves are those of a worker. A run that is resumed takes the place of what was written behind its
    checkpoint.
    """

    folder: str | PathLike[str]
    name: str = "TensorBoard"
    _writer: Any = field(default=None, init=False, repr=False)

    def check(self) -> None:
        """As `Tracker.check`."""
        if find_spec("tensorboardX") is None:
            raise missing("tensorboardX", "`TensorBoard`")
        folder = Path(self.folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise problem(
                "R0081",
                f"`{folder}` can hold no event files: {error.strerror or error}",
                helps=["name another folder for TensorBoard"],
            ) from error

    def begin(self, run: Beginning) -> None:
        """As `Tracker.begin`."""
        from tensorboardX import SummaryWriter

        done = run.prepared.steps_done
        order = f".{done:012}"  # TensorBoard reads files by name, and within a second only this tells them apart
        self._writer = SummaryWriter(str(self.folder), purge_step=done + 1 if done else None, filename_suffix=order)
        self._writer.add_text("net", "    " + run.net.source.text.replace("\n", "\n    "))
        self._writer.flush()

    def round(self, record: RoundRecord) -> None:
        """As `Tracker.round`."""
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, record.steps)
        self._writer.flush()

    def finish(self, run: SavedRun, net: CompiledNet) -> None:
        """As `Tracker.finish`: the scores of the kept weights, at the step that they are from."""
        step = run.history[run.manifest.kept_round - 1].steps
        for name, value in kept_scores(run).items():
            self._writer.add_scalar(name, value, step)

    def close(self, failed: bool) -> None:
        """As `Tracker.close`."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
