"""What workers send back after a round, how it is packed and how it is averaged: pure functions on vectors and bytes.

A worker's vectors are cut into segments. Each segment is packed by itself and averaged by itself, over the workers in
their order, so it does not matter who averages it: the driver, or a task of its own for each segment.

Packing goes by blocks of `BLOCK` numbers. Random numbers for rounding come from (seed, round, worker, vector, block):
a worker that is run again after a failure sends the same bytes, and it keeps nothing for the next round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.exchange import Precision
from sparknet.runtime.engines.base import Floats

Format = Literal["float32", "bfloat16", "float16", "int8"]
Buffer = bytes | memoryview
VectorName = Literal["parameters", "optimizer_state"]

CHUNK = 256
"""Numbers that share a scale."""
BLOCK = 1 << 16
"""Numbers that share a random stream; segments are cut between blocks."""
_LARGEST = 127
_RAISED = np.float32(1 << 15)
"""What float16 is multiplied by, so that only what is below 2^-29 of its chunk's largest loses more bits."""
_VECTORS: tuple[VectorName, ...] = ("parameters", "optimizer_state")


@dataclass(frozen=True)
class Segment:
    """Numbers `start` to `stop` of a vector, which travel in one format; `change` is what the round added to them."""

    vector: VectorName
    start: int
    stop: int
    format: Format
    change: bool = False


@dataclass(frozen=True)
class Exchange:
    """What every worker sends back: its parameters, and with `state` the optimizer's state.

    The first `trained` parameters travel in `precision`, as changes to the round's start. The rest of the parameters
    (running means and variances, which a rounded change could make negative) travels as it is. The state goes along as
    bfloat16, which has the range of float32, but for its `scalars`, which are counters.
    """

    precision: Precision = "float32"
    trained: int = 0
    state: bool = True
    scalars: tuple[int, ...] = ()

    def segments(self, parameters: int, state: int) -> tuple[Segment, ...]:
        """Of vectors of these lengths, in order; none is empty."""
        if self.precision == "float32":
            parts = [Segment("parameters", 0, parameters, "float32")]
            parts += [Segment("optimizer_state", 0, state, "float32")] * self.state
        else:
            parts = [
                Segment("parameters", 0, self.trained, self.precision, change=True),
                Segment("parameters", self.trained, parameters, "float32"),
            ]
            edges = [0, *(edge for scalar in self.scalars for edge in (scalar, scalar + 1)), state]
            for number, (start, stop) in enumerate(pairwise(edges)):
                parts += [Segment("optimizer_state", start, stop, "float32" if number % 2 else "bfloat16")] * self.state
        return tuple(part for part in parts if part.start < part.stop)


PLAIN = Exchange()
"""All vectors as they are."""


def slices(segments: Iterable[Segment], numbers: int) -> tuple[Segment, ...]:
    """The same, cut into segments of at most `numbers`, a multiple of `BLOCK`; packed, they hold the same bytes."""
    return tuple(
        Segment(each.vector, start, min(start + numbers, each.stop), each.format, each.change)
        for each in segments
        for start in range(each.start, each.stop, numbers)
    )


def packed_bytes(segments: Iterable[Segment]) -> int:
    """What a worker sends."""
    return sum(_bytes(each.format, each.stop - each.start) for each in segments)


def _bytes(format: Format, count: int) -> int:
    each = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}[format]
    scales = 4 * _chunks(count) if format in ("float16", "int8") else 0
    return each * count + scales


