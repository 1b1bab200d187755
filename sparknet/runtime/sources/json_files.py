"""JSON files of an object a line, in pieces: what a column holds is decided by all rows of all files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from sparknet.runtime.sources.lines import FormatError, Piece, pieces

_MOST_KEYS = 10_000
"""How many different keys a JSON file may have."""
_MOST_CELLS = 1 << 24
"""How many cells pyarrow may make of lines at once; each of them may hold but a few of the keys of all."""
_TEXT = re.compile(rb'"((?:[^"\\]|\\.?)*+)(?:"\s*+(:)?+)?+', re.DOTALL)
"""A text of JSON, or the begin of one without an end, so that none is read twice; and a colon, where it is a key."""

_NESTING = 100
"""How deep lists and objects may lie in each other; pyarrow's parser breaks the process at some thousands."""


def json_schema(file: Path, known: pa.Schema | None) -> pa.Schema | None:
    """The columns that the rows of a file hold, joined to those that are `known` of others; None where there are none.

    Raises FormatError for what is no JSON, or more than is read, and ArrowInvalid for types that do not join.
    """
    for table in _tables(file, None):
        seen = pa.schema([(field.name, _without_times(field.type)) for field in table.schema])
        known = seen if known is None else pa.unify_schemas([known, seen], promote_options="permissive")
        _check_keys(len(known))
    return known


def read_json(file: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a file, a piece at a time, as columns of `schema`; other keys are left out. Raises FormatError."""
    return _tables(file, schema)


def _tables(file: Path, schema: pa.Schema | None) -> Iterator[pa.Table]:
    """The rows of each piece; without a schema with the types that pyarrow sees in them."""
    from pyarrow import json as arrow_json

    others = "infer" if schema is None else "ignore"
    parse = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others)
    rows = 0
    for piece in pieces(file) if schema else chain.from_iterable(map(_narrow, pieces(file))):
        if not piece.data.strip():
            continue
        _check_nesting(piece)
        read = arrow_json.ReadOptions(use_threads=False, block_size=len(piece.data) + 1)
        try:
            table = arrow_json.read_json(pa.BufferReader(piece.data), read, parse)
        except pa.ArrowInvalid as error:
            raise FormatError(_with_row(str(error), rows)) from error
        yield table
        rows += table.num_rows


def _narrow(piece: Piece) -> Iterator[Piece]:
    """The lines in pieces that are no more than `_MOST_CELLS` once every line has all keys of its piece."""
    keys = {text for text, is_key in _TEXT.findall(piece.data) if is_key}
    _check_keys(len(keys))
    lines = piece.data.count(b"\n") + 1
    most = max(1, _MOST_CELLS // max(1, len(keys)))
    if lines <= most:
        yield piece
        return
    whole = piece.data.splitlines(keepends=True)
    for start in range(0, len(whole), most):
        yield Piece(b"".join(whole[start : start + most]), piece.first + start)


def _check_keys(count: int) -> None:
    if count > _MOST_KEYS:
        raise FormatError(f"its lines have more than {_MOST_KEYS:,} different keys")


def _with_row(text: str, before: int) -> str:
    """Pyarrow's message with the number of the row in the whole file, counted from 1."""
    return re.sub(r"in row (\d+)", lambda match: f"in row {before + int(match[1]) + 1:,}", text.splitlines()[0])


def _check_nesting(piece: Piece) -> None:
    """Raise FormatError for a line whose lists and objects lie too deep in each other."""
    data = np.frombuffer(piece.data, np.uint8)
    opening = (data == ord("[")) | (data == ord("{"))
    ends = np.flatnonzero(data == ord("\n"))
    counts = np.diff(np.concatenate([[0], np.cumsum(opening)[ends], [opening.sum()]]))
    starts = np.concatenate([[0], ends + 1])
    for index in np.flatnonzero(counts > _NESTING):
        line = piece.data[starts[index] : ends[index] if index < len(ends) else None]
        bare = np.frombuffer(_TEXT.sub(b"", line), np.uint8)
        up = (bare == ord("[")) | (bare == ord("{"))
        down = (bare == ord("]")) | (bare == ord("}"))
        if np.cumsum(up.astype(np.int64) - down).max(initial=0) > _NESTING:
            raise FormatError(f"line {piece.first + index:,} is nested more than {_NESTING} deep")


def _without_times(kind: pa.DataType) -> pa.DataType:
    """JSON has no times: texts that look like them stay texts, as in Spark."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_without_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _without_times(field.type)) for field in kind])
    return kind
