"""What a tracker is told of a run, and how it is kept from harming one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from sparknet.compiler.compiled import CompiledNet
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.problems import problem
from sparknet.runtime.run_folder import SavedRun
from sparknet.runtime.training.records import Event, Note, Prepared, Progress, RoundRecord


@dataclass(frozen=True)
class Beginning:
    """A run whose training begins; `history` are the rounds before the checkpoint that it goes on from."""

    net: CompiledNet
    prepared: Prepared
    history: tuple[RoundRecord, ...]


class Tracker(Protocol):
    """Tells another tool of a run. What it raises while the run goes on ends the telling and not the run."""

    @property
    def name(self) -> str:
        """What notes call it."""
        ...

    def check(self) -> None:
        """Raise SparkNetError where it cannot work, before the run starts."""
        ...

    def begin(self, run: Beginning) -> None:
        """The rows are encoded and training begins."""
        ...

    def round(self, record: RoundRecord) -> None:
        """A round is done."""
        ...

    def finish(self, run: SavedRun, net: CompiledNet) -> None:
        """The run is done."""
        ...

    def close(self, failed: bool) -> None:
        """Let go of all; `failed` where the run did not finish. Comes once, after `begin`, whatever happened."""
        ...


def scalars(record: RoundRecord) -> dict[str, float]:
    """The numbers of a round by their names, those that belong side by side with a common first part."""
    found: dict[str, float] = {}
    for score in record.scores:
        found |= {f"loss/{score.split}": score.loss}
        found |= {f"{name}/{score.split}": value for name, value in score.metrics.items()}
    return found | {
        "learning_rate": record.learning_rate,
        "rows_a_second": record.rows_a_second,
        "bytes/down": record.bytes_down,
        "bytes/up": record.bytes_up,
        "seconds/compute": record.seconds_compute,
        "seconds/exchange": record.seconds_exchange,
        "seconds/evaluation": record.seconds_evaluation,
        "seconds/total": record.seconds_total,
    }


def kept_scores(run: SavedRun) -> dict[str, float]:
    """The scores of the weights that were kept, by names that no round has."""
    found: dict[str, float] = {}
    for split, score in run.manifest.scores.items():
        found |= {f"kept/{split}/loss": score.loss}
        found |= {f"kept/{split}/{name}": value for name, value in score.metrics.items()}
    return found


def missing(package: str, what: str, extra: bool = True) -> SparkNetError:
    """The error for a package that a tracker needs; `extra` says whether that of sparknet brings it."""
    helps = ["pip install 'sparknet[tracking]'", f"or pip install {package}"] if extra else [f"pip install {package}"]
    return problem("R0080", f"{what} needs the package `{package}`, which is not installed", helps=helps)


# ----- in a run -----


class Tracking:
    """The trackers of a run: `progress` tells them what the trainer tells, and whoever listened before."""

    def __init__(
        self,
        trackers: Sequence[Tracker],
        net: CompiledNet,
        history: tuple[RoundRecord, ...],
        progress: Progress | None,
    ) -> None:
        self._waiting = list(trackers)
        self._active: list[Tracker] = []
        self._net = net
        self._history = history
        self._listener: Progress = progress or (lambda event: None)

    def progress(self, event: Event) -> None:
        """Hand an event on."""
        self._listener(event)
        if isinstance(event, Prepared):
            waiting, self._waiting = self._waiting, []
            for tracker in waiting:
                self._active.append(tracker)
                self._try(tracker, lambda t: t.begin(Beginning(self._net, event, self._history)))
        elif isinstance(event, RoundRecord):
            for tracker in list(self._active):
                self._try(tracker, lambda t: t.round(event))

    def finish(self, run: SavedRun) -> None:
        """The run is done."""
        for tracker in list(self._active):
            self._try(tracker, lambda t: t.finish(run, self._net))
            self._close(tracker, failed=False)

    def close(self) -> None:
        """Let go of trackers that have not been told of an end, as there was none."""
        for tracker in list(self._active):
            self._close(tracker, failed=True)

    def _try(self, tracker: Tracker, tell: Callable[[Tracker], None]) -> None:
        try:
            tell(tracker)
        except Exception as error:
            self._listener(Note(f"{tracker.name} is told no more of this run: {_first_line(error)}"))
            self._close(tracker, failed=True)

    def _close(self, tracker: Tracker, failed: bool) -> None:
        if tracker in self._active:
            self._active.remove(tracker)
            with suppress(Exception):  # it has been said that it failed, or the run ends with an error of its own
                tracker.close(failed)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]


@contextmanager
def tracked(
    trackers: Sequence[Tracker],
    net: CompiledNet,
    history: tuple[RoundRecord, ...],
    progress: Progress | None,
) -> Iterator[Tracking]:
    """The trackers of a run, closed at the end of it."""
    tracking = Tracking(trackers, net, history, progress)
    try:
        yield tracking
    finally:
        tracking.close()
