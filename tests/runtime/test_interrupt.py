"""Ctrl-C in the midst of a long round in this process: the run ends behind the next step, not behind the round."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sparknet.runtime import runs
from sparknet.runtime.engines.base import Floats, Graph, OnnxRuntimeEngine, Step, Trained
from sparknet.runtime.runs import run_local
from sparknet.runtime.training.records import Event, Prepared
from tests.runtime.conftest import rows, small_net

STEPS = 1000
BATCH = 4


@dataclass(frozen=True)
class Interrupted(OnnxRuntimeEngine):
    """Stock ONNX Runtime, whose second step somebody interrupts; the steps behind it take their time."""

    taken: list[int] = field(default_factory=list)

    def train(self, graph: Graph, parameters: Floats, optimizer_state: Floats, steps: Iterable[Step]) -> Trained:
        return super().train(graph, parameters, optimizer_state, self._struck(steps))

    def _struck(self, steps: Iterable[Step]) -> Iterator[Step]:
        for number, step in enumerate(steps):
            self.taken.append(number)
            if number == 1:
                os.kill(os.getpid(), signal.SIGINT)
            if number >= 1:
                time.sleep(0.01)
            yield step


def test_an_interrupt_does_not_wait_for_the_round(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(rows(2 * STEPS * BATCH), folder / "rows.parquet")  # rounds end with their epochs
    net = small_net(folder, steps=STEPS, batch=BATCH, workers=1, more=f"\n  sync = average(every: {STEPS})")
    engine, events = Interrupted(), list[Event]()
    monkeypatch.setattr(runs, "engine_for", lambda name: engine)
    with pytest.raises(KeyboardInterrupt):
        run_local(net, progress=events.append)
    (prepared,) = [event for event in events if isinstance(event, Prepared)]
    assert 1 < len(engine.taken) < STEPS // prepared.rounds, "the first round alone has more steps"
