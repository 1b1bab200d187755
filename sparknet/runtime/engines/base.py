"""Engines: what runs the graphs. The rounds know no more of an engine than `Engine`."""

from __future__ import annotations

import platform
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from math import isfinite
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

    from sparknet.compiler.apart import Part, View
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
    views: tuple[View, ...] = field(default=(), kw_only=True)
    """Of a training step, the tensors that it takes beside the vector of all parameters, in which they lie."""
    blocked: bytes = field(default=b"", kw_only=True)
    """What processors of the kind x86-64 run in the place of `model`, where that has convolutions to be blocked."""

    @classmethod
    def of(cls, name: str, model: onnx.ModelProto, metrics: int) -> Graph:
        """A graph that takes the parameters as an input, of a training step, of its first half or of an evaluation."""
        from sparknet.compiler.blocked import blocked

        other = blocked(model)
        plain, faster = (b"" if m is None else m.SerializeToString(deterministic=True) for m in (model, other))
        return cls(name, plain, metrics, blocked=faster)

    @property
    def size(self) -> int:
        """Bytes of the graph in all its forms, as it is handed to workers."""
        return len(self.model) + len(self.blocked)

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
        from sparknet.compiler.apart import apart

        step, parts, views = apart(net.step, net.optimizer_state, net.parameters)
        return replace(Graph.of("training step", step, net.statistics_size), apart=parts, views=views)

    def train(self, graph: Graph, parameters: Floats, optimizer_state: Floats, steps: Iterable[Step]) -> Trained:
        """As `Engine.train`."""
        totals, taken, broken = _Totals(graph.metrics), 0, False
        walk = _Walk(_session(graph), graph, parameters, optimizer_state)
        for step in steps:
            loss, *metrics = walk.step(step)
            taken += 1
            totals.add(loss.item(), metrics, step.rows)
            broken = not isfinite(loss)
            if broken:
                break
        parameters, *state = walk.stands
        broken = broken or not all(np.isfinite(part).all() for part in walk.stands)
        return Trained(parameters, np.concatenate(state), totals.sums, taken, taken - 1 if broken else None)

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


def weighted(loss: Any, metrics: Iterable[Any], rows: int) -> Sums:
    """A batch's mean loss and statistics as sums over its rows."""
    return Sums(rows, float(loss) * rows, tuple(float(part) * rows for metric in metrics for part in np.ravel(metric)))


class _Totals:
    """What `Sums.add` comes to, without objects for each step: a step of a small net takes a tenth of a millisecond."""

    def __init__(self, metrics: int) -> None:
        self._rows, self._loss, self._metrics = 0, 0.0, [0.0] * metrics

    def add(self, loss: float, metrics: Iterable[NDArray[Any]], rows: int) -> None:
        """Add a batch's mean loss and statistics, as sums over its rows."""
        self._rows += rows
        self._loss += loss * rows
        parts = (part for metric in metrics for part in metric.ravel().tolist())
        self._metrics = [total + part * rows for total, part in zip(self._metrics, parts, strict=True)]

    @property
    def sums(self) -> Sums:
        """So far."""
        return Sums(self._rows, self._loss, tuple(self._metrics))


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


_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}


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
        self.inputs = [entry.name for entry in self._session.get_inputs()]
        self.outputs = [entry.name for entry in self._session.get_outputs()]

    def run(self, feeds: Feeds) -> list[NDArray[Any]]:
        """All outputs; feeds that the graph does not take (a seed without dropout) are left out."""
        taken = {name: feeds[name] for name in self.inputs}
        try:
            outputs: list[NDArray[Any]] = self._session.run(None, taken)
        except Exception as error:
            raise failure(self._name, taken, error) from error
        return outputs

    def places(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Arrays for outputs of known shapes."""
        entries = {entry.name: entry for entry in self._session.get_outputs()}
        return {name: np.empty(entries[name].shape, _DTYPES[entries[name].type]) for name in names}

    def bound(self, inputs: Feeds, outputs: Feeds) -> Any:
        """A binding to arrays that inputs are read from and outputs are written to."""
        from onnxruntime import OrtValue

        binding = self._session.io_binding()
        for name, array in inputs.items():
            if name in self.inputs:
                binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(array))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(array))
        return binding

    def run_bound(self, binding: Any, feeds: Feeds) -> None:
        """Run with what is bound, and with other feeds."""
        try:
            for name, array in feeds.items():
                if name in self.inputs:
                    binding.bind_cpu_input(name, array)
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise failure(self._name, feeds, error) from error


class _Walk:
    """Steps one after the other. What one gives the next takes, from one of two places to the other and back.

    Bound to places that stay, a step on a small net takes a tenth less than with arrays handed in and out.
    """

    def __init__(self, session: _Session, graph: Graph, parameters: Floats, optimizer_state: Floats) -> None:
        state = np.split(optimizer_state, np.cumsum([part.size for part in graph.apart[:-1]]))
        self._session, self._views = session, graph.views
        self._taken = ["parameters", *(part.taken for part in graph.apart)]
        self._given = ["new_parameters", *(part.given for part in graph.apart)]
        self._scores = session.places(name for name in session.outputs if name not in self._given)
        self.stands: list[Floats] = [np.array(each) for each in (parameters, *state)]
        """Parameters and the parts of the optimizer's state."""
        self._next = [np.empty_like(each) for each in self.stands]
        self._rate, self._seed = np.zeros((), np.float32), np.zeros((), np.int64)
        self._bindings: list[Any] = []

    def step(self, step: Step) -> list[NDArray[Any]]:
        """Take one; gives its loss and statistics, until the next."""
        if len(self._bindings) < 2:
            outputs = dict(zip(self._given, self._next, strict=True))
            inputs: dict[str, NDArray[Any]] = dict(zip(self._taken, self.stands, strict=True))
            inputs |= {view.taken: view.of(self.stands[0]) for view in self._views}
            inputs |= {"learning_rate": self._rate, "seed": self._seed}
            self._bindings.insert(0, self._session.bound(inputs, self._scores | outputs))
        binding = self._bindings[0]
        self._rate[...], self._seed[...] = step.learning_rate, step.seed
        self._session.run_bound(binding, step.feeds)
        self._bindings.reverse()
        self.stands, self._next = self._next, self.stands
        return list(self._scores.values())


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
