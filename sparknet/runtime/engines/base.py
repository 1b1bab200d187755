"""Engines: what runs the graphs. The rounds know no more of an engine than `Engine`."""

from __future__ import annotations

import platform
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from math import isfinite
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

    from sparknet.compiler.apart import Part
    from sparknet.compiler.compiled import CompiledNet

Floats = NDArray[np.float32]
Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Graph:
    """A serialized ONNX graph and what to call it in messages; `metrics` is how many numbers its statistics hold."""

    name: str
    model: bytes
    metrics: int
    apart: tuple[Part, ...] = field(default=(), kw_only=True)
    """Of a training step, the parts in which the optimizer's state goes in and comes out."""
    blocked: bytes = field(default=b"", kw_only=True)
    """What processors of the kind x86-64 run in the place of `model`, where that has convolutions to be blocked."""

    @classmethod
    def to_train(cls, name: str, model: onnx.ModelProto, metrics: int, apart: tuple[Part, ...] = ()) -> Graph:
        """The graph of a training step, or of the half with the gradients."""
        from sparknet.compiler.blocked import blocked

        other = blocked(model)
        plain, faster = (b"" if m is None else m.SerializeToString(deterministic=True) for m in (model, other))
        return cls(name, plain, metrics, apart=apart, blocked=faster)

    @cached_property
    def digest(self) -> str:
        """The identity of the graph, under which engines keep their sessions."""
        return sha256(self.model).hexdigest()


@dataclass(frozen=True)
class Step:
    """One training step: the ports' arrays (batch first), the learning rate and the seed of dropout and the like."""

    feeds: Feeds
    rows: int
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class Sums:
    """Loss and statistics of metrics summed over rows, in float64, in the order in which the batches came."""

    rows: int = 0
    loss: float = 0.0
    metrics: tuple[float, ...] = ()

    def add(self, other: Sums) -> Sums:
        """Both sums; metrics that one side has not seen count as zero."""
        size = max(len(self.metrics), len(other.metrics))
        mine, theirs = (list(s.metrics) + [0.0] * (size - len(s.metrics)) for s in (self, other))
        metrics = tuple(a + b for a, b in zip(mine, theirs, strict=True))
        return Sums(self.rows + other.rows, self.loss + other.loss, metrics)

    @property
    def mean_loss(self) -> float:
        """Loss of a row."""
        return self.loss / self.rows

    @property
    def mean_metrics(self) -> tuple[float, ...]:
        """Metrics of a row."""
        return tuple(metric / self.rows for metric in self.metrics)


@dataclass(frozen=True)
class Trained:
    """Where some steps ended. `broken` is the first step whose results were not finite, counted from 0."""

    parameters: Floats
    optimizer_state: Floats
    sums: Sums
    steps: int
    broken: int | None = None


class EngineError(RuntimeError):
    """An engine refused a graph or failed in it; the text names the graph and the shapes that it was given."""


