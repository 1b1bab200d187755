"""Checkpoints: what a run has reached, written so that it can go on from there as if nothing had happened.

They lie beside the folder that the run will leave, in `NAME.checkpoints`, or where a URI says, a folder each:
`checkpoint.json` with the digests of the other files, `progress.json`, the vectors as safetensors, and the rounds so
far as JSON lines. `stores` writes each whole or not at all, so that a run that is killed while it writes leaves the one
before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.describe import spelled
from sparknet.compiler.folder import Count, Entry, SavedFile, Text, digests, manifest_bytes
from sparknet.compiler.sections import Checkpointing, EveryRounds
from sparknet.grammar.diagnostics import Label, SparkNetError
from sparknet.runtime.engines.base import Floats
from sparknet.runtime.hostile import DAMAGED, damaged, explain
from sparknet.runtime.problems import problem
from sparknet.runtime.training.records import Note, Progress, read_history, write_history
from sparknet.runtime.training.standing import Standing, Weights, momentum_size
from sparknet.runtime.training.stores import LocalStore, Store, open_store
from sparknet.runtime.versions import versions

_INDEX, _PROGRESS, _VECTORS, _HISTORY = "checkpoint.json", "progress.json", "vectors.safetensors", "metrics.jsonl"
_CAPS = {_PROGRESS: 1 << 20, _HISTORY: 1 << 30}
"""Bytes; what the vectors may take depends on the net."""
_HEADER = 1 << 16
"""Bytes that the names in a file of vectors take at most."""
_NAMES = ("parameters", "optimizer_state", "momentum")
_NAMES_KEPT = ("kept.parameters", "kept.optimizer_state")
_NAME = re.compile(r"round-[0-9]{1,12}")
_KEPT = 2
"""So many checkpoints are there at a time: the newest, and the one before in case that one is damaged."""

_ELSEWHERE = frozenset({"checkpoint", "workers"})
"""Keys of `train` that do not change what comes out, or that are compared apart."""
_SHOWN = 60
"""Characters of a setting in a message; the digest of one that is longer tells nothing."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Model = TypeVar("Model", bound=Entry)


class Index(Entry):
    """`checkpoint.json`."""

    format: Literal[1] = 1
    files: dict[Text, SavedFile]


