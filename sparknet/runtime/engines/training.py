"""The engine `onnxruntime-training`: that package's artifacts, `Module`, `Optimizer` and `CheckpointState`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np
import onnx

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.layout import Slot
from sparknet.compiler.lower import NEW
from sparknet.compiler.objective import training_model
from sparknet.compiler.optimizers import Adam, AdamW, ClipNorm
from sparknet.compiler.sections import TrainSection
from sparknet.runtime.engines.base import (
    EngineError,
    Feeds,
    Floats,
    Graph,
    OnnxRuntimeEngine,
    Step,
    Sums,
    Trained,
    failure,
    session_options,
    weighted,
)
from sparknet.runtime.engines.ort_checkpoint import CheckpointFile
from sparknet.runtime.engines.ort_training import Package, load
from sparknet.runtime.problems import problem

_NEWEST_IR = 10
"""The newest ONNX file format that the package reads; a current `onnx` writes newer ones in its name."""

_artifacts_lock = Lock()
"""The package builds artifacts in variables of its module."""


@dataclass(frozen=True)
class Artifacts(Graph):
    """The artifacts of a net: the graph of forward pass and gradients, and that of the optimizer."""

    optimizer: bytes
    slots: tuple[Slot, ...]
    """The tensors in the parameter vector."""
    state: tuple[Slot, ...]
    """The parts of the optimizer's state."""
    parts: int
    """Parts of a batch whose gradients make one step."""

    @cached_property
    def digest(self) -> str:
        """As `Graph.digest`, of both graphs."""
        return sha256(self.model + self.optimizer).hexdigest()


@dataclass(frozen=True)
class OnnxRuntimeTrainingEngine(OnnxRuntimeEngine):
    """onnxruntime-training 1.19.2 on the CPU, one thread for each session; evaluations run as on stock ONNX Runtime.

    Nothing is left in the package between two calls of `train`: parameters and optimizer state go in and come out as
    for the other engine, so a round is a pure function here too.
    """

    def training_graph(self, net: CompiledNet) -> Artifacts:
        """As `Engine.training_graph`; one step is taken, so that what fails does so before a run begins."""
        try:
            graph = _make_artifacts(net, load())
            _session(graph)
        except (EngineError, RuntimeError, ValueError, ImportError) as error:
            raise problem(
                "R0071",
                f"the engine `onnxruntime-training` cannot train this net: {error}",
                helps=["write `engine = onnxruntime` in the `train` section"],
            ) from error
        return graph

    def train(self, graph: Graph, parameters: Floats, optimizer_state: Floats, steps: Iterable[Step]) -> Trained:
        """As `Engine.train`."""
        if not isinstance(graph, Artifacts):
            raise TypeError(f"the {graph.name} graph is not one that this engine has made")
        session = _session(graph)
        run = session.start(parameters, optimizer_state)
        sums, taken, broken = Sums(metrics=(0.0,) * graph.metrics), 0, False
        for step in steps:
            found = run.step(step)
            sums, taken = sums.add(found), taken + 1
            broken = not isfinite(found.loss)
            if broken:
                break
        parameters, optimizer_state = session.finish(run)
        finite = not broken and bool(np.isfinite(parameters).all() and np.isfinite(optimizer_state).all())
        return Trained(parameters, optimizer_state, sums, taken, None if finite else taken - 1)


# ----- artifacts -----


def _make_artifacts(net: CompiledNet, package: Package) -> Artifacts:
    with _artifacts_lock, TemporaryDirectory(prefix="sparknet-") as folder:
        package.artifacts.generate_artifacts(
            training_model(net.typed),
            requires_grad=[slot.name for slot in net.parameters if slot.kind == "trained"],
            frozen_params=[slot.name for slot in net.parameters if slot.kind != "trained"],
            optimizer=_optimizer(net.train, package.onnxblock.optim),
            artifact_directory=folder,
        )
        model, optimizer = (onnx.load(Path(folder) / f"{name}_model.onnx") for name in ("training", "optimizer"))
    for node in optimizer.graph.node:
        for attribute in node.attribute:
            if attribute.name == "adam_mode":  # the artifacts are made for Hugging Face's order of decay and epsilon
                attribute.i = 0  # PyTorch's, as the other engine computes
    return Artifacts(
        name="training step",
        model=_written(model),
        metrics=net.statistics_size,
        optimizer=_written(optimizer),
        slots=net.parameters,
        state=net.optimizer_state,
        parts=net.train.accumulate,
    )


def _optimizer(train: TrainSection, blocks: Any) -> Any:
    optimizer = train.optimizer
    clip = blocks.ClipGradNorm(train.clip.limit) if isinstance(train.clip, ClipNorm) else None
    if not isinstance(optimizer, Adam):
        return blocks.SGD(clip_grad=clip)
    decay = optimizer.weight_decay if isinstance(optimizer, AdamW) else 0.0  # that of `adam` is part of the objective
    betas = (optimizer.beta1, optimizer.beta2)
    return blocks.AdamW(betas=betas, eps=optimizer.eps, weight_decay=decay, clip_grad=clip)


def _written(model: onnx.ModelProto) -> bytes:
    model.ir_version = min(model.ir_version, _NEWEST_IR)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


# ----- sessions, kept for the life of the process -----