class Engine(Protocol):
    """Runs training steps and evaluations. Sessions are kept between calls, one for each graph."""

    def training_graph(self, net: CompiledNet) -> Graph:
        """What `train` takes of a net; raises SparkNetError for a net that this engine cannot train."""
        ...

    def train(self, graph: Graph, parameters: Floats, optimizer_state: Floats, steps: Iterable[Step]) -> Trained:
        """Take `steps` one after the other, stopping after the first whose loss is not finite."""
        ...

    def evaluate(self, graph: Graph, parameters: Floats, batches: Iterable[tuple[Feeds, int]]) -> Sums:
        """Loss and metrics over `batches` of (feeds, rows)."""
        ...

    def infer(self, graph: Graph, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """The outputs of an inference graph, by name."""
        ...


@dataclass(frozen=True)
class OnnxRuntimeEngine:
    """Stock ONNX Runtime on the CPU, one thread for each session: sums of more threads differ in their last bits."""

    def training_graph(self, net: CompiledNet) -> Graph:
        """The whole step as one graph."""
        from sparknet.compiler.apart import state_apart

        step, parts = state_apart(net.step, net.optimizer_state)
        return Graph.to_train("training step", step, net.statistics_size, parts)

    def train(self, graph: Graph, parameters: Floats, optimizer_state: Floats, steps: Iterable[Step]) -> Trained:
        """As `Engine.train`."""
        session = _session(graph)
        sums, taken, broken = Sums(metrics=(0.0,) * graph.metrics), 0, False
        names = [part.taken for part in graph.apart]
        state = np.split(optimizer_state, np.cumsum([part.size for part in graph.apart[:-1]]))
        for step in steps:
            feeds: dict[str, NDArray[Any]] = {
                **step.feeds,
                **dict(zip(names, state, strict=True)),
                "parameters": parameters,
                "learning_rate": np.asarray(step.learning_rate, np.float32),
                "seed": np.asarray(step.seed, np.int64),
            }
            (loss, *metrics, parameters), state = _parted(session.run(feeds), len(names))
            taken += 1
            sums = sums.add(weighted(loss, metrics, step.rows))
            broken = not isfinite(loss)
            if broken:
                break
        else:
            broken = not (np.isfinite(parameters).all() and all(np.isfinite(part).all() for part in state))
        return Trained(parameters, np.concatenate(state), sums, taken, taken - 1 if broken else None)

    def evaluate(self, graph: Graph, parameters: Floats, batches: Iterable[tuple[Feeds, int]]) -> Sums:
        """As `Engine.evaluate`."""
        session = _session(graph)
        sums = Sums(metrics=(0.0,) * graph.metrics)
        for feeds, rows in batches:
            loss, *metrics = session.run({**feeds, "parameters": parameters})
            sums = sums.add(weighted(loss, metrics, rows))
        return sums

    def infer(self, graph: Graph, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """As `Engine.infer`."""
        session = _session(graph)
        return dict(zip(session.outputs, session.run(feeds), strict=True))


def _parted(outputs: list[NDArray[Any]], count: int) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """What a step gives, and the last `count` of it."""
    return outputs[:-count], outputs[-count:]


def weighted(loss: Any, metrics: Iterable[Any], rows: int) -> Sums:
    """A batch's mean loss and statistics as sums over its rows."""
    return Sums(rows, float(loss) * rows, tuple(float(part) * rows for metric in metrics for part in np.ravel(metric)))


# ----- ONNX Runtime sessions, kept for the life of the process -----


def session_options() -> Any:
    """How every session computes: in one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # ALL would put convolutions of constant weights in blocks, and no others: see `Graph.blocked`.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    return options


def _is_x86_64() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


class _Session:
    """An ONNX Runtime session whose errors name the graph and the shapes."""

    def __init__(self, graph: Graph) -> None:
        import onnxruntime as ort

        self._name = graph.name
        model = graph.blocked if graph.blocked and _is_x86_64() else graph.model
        try:
            self._session = ort.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise EngineError(f"ONNX Runtime {ort.__version__} refuses the {graph.name} graph: {error}") from error
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self.outputs = [entry.name for entry in self._session.get_outputs()]

    def run(self, feeds: Feeds) -> list[NDArray[Any]]:
        """All outputs; feeds that the graph does not take (a seed without dropout) are left out."""
        taken = {name: feeds[name] for name in self._inputs}
        try:
            outputs: list[NDArray[Any]] = self._session.run(None, taken)
        except Exception as error:
            raise failure(self._name, taken, error) from error
        return outputs


def failure(name: str, feeds: Feeds, error: Exception) -> EngineError:
    """What a graph failed with, and on what."""
    shapes = ", ".join(f"{key} {value.dtype}{list(value.shape)}" for key, value in feeds.items())
    return EngineError(f"the {name} graph failed on {shapes}: {error}")


_SESSIONS_KEPT = 8
_sessions: OrderedDict[str, _Session] = OrderedDict()
_sessions_lock = Lock()


def _session(graph: Graph) -> _Session:
    key = graph.digest
    with _sessions_lock:  # workers of one process share sessions; ONNX Runtime runs one from many threads
        if key not in _sessions:
            _sessions[key] = _Session(graph)
            while len(_sessions) > _SESSIONS_KEPT:
                _sessions.popitem(last=False)
        _sessions.move_to_end(key)
        return _sessions[key]
