"""An engine that tells of every step that it takes: what a progress bar needs within a long round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sparknet.compiler.compiled import CompiledNet
from sparknet.runtime.engines.base import Engine, Feeds, Floats, Graph, Step, Sums, Trained
from sparknet.runtime.training.records import Progress, Stepped


@dataclass(frozen=True)
class CountedEngine:
    """`engine`, with a `Stepped` behind each step of `train`; for workers that are threads of this process."""

    engine: Engine
    progress: Progress

    def training_graph(self, net: CompiledNet) -> Graph:
        """As `Engine.training_graph`."""
        return self.engine.training_graph(net)

    def train(self, graph: Graph, parameters: Floats, optimizer_state: Floats, steps: Iterable[Step]) -> Trained:
        """As `Engine.train`."""
        return self.engine.train(graph, parameters, optimizer_state, self._counted(steps))

    def evaluate(self, graph: Graph, parameters: Floats, batches: Iterable[tuple[Feeds, int]]) -> Sums:
        """As `Engine.evaluate`."""
        return self.engine.evaluate(graph, parameters, batches)

    def infer(self, graph: Graph, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """As `Engine.infer`."""
        return self.engine.infer(graph, feeds)

    def _counted(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            yield step
            self.progress(Stepped(1))