class Reached(Entry):
    """`progress.json`: what the run is, so that no other goes on from here, and how far it is."""

    model_config = ConfigDict(allow_inf_nan=False)

    net: Digest
    data: Digest
    train: dict[Text, Text]
    workers: Count
    rounds: Count
    kept_round: Count
    seconds: float
    versions: dict[Text, Text]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read; `seconds` is what the run took until then."""

    reached: Reached
    standing: Standing


# ----- what a run is -----


def net_digest(net: CompiledNet) -> str:
    """Of the graphs that a run trains and evaluates with."""
    graphs = (net.step, net.evaluation)
    return sha256(b"".join(graph.SerializeToString(deterministic=True) for graph in graphs)).hexdigest()


def train_settings(net: CompiledNet) -> dict[str, str]:
    """The keys of the `train` section that decide what comes out, as they are written in a file."""
    train = net.train
    texts = {key: spelled(getattr(train, key)) for key in type(train).model_fields if key not in _ELSEWHERE}
    return {key: text if len(text) <= 1000 else sha256(text.encode()).hexdigest() for key, text in texts.items()}


def describe_run(net: CompiledNet, workers: int, data: str) -> Reached:
    """A run before its first round; `data` is the digest of its blocks."""
    return Reached(
        net=net_digest(net),
        data=data,
        train=train_settings(net),
        workers=workers,
        rounds=0,
        kept_round=0,
        seconds=0.0,
        versions=versions(),
    )


def place_of(output: Path | None, uri: str | None) -> Store | None:
    """Where the checkpoints of a run lie: at the URI or path that is given, else beside its folder; None without."""
    if uri is not None:
        return open_store(uri, _INDEX)
    return None if output is None else LocalStore(output.with_name(f"{output.name}.checkpoints"), own=True)


# ----- writing -----


@dataclass
class Checkpoints:
    """Writes checkpoints when they are due; what cannot be written is told, and the run goes on."""

    store: Store
    policy: Checkpointing
    reached: Reached
    """What all checkpoints of the run have in common."""
    progress: Progress
    last: float = field(default_factory=perf_counter)

    def after(self, standing: Standing, seconds: float) -> None:
        """Called after each round; `seconds` is what the run took until now."""
        rounds = len(standing.history)
        if isinstance(self.policy, EveryRounds):
            due = rounds % self.policy.every == 0
        else:
            due = perf_counter() - self.last >= 60 * self.policy.every
        if not due:
            return
        reached = self.reached.model_copy(
            update={"rounds": rounds, "kept_round": standing.kept_round, "seconds": seconds}
        )
        name = f"round-{rounds}"
        try:
            self.store.remove(name)
            self.store.write(name, _contents(reached, standing))
        except SparkNetError as error:
            self.progress(Note(f"no checkpoint after round {rounds}: {error.diagnostics[0].message}"))
        else:
            self._remove_older(rounds)
        self.last = perf_counter()

    def _remove_older(self, rounds: int) -> None:
        try:
            _prune(self.store, _KEPT, rounds)
        except SparkNetError as error:
            self.progress(Note(f"older checkpoints than that of round {rounds} stay: {error.diagnostics[0].message}"))


def _contents(reached: Reached, standing: Standing) -> dict[str, bytes]:
    """The files of a checkpoint, the one that lists the others last."""
    vectors = {"parameters": standing.weights.parameters, "optimizer_state": standing.weights.optimizer_state}
    vectors |= {"momentum": standing.momentum}
    if standing.kept_round != reached.rounds:
        kept = standing.kept
        vectors |= {"kept.parameters": kept.parameters, "kept.optimizer_state": kept.optimizer_state}
    contents = {
        _PROGRESS: manifest_bytes(reached),
        _VECTORS: save_tensors({name: np.ascontiguousarray(vector) for name, vector in vectors.items()}),
        _HISTORY: write_history(standing.history),
    }
    return {**contents, _INDEX: manifest_bytes(Index(files=digests(contents)))}


def remove(store: Store) -> None:
    """Remove all checkpoints of a run that is finished, if they can be, and nothing else that may lie there."""
    with suppress(SparkNetError):
        _prune(store)


def clear(store: Store, net: CompiledNet) -> bool:
    """Remove the checkpoints of a run of `net` that is finished, and say whether there were any.

    Raises SparkNetError, and removes none, where one that is whole is of another run.
    """
    found = _found(store)
    for name in found:
        try:
            _read(store, name, net)
        except SparkNetError as error:
            if error.diagnostics[0].code != DAMAGED:  # as one is whose removal had begun
                raise
    remove(store)
    return bool(found)


def _prune(store: Store, keep: int = 0, rounds: int = 0) -> None:
    """Remove checkpoints but for the newest `keep` of at most `rounds` rounds: later ones were found damaged."""
    found = _found(store)
    kept = [name for name in found if _rounds_of(name) <= rounds][:keep]
    for name in found:
        if name not in kept:
            store.remove(name)
    store.tidy()


def _found(store: Store) -> list[str]:
    """The checkpoints in a place, newest first."""
    return sorted((name for name in store.names() if _NAME.fullmatch(name)), key=_rounds_of, reverse=True)


def _rounds_of(name: str) -> int:
    """The rounds that the name of a checkpoint says."""
    return int(name.removeprefix("round-"))


# ----- reading -----


def are_in(store: Store) -> bool:
    """Whether a place holds checkpoints."""
    return bool(_found(store))


def check_none(store: Store) -> None:
    """Raise SparkNetError where an earlier run left checkpoints, which a new one would overwrite."""
    if are_in(store):
        raise problem(
            "R0045",
            f"`{store.where}` holds checkpoints of an earlier run",
            helps=[
                "`sparknet run --resume` goes on where that run was not finished",
                "to begin anew, remove the folder",
            ],
        )


def newest(store: Store, net: CompiledNet, progress: Progress) -> Checkpoint:
    """The newest checkpoint that is whole; raises SparkNetError where there is none, or where it is of another run."""
    faults: list[str] = []
    for name in _found(store):
        try:
            found = _read(store, name, net)
        except SparkNetError as error:
            if error.diagnostics[0].code != DAMAGED:
                raise
            faults.append(error.diagnostics[0].message)
            progress(Note(faults[-1]))
            continue
        progress(Note(f"resuming after round {found.reached.rounds}, from `{store.place(name)}`"))
        _note_versions(found.reached, progress)
        return found
    why = "none of its checkpoints is whole" if faults else "there is no checkpoint of it"
    raise problem(
        "R0046",
        f"the run cannot be resumed: {why}",
        notes=faults[:3] or [f"looked in `{store.where}`"],
        helps=[
            "without `--resume`, or `resume=True` in Python, the run begins anew"
            + (f"; remove `{store.where}` first" if faults else "")
        ],
    )


def check_data(reached: Reached, digest: str, label: Label | None) -> None:
    """Raise SparkNetError where the data, named at `label`, is not that of the checkpoint."""
    if reached.data != digest:
        raise _changed("the rows are not those that it was trained on", label)


def _read(store: Store, name: str, net: CompiledNet) -> Checkpoint:
    """A checkpoint; raises SparkNetError for one that is damaged, and for one of another run than that of `net`."""
    index = _parsed(Index, store.place(name, _INDEX), store.read(name, _INDEX, 1 << 20))
    if set(index.files) != {*_CAPS, _VECTORS}:
        raise damaged(store.place(name, _INDEX), "it does not list the files of a checkpoint")
    data = {file: store.read(name, file, cap, index.files[file]) for file, cap in _CAPS.items()}
    reached = _parsed(Reached, store.place(name, _PROGRESS), data[_PROGRESS])
    check_same(reached, net)
    try:
        history = read_history(data[_HISTORY])
    except ValueError as error:
        raise damaged(store.place(name, _HISTORY), str(error)) from error
    if [record.round for record in history] != list(range(1, reached.rounds + 1)):
        raise damaged(store.place(name, _HISTORY), f"its rounds are not those that `{_PROGRESS}` counts")
    if not 1 <= reached.kept_round <= reached.rounds:
        raise damaged(store.place(name, _PROGRESS), "it keeps a round that was never taken")
    if any(score.metrics.keys() != {*net.metrics} for record in history for score in record.scores):
        raise damaged(store.place(name, _HISTORY), "its metrics are not those of the net")
    lengths = _lengths(net, kept=reached.kept_round != reached.rounds)
    packed = store.read(name, _VECTORS, 4 * sum(lengths.values()) + _HEADER, index.files[_VECTORS])
    vectors = _vectors(store.place(name, _VECTORS), packed, lengths)
    weights = Weights(vectors["parameters"], vectors["optimizer_state"])
    kept = weights
    if "kept.parameters" in vectors:
        kept = Weights(vectors["kept.parameters"], vectors["kept.optimizer_state"])
    return Checkpoint(reached, Standing(weights, kept, vectors["momentum"], reached.kept_round, history))


def _parsed(model: type[Model], path: str, data: bytes) -> Model:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise damaged(path, explain(error)) from error


def _lengths(net: CompiledNet, kept: bool) -> dict[str, int]:
    """The vectors of a checkpoint and how long each is, for every one of this run that no one tampered with."""
    found = dict(zip(_NAMES, (net.parameter_count, net.optimizer_state_size, momentum_size(net)), strict=True))
    return found | ({name: found[name.removeprefix("kept.")] for name in _NAMES_KEPT} if kept else {})


def _vectors(path: str, data: bytes, lengths: Mapping[str, int]) -> dict[str, Floats]:
    try:
        tensors = load_tensors(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"it is not a safetensors file ({error})") from error
    if set(tensors) != set(lengths):
        raise damaged(path, "its tensors are not those of a checkpoint")
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32 or tensor.ndim != 1 or not np.isfinite(tensor).all():
            raise damaged(path, f"tensor `{name}` is not a vector of finite float32 numbers")
        if len(tensor) != lengths[name]:
            raise damaged(path, "its vectors do not have the lengths of the net's")
    return tensors


# ----- whether it is the same run -----


def _changed(what: str, label: Label | None, *notes: str) -> SparkNetError:
    return problem(
        "R0047",
        f"the run cannot be resumed: {what}",
        label=label,
        notes=notes,
        helps=["bring back what was changed, or remove the checkpoints and begin anew"],
    )


def check_same(reached: Reached, net: CompiledNet) -> None:
    """Raise SparkNetError that says what is not the same in a run and in `net`, but for its rows."""
    settings = train_settings(net)  # before the graphs, which are made of them too
    for key in sorted({*settings, *reached.train}):
        then, now = reached.train.get(key, "none"), settings.get(key, "none")
        if then != now:
            shown = [text if text.isdecimal() else f"`{text}`" for text in (then, now)]
            short = max(len(then), len(now)) <= _SHOWN
            what = f"was {shown[0]} and is {shown[1]}" if short else "is not what it was"
            raise _changed(f"`{key}` of the `train` section {what}", None)
    if reached.net != net_digest(net):
        here, there = versions(), reached.versions
        notes = []
        if there.get("sparknet") != here["sparknet"]:
            notes = [f"the checkpoint is from sparknet {there.get('sparknet')}, this is {here['sparknet']}"]
        raise _changed("the net is not the one it began with", net.typed.net.label, *notes)
    if net.train.workers not in (None, reached.workers):
        raise _changed(f"`workers` was {reached.workers} and is {net.train.workers}", None)


def _note_versions(reached: Reached, progress: Progress) -> None:
    here = versions()
    for package in ("onnxruntime", "numpy"):
        then = reached.versions.get(package)
        if then != here[package]:
            progress(Note(f"the run began with {package} {then}, this is {here[package]}: last digits may differ"))