def _chunks(count: int) -> int:
    blocks, rest = divmod(count, BLOCK)
    return blocks * (BLOCK // CHUNK) + -(-rest // CHUNK)


# ----- packing -----


@dataclass(frozen=True)
class Salt:
    """What the random numbers of a worker's rounding depend on."""

    seed: int
    round: int
    worker: int

    def draws(self, segment: Segment, block: int, count: int) -> NDArray[np.uint16]:
        """Random numbers for a block of a segment, uint16[count], the same on every machine."""
        salt = [self.seed, self.round, self.worker, _VECTORS.index(segment.vector), segment.start + block * BLOCK, -3]
        key = int.from_bytes(blake2b(np.array(salt, "<i8").tobytes(), digest_size=16).digest(), "little")
        return np.random.Philox(key=key).random_raw(-(-count // 4)).astype("<u8").view("<u2")[:count]


def pack(segment: Segment, vector: Floats, start: Floats, salt: Salt) -> Buffer:
    """A segment of a worker's vector as bytes.

    Args:
        segment: Which numbers, and how they travel.
        vector: The whole vector after the round, finite.
        start: The whole vector before the round; read only where changes travel.
        salt: Of the random numbers by which rounding goes up or down: on average, nothing is lost by it.
    """
    values = vector[segment.start : segment.stop]
    if segment.change:
        with np.errstate(over="ignore"):
            values = values - start[segment.start : segment.stop]
    if segment.format == "float32":
        return np.ascontiguousarray(values).data.cast("B")
    packers = {"bfloat16": _pack_bfloat16, "float16": _pack_float16, "int8": _pack_int8}
    parts = []
    with np.errstate(over="ignore", invalid="ignore"):  # a change that does not fit into a float32 comes out as none
        for number, first in enumerate(range(0, len(values), BLOCK)):
            block = values[first : first + BLOCK]
            parts.append(packers[segment.format](block, salt.draws(segment, number, len(block))))
    return b"".join(parts)


def _pack_bfloat16(values: Floats, draws: NDArray[np.uint16]) -> bytes:
    """The upper half of a float32, which goes up as often as what is cut off is large."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4") + draws
    return (bits >> 16).astype("<u2").tobytes()


def _pack_float16(values: Floats, draws: NDArray[np.uint16]) -> bytes:
    """Scales, the largest magnitudes of the chunks, then the numbers in 2^-15ths of these: 10 bits of each mantissa."""
    scales = _scales(values)
    scaled = np.divide(values, _spread(scales, len(values)), dtype=np.float32) * _RAISED
    bits = (scaled.view(np.uint32) + (draws >> 3)) & np.uint32(0xFFFFE000)
    return scales.tobytes() + bits.view(np.float32).astype("<f2").tobytes()


def _pack_int8(values: Floats, draws: NDArray[np.uint16]) -> bytes:
    """Scales, then the numbers in 127ths of the largest magnitude of their chunk (QSGD, arXiv:1610.02132, eq. 3)."""
    scales = _scales(values)
    scaled = np.divide(values, _spread(scales, len(values)), dtype=np.float32) * np.float32(_LARGEST)
    raised = np.floor(scaled + (draws.astype(np.float32) + np.float32(0.5)) / np.float32(1 << 16))
    return scales.tobytes() + np.clip(raised, -_LARGEST, _LARGEST).astype(np.int8).tobytes()


def _scales(values: Floats) -> Floats:
    """The largest magnitude of each chunk, float32[chunks], 1 for a chunk of zeros."""
    largest = np.maximum.reduceat(np.abs(values), np.arange(0, len(values), CHUNK)).astype("<f4")
    largest[largest == 0] = 1
    return largest


def _spread(scales: Floats, count: int) -> Floats:
    return np.repeat(scales, CHUNK)[:count]


def unpack(segment: Segment, data: Buffer) -> Floats:
    """The numbers of a packed segment, float32[stop - start].

    Raises ValueError where the bytes are not as many as the segment needs.
    """
    count = segment.stop - segment.start
    if len(data) != _bytes(segment.format, count):
        raise ValueError(f"{len(data)} bytes came for {count} numbers of {segment.format}")
    if segment.format == "float32":
        return np.frombuffer(data, "<f4")
    if segment.format == "bfloat16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    dtype, per = (np.dtype("<f2"), _RAISED) if segment.format == "float16" else (np.dtype("i1"), np.float32(_LARGEST))
    parts, offset = [], 0
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        scales = np.frombuffer(data, "<f4", -(-size // CHUNK), offset)
        offset += scales.nbytes
        codes = np.frombuffer(data, dtype, size, offset)
        offset += codes.nbytes
        parts.append(codes.astype(np.float32) / per * _spread(scales, size))
    return np.concatenate(parts)


# ----- averaging -----


def mean_of(segment: Segment, sent: Iterable[tuple[int, Buffer]], weights: Mapping[int, float]) -> Floats:
    """The weighted mean of a segment, float32, summed in float64.

    Args:
        segment: Which numbers.
        sent: What each worker sent, in the order of the workers; one at a time is held.
        weights: What each worker counts; they need not sum to 1.
    """
    total = np.zeros(segment.stop - segment.start, np.float64)
    sum_of_weights = sum(weights.values())
    for worker, data in sent:
        values = unpack(segment, data)
        if len(weights) == 1:
            return values
        total += values * np.float64(weights[worker] / sum_of_weights)
    return total.astype(np.float32)


def assemble(
    segments: Sequence[Segment], means: Iterable[tuple[Segment, Floats]], starts: Mapping[VectorName, Floats]
) -> dict[VectorName, Floats]:
    """The vectors after a round, made of the means of all segments.

    Args:
        segments: All that were sent.
        means: Those of the segments, in any order; one at a time is held.
        starts: The vectors that the round started from, to which changes are added in float64; a vector of which
            nothing was sent stays as it is.
    """
    found = dict(starts)
    lengths = {each.vector: each.stop for each in sorted(segments, key=lambda each: each.stop)}
    whole = {vector: np.empty(length, np.float32) for vector, length in lengths.items()}
    for segment, mean in means:
        vector, place = segment.vector, slice(segment.start, segment.stop)
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, which the caller looks for
            whole[vector][place] = starts[vector][place].astype(np.float64) + mean if segment.change else mean
        found[vector] = whole[vector]
    return found
