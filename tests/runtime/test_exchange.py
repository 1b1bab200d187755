"""What workers send back between rounds: formats, moments, bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sparknet.compiler import CompiledNet
from sparknet.compiler.schedules import Rates
from sparknet.grammar import SparkNetError
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.runs import run_local
from sparknet.runtime.sources.places import place_of
from sparknet.runtime.training.exchange import BLOCK, CHUNK, Exchange, Format, Salt, Segment, pack, slices, unpack
from sparknet.runtime.training.rounds import Plan, RoundResult, RoundTask, Shard, blocks_needed, examples
from sparknet.runtime.training.trainer import TrainedNet, data_section, train
from tests.runtime.conftest import only, small_net
from tests.runtime.test_sync import net_of, vectors

SALT = Salt(seed=1, round=2, worker=3)
PACKED: list[Format] = ["bfloat16", "float16", "int8"]
ROUNDS = "\n  sync = average(every: 3)"


def drawn(count: int, seed: int = 0) -> np.ndarray:
    """Numbers of very different sizes, each chunk with its own."""
    random = np.random.default_rng(seed)
    sizes = np.repeat(10.0 ** random.uniform(-12, 3, -(-count // CHUNK)), CHUNK)[:count]
    return (random.normal(size=count) * sizes).astype(np.float32)


# ----- formats -----


@pytest.mark.parametrize("format", ["float32", *PACKED])
@pytest.mark.parametrize("count", [1, CHUNK, CHUNK + 1, BLOCK - 1, BLOCK + 3, 2 * BLOCK])
def test_slices_hold_the_bytes_of_the_whole(format: Format, count: int) -> None:
    values, start = drawn(count), np.zeros(count, np.float32)
    whole = Segment("parameters", 0, count, format)
    parts = slices([whole], BLOCK)
    assert [part.stop - part.start for part in parts] == [BLOCK] * (count // BLOCK) + [count % BLOCK] * (
        count % BLOCK > 0
    )
    packed = [bytes(pack(part, values, start, SALT)) for part in parts]
    assert b"".join(packed) == bytes(pack(whole, values, start, SALT))
    unpacked = [unpack(part, data) for part, data in zip(parts, packed, strict=True)]
    assert np.array_equal(np.concatenate(unpacked), unpack(whole, b"".join(packed)))
    if format == "float32":
        assert np.array_equal(unpack(whole, b"".join(packed)), values)


@pytest.mark.parametrize(("format", "step"), [("bfloat16", 2**-7), ("float16", 2**-10), ("int8", None)])
def test_what_is_lost_is_less_than_a_step(format: Format, step: float | None) -> None:
    values = drawn(3 * BLOCK)
    segment = Segment("parameters", 0, len(values), format)
    found = unpack(segment, pack(segment, values, values, SALT))
    largest = np.repeat(np.abs(values).reshape(-1, CHUNK).max(axis=1), CHUNK)
    # Below 2^-29 of the largest, a float16 has fewer bits.
    bound = largest / 127 if step is None else np.abs(values) * step + (largest * 2**-39 if format == "float16" else 0)
    assert (np.abs(found - values) <= bound * 1.0001).all()
    assert np.abs(found - values).max() > 0


@pytest.mark.parametrize(("format", "value"), [*((format, 0.0123) for format in PACKED), ("float16", 3e-8)])
def test_rounding_loses_nothing_on_average(format: Format, value: float) -> None:
    values = np.full(200_000, value, np.float32)
    values[::CHUNK] = 1.7  # the largest of each chunk, which is kept
    segment = Segment("parameters", 0, len(values), format)
    found = unpack(segment, pack(segment, values, values, SALT))
    others = np.arange(len(values)) % CHUNK != 0
    assert len(set(found[others].tolist())) == 2
    assert found[others].mean(dtype=np.float64) == pytest.approx(value, rel=2e-3)


def test_the_same_worker_sends_the_same_and_another_something_else() -> None:
    values = drawn(1000)
    segment = Segment("parameters", 0, 1000, "int8")
    salts = [SALT, SALT, Salt(1, 2, 4), Salt(1, 3, 3), Salt(2, 2, 3)]
    first, again, *others = (pack(segment, values, values, salt) for salt in salts)
    assert first == again
    assert len({first, *others}) == 4


def test_only_changes_of_trained_parameters_and_moments_are_rounded() -> None:
    exchange = Exchange("int8", trained=10, scalars=(0,))
    assert exchange.segments(14, 21) == (
        Segment("parameters", 0, 10, "int8", change=True),
        Segment("parameters", 10, 14, "float32"),
        Segment("optimizer_state", 0, 1, "float32"),
        Segment("optimizer_state", 1, 21, "bfloat16"),
    )
    assert Exchange("float16", trained=14, state=False).segments(14, 21) == (
        Segment("parameters", 0, 14, "float16", change=True),
    )


def test_bytes_of_a_hostile_worker() -> None:
    with pytest.raises(ValueError, match="3 bytes came for 4 numbers of int8"):
        unpack(Segment("parameters", 0, 4, "int8"), b"abc")


# ----- runs -----


class WatchedBackend(LocalBackend):
    """The backend, with a note of every round."""

    def __init__(self, net: CompiledNet) -> None:
        supplies = data_section(net).supplies
        super().__init__({key: place_of(supply.source, supply.label, ()) for key, supply in supplies.items()})
        self.rounds: list[tuple[RoundTask, RoundResult]] = []

    def train(self, task: RoundTask, shards: Sequence[Shard]) -> RoundResult:
        found = super().train(task, shards)
        self.rounds.append((task, found))
        return found


def watched(net: CompiledNet) -> tuple[TrainedNet, list[tuple[RoundTask, RoundResult]]]:
    backend = WatchedBackend(net)
    return train(net, backend), backend.rounds


def test_moments_that_are_averaged_every_third_round(folder: Path) -> None:
    net = small_net(folder, workers=2, steps=20, more=f"{ROUNDS}\n  moments = average(every: 3)")
    trained, rounds = watched(net)
    assert len(rounds) == 8
    for number, (task, found) in enumerate(rounds):
        assert task.exchange.state == (number % 3 == 0)
        averaged = (
            rounds[number - (number - 1) % 3 - 1][1].optimizer_state if number else np.zeros_like(task.optimizer_state)
        )
        assert np.array_equal(task.optimizer_state, averaged)
        assert np.array_equal(found.optimizer_state, task.optimizer_state) == (number % 3 != 0)
    sizes = net.parameter_count, net.parameter_count + net.optimizer_state_size
    assert [record.bytes_up for record in trained.history] == [2 * 4 * sizes[k % 3 == 0] for k in range(8)]
    assert {record.bytes_down for record in trained.history} == {2 * 4 * sizes[1]}


def test_moments_that_are_reset(folder: Path) -> None:
    net = small_net(folder, workers=2, steps=9, more=f"{ROUNDS}\n  moments = reset")
    trained, rounds = watched(net)
    for task, found in rounds:
        assert len(task.optimizer_state) == len(found.optimizer_state) == 0
        assert np.array_equal(task.starts["optimizer_state"], net.initial_optimizer_state())
    assert np.array_equal(trained.optimizer_state, net.initial_optimizer_state())
    assert {(record.bytes_down, record.bytes_up) for record in trained.history} == {(8 * net.parameter_count,) * 2}
    assert vectors(trained) != vectors(run_local(small_net(folder, workers=2, steps=9, more=ROUNDS)))


def test_moments_of_steps_together_stay_with_the_driver(folder: Path) -> None:
    more = "\n  sync = average(every: 3, after: 4)\n  moments = reset"
    trained, rounds = watched(small_net(folder, workers=2, steps=10, more=more))
    assert [task.plan.synchronous for task, _ in rounds] == [True] * 4 + [False] * 3
    assert trained.optimizer_state[0] == 4  # Adam's count of steps


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_fewer_bytes_reach_about_the_same(folder: Path, precision: str) -> None:
    plain = run_local(small_net(folder, workers=2, epochs=12, more=ROUNDS))
    packed = run_local(small_net(folder, workers=2, epochs=12, more=f"{ROUNDS}\n  exchange = {precision}"))
    assert packed.history[0].bytes_up < 0.6 * plain.history[0].bytes_up
    assert vectors(packed) != vectors(plain)
    assert packed.scores["test"].metrics["accuracy"] >= plain.scores["test"].metrics["accuracy"] - 0.05
    for vector in (packed.parameters, packed.optimizer_state):
        assert np.isfinite(vector).all()


def test_running_variances_travel_as_they_are(folder: Path) -> None:
    body = "dense(8) -> batchnorm -> relu -> dense(3)"
    more = "optimizer = sgd(lr: 0.1)\n steps = 1\n workers = 2\n sync = average(every: 1)\n exchange = "
    plain, packed = (run_local(net_of(folder, body, more + precision)) for precision in ("float32", "int8"))
    slots = net_of(folder, body, more + "int8").parameters
    for slot in slots:
        pair = [trained.parameters[slot.offset : slot.offset + slot.size] for trained in (plain, packed)]
        assert np.array_equal(*pair) == (slot.kind == "buffer"), slot


def test_one_worker_alone_exchanges_nothing(folder: Path) -> None:
    plain = run_local(small_net(folder, workers=1))
    for more in ("\n  moments = reset", "\n  exchange = int8", "\n  moments = average(every: 5)"):
        assert vectors(run_local(small_net(folder, workers=1, more=ROUNDS + more))) == vectors(plain)


@pytest.mark.parametrize("rate", ["1e38", "3e37"])
def test_changes_that_are_no_numbers_end_the_run(folder: Path, rate: str) -> None:
    train = f"optimizer = sgd(lr: {rate})\n weights = {{kind: 100}}\n steps = 1\n workers = 2\n exchange = int8"
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(folder, "dense(3)", train))
    assert only(error).startswith("R0030 the ")


# ----- blocks -----


@pytest.mark.parametrize("rows", [7, 64, 1000])
@pytest.mark.parametrize("steps", [1, 3, 40, 400])
def test_blocks_needed_are_those_of_the_examples(rows: int, steps: int) -> None:
    shard = Shard(worker=1, rows=rows, block_rows=16)
    for position in (0, 1, 17, 63):
        plan = Plan(0, position, steps, 5, 1, Rates(0.1))
        assert blocks_needed(plan, shard) == tuple(np.unique(examples(plan, shard) // 16).tolist())
