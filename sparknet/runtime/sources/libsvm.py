"""LIBSVM files: `label index:value index:value ...`, indices from 1 and rising; what Spark's reader takes and gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparknet.runtime.sources.lines import FormatError, Piece, pieces

# Possessive throughout: a long line is read once, whatever is wrong with it.
_NUMBER = rb"[+-]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?+\d++)?+"
_LINE = re.compile(rb"\s*+" + _NUMBER + rb"(?:\s++\d{1,10}+:" + _NUMBER + rb")*+\s*+")
_LABEL, _FEATURE = re.compile(_NUMBER), re.compile(rb"\d{1,10}:" + _NUMBER)

_LARGEST = 2**31 - 1

VECTOR = pa.struct(
    [
        ("type", pa.int8()),
        ("size", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)
"""A vector of pyspark.ml, as Arrow holds it."""

SCHEMA = pa.schema([("label", pa.float64()), ("features", VECTOR)])


@dataclass(frozen=True)
class Rows:
    """The rows of a piece: labels, and of all features their indices (from 0) and values; `stops` ends each row's."""

    labels: NDArray[np.float64]
    indices: NDArray[np.int64]
    values: NDArray[np.float64]
    stops: NDArray[np.int64]

    def batch(self, size: int) -> pa.RecordBatch:
        """The rows as Spark's reader gives them: sparse vectors of `size` numbers."""
        rows = len(self.labels)
        offsets = pa.array(np.concatenate([[0], self.stops]), pa.int32())
        vectors = pa.StructArray.from_arrays(
            [
                pa.array(np.zeros(rows, np.int8)),
                pa.array(np.full(rows, size, np.int32)),
                pa.ListArray.from_arrays(offsets, pa.array(self.indices.astype(np.int32))),
                pa.ListArray.from_arrays(offsets, pa.array(self.values)),
            ],
            fields=list(VECTOR),
        )
        return pa.RecordBatch.from_arrays([pa.array(self.labels), vectors], schema=SCHEMA)


def read_rows(file: Path, features: int | None = None) -> Iterator[Rows]:
    """The rows of a file, a piece at a time; raises FormatError with the line of what is wrong."""
    for piece in pieces(file):
        yield _read(piece, features or _LARGEST)


def count_features(file: Path) -> int:
    """The largest index of a file."""
    return max((int(rows.indices.max(initial=-1)) + 1 for rows in read_rows(file)), default=0)


def _read(piece: Piece, features: int) -> Rows:
    labels: list[bytes] = []
    tokens: list[bytes] = []
    stops: list[int] = []
    numbers: list[int] = []
    for number, line in piece.lines():
        if line.isspace() or not line or line.lstrip().startswith(b"#"):
            continue
        if not _LINE.fullmatch(line):
            raise _malformed(number, line)
        label, *pairs = line.replace(b":", b" ").split()
        labels.append(label)
        tokens += pairs
        stops.append(len(tokens) // 2)
        numbers.append(number)
    indices = np.array(tokens[::2], "S10").astype(np.int64) - 1
    rows = Rows(_floats(labels), indices, _floats(tokens[1::2]), np.array(stops, np.int64))
    _check_indices(rows, features, numbers)
    return rows


def _floats(tokens: list[bytes]) -> NDArray[np.float64]:
    return np.array([float(token) for token in tokens], np.float64)


def _check_indices(rows: Rows, features: int, numbers: list[int]) -> None:
    """Raise FormatError for an index below 1, above `features`, or not above the one before it in its row."""
    starts = np.concatenate([[0], rows.stops[:-1]]) if len(rows.stops) else rows.stops
    before = np.concatenate([[-1], rows.indices[:-1]])
    before[starts[starts < len(before)]] = -1
    wrong = (rows.indices <= before) | (rows.indices >= features)
    if not wrong.any():
        return
    at = int(np.argmax(wrong))
    line = numbers[int(np.searchsorted(rows.stops, at, side="right"))]
    index = int(rows.indices[at]) + 1
    if index < 1:
        why = "indices count from 1"
    elif index > features:
        why = f"the largest is {features:,}"
    else:
        why = f"it comes after {int(before[at]) + 1}, and indices rise"
    raise FormatError(f"line {line:,}: index {index}: {why}")


def _malformed(number: int, line: bytes) -> FormatError:
    label, *pairs = line.split()
    if not _LABEL.fullmatch(label):
        return FormatError(f"line {number:,}: the label `{_shown(label)}` is no number")
    wrong = next((pair for pair in pairs if not _FEATURE.fullmatch(pair)), b"")
    return FormatError(f"line {number:,}: `{_shown(wrong)}` is not `index:value`")


def _shown(token: bytes) -> str:
    return token[:40].decode("utf-8", "replace")