class _Run:
    """The package's objects for some steps, from one start to one end."""

    def __init__(self, graph: Artifacts, checkpoint: Callable[[Path], Any]) -> None:
        """`checkpoint` writes the start to a path; the package reads nothing but files."""
        api = load().api
        self._graph = graph
        with TemporaryDirectory(prefix="sparknet-") as folder:
            model, optimizer, start = (Path(folder) / name for name in ("model.onnx", "optimizer.onnx", "checkpoint"))
            model.write_bytes(graph.model)
            optimizer.write_bytes(graph.optimizer)
            checkpoint(start)
            self._state = api.CheckpointState.load_checkpoint(start)
            self._module = api.Module(str(model), self._state, None, "cpu", session_options())
            self._optimizer = api.Optimizer(str(optimizer), self._module)
        self.inputs: list[str] = self._module.input_names()
        self._outputs: list[str] = self._module.output_names()

    def saved(self) -> bytes:
        """The checkpoint of what has been trained so far."""
        with TemporaryDirectory(prefix="sparknet-") as folder:
            path = Path(folder) / "checkpoint"
            load().api.CheckpointState.save_checkpoint(self._state, path, include_optimizer_state=True)
            return path.read_bytes()

    def step(self, step: Step) -> Sums:
        """Take a step; loss and statistics of its rows before it."""
        self._optimizer.set_learning_rate(step.learning_rate)
        sums = Sums()
        for feeds, rows in _parts(step, self._graph.parts):
            sums = sums.add(self._pass(feeds, rows))
        self._optimizer.step()
        self._module.lazy_reset_grad()
        return sums

    def _pass(self, feeds: Feeds, rows: int) -> Sums:
        """Forward and backward pass: adds to the gradients, sets the buffers."""
        taken = {name: feeds[name] for name in self.inputs}
        try:
            found = dict(zip(self._outputs, self._module(*taken.values()), strict=True))
        except RuntimeError as error:
            raise failure(self._graph.name, taken, error) from error
        _, loss, *others = self._outputs
        for name in others:
            if name.endswith(NEW):
                self._state.parameters[name.removesuffix(NEW)] = found[name]
        return weighted(found[loss], (found[name] for name in others if not name.endswith(NEW)), rows)


def _parts(step: Step, parts: int) -> Iterator[tuple[Feeds, int]]:
    """The parts of a batch, and how many rows each has; seeds as the other engine draws them."""
    rows = step.rows // parts
    for part in range(parts):
        chosen = slice(part * rows, (part + 1) * rows)
        feeds = {name: array[chosen] for name, array in step.feeds.items()}
        seed = step.seed if parts == 1 else _wrapped(step.seed * parts + part)
        yield {**feeds, "seed": np.asarray(seed, np.int64)}, rows


def _wrapped(number: int) -> int:
    """The int64 that a product which overflows comes to."""
    return (number + 2**63) % 2**64 - 2**63


class _Session:
    """Artifacts, and what a checkpoint of them looks like."""

    def __init__(self, graph: Artifacts) -> None:
        self._graph = graph
        self._template = self._after_one_step()
        CheckpointFile(self._template, load().checkpoint)  # one that is too large is refused before a run begins

    def start(self, parameters: Floats, optimizer_state: Floats) -> _Run:
        """A run from these numbers."""
        file = CheckpointFile(self._template, load().checkpoint)
        file.write(parameters, optimizer_state, self._graph.slots, self._graph.state)
        return _Run(self._graph, lambda path: path.write_bytes(file.data))

    def finish(self, run: _Run) -> tuple[Floats, Floats]:
        """Where a run has come to."""
        return CheckpointFile(run.saved(), load().checkpoint).read(self._graph.slots, self._graph.state)

    def _after_one_step(self) -> bytes:
        """A checkpoint behind a step on zeros, in the place of whose numbers others can be written."""
        trained = _blank(s for s in self._graph.slots if s.kind == "trained")
        others = _blank(s for s in self._graph.slots if s.kind != "trained")
        run = _Run(self._graph, lambda path: load().onnxblock.save_checkpoint((trained, others), path))
        inputs = {value.name: value.type.tensor_type for value in onnx.load_from_string(self._graph.model).graph.input}
        feeds = {name: _zeros(inputs[name], self._graph.parts) for name in run.inputs if name != "seed"}
        run.step(Step(feeds, self._graph.parts, 0.0, 0))
        return run.saved()


def _blank(slots: Iterable[Slot]) -> list[onnx.TensorProto]:
    return [onnx.numpy_helper.from_array(np.zeros(slot.shape, np.float32), slot.name) for slot in slots]


def _zeros(tensor: onnx.TypeProto.Tensor, rows: int) -> Any:
    shape = (rows, *(d.dim_value for d in tensor.shape.dim[1:]))
    return np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))


_SESSIONS_KEPT = 8
_sessions: OrderedDict[str, _Session] = OrderedDict()
_sessions_lock = Lock()


def _session(graph: Artifacts) -> _Session:
    with _sessions_lock:
        if graph.digest not in _sessions:
            try:
                _sessions[graph.digest] = _Session(graph)
            except (RuntimeError, ValueError, ImportError) as error:
                raise EngineError(f"onnxruntime-training refuses the {graph.name} graph: {error}") from error
            while len(_sessions) > _SESSIONS_KEPT:
                _sessions.popitem(last=False)
        _sessions.move_to_end(graph.digest)
        return _sessions[graph.digest]
