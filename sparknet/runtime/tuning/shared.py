"""The data of a search: read, checked and encoded once for all trials that do it alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from threading import Lock
from typing import Any, TypeVar

from sparknet.compiler.compiled import CompiledNet
from sparknet.runtime.backend import Backend, Encoded
from sparknet.runtime.encoding.binding import BoundPort
from sparknet.runtime.encoding.encode import Layout, Shares
from sparknet.runtime.encoding.learning import Terms
from sparknet.runtime.encoding.moments import Axes, Moments
from sparknet.runtime.encoding.profile import Profile
from sparknet.runtime.engines.base import Engine
from sparknet.runtime.evaluation.counting import ErrorTask
from sparknet.runtime.evaluation.errors import Errors
from sparknet.runtime.problems import changed
from sparknet.runtime.training.balance import Classes
from sparknet.runtime.training.rounds import Evaluation, EvaluationTask, RoundResult, RoundTask, Shard

Result = TypeVar("Result")

_IDLE = 2
"""Encodings that no trial uses and that are kept all the same, for the next ones."""


@dataclass
class _Known:
    """Something that is found out once, by whoever asks first, while the others wait."""

    lock: Lock = field(default_factory=Lock)
    value: Any = None
    is_known: bool = False


@dataclass
class _Held:
    """A backend that holds one encoding, and how many trials use it."""

    backend: Backend
    encoded: Encoded
    key: str
    uses: int = 0


class SharedData:
    """Makes a backend for each trial."""

    def __init__(self, make: Callable[[], Backend], check: Callable[[CompiledNet], None] = lambda net: None) -> None:
        """`make` gives a backend that holds nothing yet; `check` raises SparkNetError for a net that has no room."""
        self._make = make
        self.check = check
        self.first = make()
        self._lock = Lock()
        self._known: dict[str, _Known] = {}
        self._held: dict[str, _Held] = {}
        self._rows: int | None = None

    def view(self, check: Callable[[str], None] = lambda data: None) -> View:
        """The backend of one trial; `check` is told `View.data` once it is known, and may raise SparkNetError."""
        return View(self, check)

    def once(self, key: str, find: Callable[[], Result]) -> Result:
        """What `find` gives for a key, asked once. What it raises is raised, and found out anew by the next."""
        with self._lock:
            known = self._known.setdefault(key, _Known())
        with known.lock:
            if not known.is_known:
                known.value, known.is_known = find(), True
            found: Result = known.value
            return found

    def hold(self, bound: Sequence[BoundPort], layout: Layout, shares: Mapping[str, Shares], workers: int) -> _Held:
        """The backend that holds an encoding, made where there is none.

        Raises SparkNetError where other encodings hold more rows, or fewer.
        """
        key = f"encode {_text(bound)} {layout!r} {sorted(shares.items())!r} {workers}"

        def encode() -> _Held:
            backend = self._make()
            try:
                held = _Held(backend, backend.encode(bound, layout, shares, workers), key)
                self._check_rows(sum(held.encoded.rows.values()))
            except BaseException:
                backend.close()
                raise
            with self._lock:
                self._held[key] = held
            return held

        while True:
            held = self.once(key, encode)
            with self._lock:
                if self._held.get(key) is held:
                    held.uses += 1
                    return held

    def _check_rows(self, rows: int) -> None:
        """Every encoding holds all rows, however it encodes them."""
        with self._lock:
            if self._rows is not None and self._rows != rows:
                raise changed("the data")
            self._rows = rows

    def release(self, held: _Held) -> None:
        """A trial is done with an encoding; of those that none uses the oldest are let go of."""
        with self._lock:
            held.uses -= 1
            idle = [each for each in self._held.values() if each.uses == 0]
            dropped = idle[:-_IDLE]
            for each in dropped:
                del self._held[each.key], self._known[each.key]
        for each in dropped:
            each.backend.close()

    def close(self) -> None:
        """Let go of everything."""
        for backend in (self.first, *(each.backend for each in self._held.values())):
            backend.close()
        self._held.clear()
        self._known.clear()


class View:
    """The data of a search as one trial sees it: a `Backend` that holds one encoding."""

    def __init__(self, shared: SharedData, check: Callable[[str], None]) -> None:
        self._shared = shared
        self._check = check
        self._held: _Held | None = None

    @property
    def engine(self) -> Engine:
        """As `Backend.engine`."""
        return self._shared.first.engine

    @property
    def slots(self) -> int:
        """As `Backend.slots`."""
        return self._shared.once("slots", lambda: self._shared.first.slots)

    @property
    def job_overhead_seconds(self) -> float:
        """As `Backend.job_overhead_seconds`."""
        return self._shared.first.job_overhead_seconds

    def resolve(self, bound: Sequence[BoundPort]) -> tuple[BoundPort, ...]:
        """As `Backend.resolve`."""
        return self._shared.once(f"resolve {_text(bound)}", lambda: self._shared.first.resolve(bound))

    def profile(self, bound: Sequence[BoundPort], decode: bool = True, keep: bool = False) -> dict[str, Profile]:
        """As `Backend.profile`; backends of their own encode, so nothing is kept here."""
        key = f"profile {_text(bound)} {decode}"
        return self._shared.once(key, lambda: self._shared.first.profile(bound, decode))

    def learn(self, bound: Sequence[BoundPort], layout: Layout, shares: Mapping[str, Shares]) -> Terms:
        """As `Backend.learn`."""
        key = f"learn {_text(bound)} {layout!r} {sorted(shares.items())!r}"
        return self._shared.once(key, lambda: self._shared.first.learn(bound, layout, shares))

    def encode(self, bound: Sequence[BoundPort], layout: Layout, shares: Mapping[str, Shares], workers: int) -> Encoded:
        """As `Backend.encode`."""
        self.close()
        self._held = self._shared.hold(bound, layout, shares, workers)
        self._check(self.data or "")
        return self._held.encoded

    def moments(self, layout: Layout, axes: Axes) -> dict[int, Moments]:
        """As `Backend.moments`."""
        held = self._holding()
        key = f"moments {sorted(axes.items())!r} {held.key}"
        return self._shared.once(key, lambda: held.backend.moments(layout, axes))

    def classes(self, layout: Layout, field: int) -> dict[int, Classes]:
        """As `Backend.classes`."""
        held = self._holding()
        return self._shared.once(f"classes {field} {held.key}", lambda: held.backend.classes(layout, field))

    def train(self, task: RoundTask, shards: Sequence[Shard]) -> RoundResult:
        """As `Backend.train`."""
        return self._holding().backend.train(task, shards)

    def slices(self, task: RoundTask, shards: Sequence[Shard]) -> int | None:
        """As `Backend.slices`."""
        return self._holding().backend.slices(task, shards)

    def evaluate(self, task: EvaluationTask) -> list[Evaluation]:
        """As `Backend.evaluate`."""
        return self._holding().backend.evaluate(task)

    def errors(self, task: ErrorTask) -> Errors:
        """As `Backend.errors`."""
        return self._holding().backend.errors(task)

    @property
    def data(self) -> str | None:
        """As `Trial.data`."""
        if self._held is None:
            return None
        return f"{sha256(self._held.key.encode()).hexdigest()[:16]}:{self._held.encoded.digest[:16]}"

    def close(self) -> None:
        """Be done with the encoding, which stays for other trials."""
        if self._held is not None:
            self._shared.release(self._held)
            self._held = None

    def _holding(self) -> _Held:
        if self._held is None:
            raise ValueError("encode the data first")
        return self._held


def _text(bound: Sequence[BoundPort]) -> str:
    """What tells bindings from others, wherever the file has them."""
    return repr([replace(each, label=None) for each in bound])
