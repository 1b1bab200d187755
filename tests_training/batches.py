"""The same random batches in both environments, and what an engine makes of them step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparknet.compiler import CompiledNet
from sparknet.compiler.compiled import Port
from sparknet.runtime.engines.base import Engine, Floats, Step, Sums

STEPS, ROWS = 50, 12


def steps(net: CompiledNet) -> list[Step]:
    """Steps whose learning rate falls from step to step."""
    random = np.random.Generator(np.random.Philox(5))
    rate = net.train.optimizer.lr
    return [
        Step({port.name: _batch(port, random) for port in (*net.inputs, *net.targets)}, ROWS, rate * 0.99**k, 7 * k)
        for k in range(STEPS)
    ]


def _batch(port: Port, random: np.random.Generator) -> Any:
    shape = (ROWS, *port.type.shape)
    if port.measures is not None:
        return random.integers(1, port.measures.type.shape[0] + 1, ROWS)
    if port.classes is not None:
        return random.integers(0, port.classes, shape)
    values = random.normal(size=shape)
    if port.kind == "weight":
        values = abs(values)
    return (values > 0 if port.kind == "bool" else values).astype(np.float32)


def train(engine: Engine, net: CompiledNet) -> tuple[list[Sums], Floats, Floats]:
    """Loss and statistics of each step, and where the last one ended; each step starts from nothing but vectors."""
    graph, found = engine.training_graph(net), []
    parameters, state = net.initial_parameters(), net.initial_optimizer_state()
    for step in steps(net):
        trained = engine.train(graph, parameters, state, [step])
        parameters, state = trained.parameters, trained.optimizer_state
        found.append(trained.sums)
    return found, parameters, state
