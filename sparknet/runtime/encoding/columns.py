"""One Arrow column to the numbers that a port takes: `[rows, size]`, or which rows cannot be.

Accepted: numbers and booleans; lists of them, nested or of fixed size; bytes, each a number from 0 to 255; pyspark.ml
vectors (a struct, in Arrow). Of an input of variable length, shorter lists are filled up with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparknet.compiler.compiled import Port

Numbers = NDArray[Any]

_VECTOR_FIELDS = ["type", "size", "indices", "values"]
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class BadCell:
    """Why one row of a column cannot be used: `code` as in `problems`, `text` ends the sentence "row 7 of `x` ..."."""

    code: str
    row: int
    text: str
    column: int = 0
    """Which of the columns that feed the port."""


@dataclass(frozen=True)
class Column:
    """The numbers of a column, `[rows, size]`, and its bad rows (`bad` bool[rows], the first of them in words).

    `numbers` is None where any row is bad.
    """

    numbers: Numbers | None
    bad: NDArray[np.bool_]
    first: BadCell | None = None


def read_column(array: pa.Array, port: Port) -> Column:
    """The numbers that `port` takes from `array`, in the column's own element type."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if is_bytes(array.type):
        return _with_bytes(_read_lists(_as_lists(array), port), array)
    if not pa.types.is_struct(array.type) or [field.name for field in array.type] != _VECTOR_FIELDS:
        return _read_lists(array, port)
    array, fault = _dense(array, port.measures or port)
    column = _read_lists(array, port)
    told = fault is not None and column.first is not None and column.first.row == fault.row
    return replace(column, first=fault) if told else column


def _as_lists(array: pa.Array) -> pa.Array:
    """A column of bytes as one of lists of uint8, without a copy."""
    large = pa.types.is_large_binary(array.type)
    valid, offsets, data = array.buffers()
    count = 0 if data is None else data.size
    bytes_ = pa.Array.from_buffers(pa.uint8(), count, [None, data or pa.py_buffer(b"")])
    kind = (pa.large_list if large else pa.list_)(pa.uint8())
    return pa.Array.from_buffers(kind, len(array), [valid, offsets], array.null_count, array.offset, [bytes_])


def _with_bytes(column: Column, array: pa.Array) -> Column:
    """Bytes that are not as many as the numbers of a row are most often those of a file, so they are called bytes."""
    if column.first is None or column.first.code != "R0012":
        return column
    count = len(array[column.first.row].as_buffer())
    return replace(column, first=replace(column.first, text=f"has {count:,} byte{'s' * (count != 1)}"))


def _read_lists(array: pa.Array, port: Port) -> Column:
    if _varies(port):
        return _read_steps(array, port)
    numbers = _regular(array, port)
    return _inspect(array, port) if numbers is None else _check_values(numbers, port)


def is_accepted(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold numbers at all."""
    if is_bytes(kind.value_type if pa.types.is_dictionary(kind) else kind):
        return True
    while True:
        if isinstance(kind, pa.ExtensionType):
            kind = kind.storage_type
        elif pa.types.is_dictionary(kind) or _is_list(kind):
            kind = kind.value_type
        elif pa.types.is_struct(kind):
            return [field.name for field in kind] == _VECTOR_FIELDS
        else:
            return _is_number(kind) or pa.types.is_null(kind)


def is_scalar(kind: pa.DataType) -> bool:
    """Whether a row of a column of this type is one number."""
    if isinstance(kind, pa.ExtensionType):
        kind = kind.storage_type
    return not _is_list(kind) and not pa.types.is_struct(kind) and not is_bytes(kind)


def whole_type(kind: pa.DataType) -> bool:
    """Whether a column of this type holds whole numbers, or false and true, and nothing else."""
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type holds bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def kind_of(kind: pa.DataType) -> str:
    """What a column of this type holds, however many in a row and however wide: columns of one kind go together."""
    if isinstance(kind, pa.ExtensionType):
        kind = kind.storage_type
    while pa.types.is_dictionary(kind) or _is_list(kind):
        kind = kind.value_type
    if is_bytes(kind):
        return "bytes"
    if is_accepted(kind):
        return "numbers"
    return "texts" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)


def type_name(kind: pa.DataType) -> str:
    """A type for a message, the same whether it comes from a file or from Spark."""
    return f"list of {type_name(kind.value_type)}" if _is_list(kind) else str(kind)


def _is_list(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return any(test(kind) for test in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal))


def _expected_lengths(kind: pa.DataType, port: Port) -> tuple[int | None, ...]:
    """How long a list must be at each level: the port's shape where the levels match it, else one flat list.

    None for any length: then only the count of numbers in each row decides, which takes the slow way.
    """
    depth = 0
    while _is_list(kind):
        kind, depth = kind.value_type, depth + 1
    if depth == len(port.type.shape):
        return port.type.shape
    return (port.type.size,) if depth == 1 else (None,) * depth


def _leaf_numbers(leaf: pa.Array) -> Numbers:
    if pa.types.is_decimal(leaf.type):
        leaf = leaf.cast(pa.float64())
    numbers = cast(Numbers, leaf.to_numpy(zero_copy_only=False))
    if numbers.dtype == np.float16:  # which cannot even be compared with the bounds of a port
        return numbers.astype(np.float32)
    return numbers.view(np.uint8) if numbers.dtype == np.bool_ else numbers


def _regular(array: pa.Array, port: Port) -> Numbers | None:
    """The quick way for a column without nulls whose lists all have the right length; None for any other."""
    rows, leaf = len(array), array
    for length in _expected_lengths(array.type, port):
        if leaf.null_count or length is None:
            return None
        if not pc.all(pc.equal(pc.list_value_length(leaf), length), min_count=0).as_py():
            return None
        leaf = leaf.flatten()
    if leaf.null_count or len(leaf) != rows * port.type.size or not _is_number(leaf.type):
        return None
    return _leaf_numbers(leaf).reshape(rows, port.type.size)


def _inspect(array: pa.Array, port: Port) -> Column:
    """The slow, thorough way: follow every leaf back to its row, and say what is wrong with each bad row."""
    rows, leaf = len(array), array
    owner = np.arange(rows)
    null, wrong = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
    for length in _expected_lengths(array.type, port):
        null[owner[_nulls(leaf)]] = True
        lengths = _lengths(leaf)
        if length is not None:
            wrong[owner[lengths != length]] = True
        owner, leaf = np.repeat(owner, lengths), leaf.flatten()
    null[owner[_nulls(leaf)]] = True
    counts = np.bincount(owner, minlength=rows)
    wrong |= counts != port.type.size
    bad = null | wrong
    if not _is_number(leaf.type) and not pa.types.is_null(leaf.type):
        if rows == 0:
            return Column(np.zeros((0, port.type.size)), bad)
        text = f"is {show(array[0])}, a {type_name(array.type)}"
        return Column(None, np.ones(rows, np.bool_), BadCell("R0013", 0, text))
    if not bad.any():
        return _check_values(_leaf_numbers(leaf).reshape(rows, port.type.size), port)
    row = int(np.argmax(bad))
    if null[row]:
        first = BadCell("R0010", row, "holds null" if array[row].is_valid else "is null")
    else:
        noun = "number" if counts[row] == 1 else "numbers"
        text = f"has {counts[row]} {noun}" if counts[row] != port.type.size else "has lists of other lengths"
        first = BadCell("R0012", row, text)
    return _with_values(first, bad, leaf.filter(pa.array(~bad[owner])), port)


def _varies(port: Port) -> bool:
    return port.type.lengths is not None or port.measures is not None


def _read_steps(array: pa.Array, port: Port) -> Column:
    """Sequences of variable length, zeros behind their ends; or their lengths, [rows, 1], for a port that measures."""
    of = port.measures or port
    rows, most, each = len(array), of.type.size, of.type.size // of.type.shape[0]
    owner, leaf, depth = np.arange(rows), array, 0
    null, wrong = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
    while _is_list(leaf.type):
        null[owner[_nulls(leaf)]] = True
        lengths = _lengths(leaf)
        if depth:  # a list in a list is a step
            wrong[owner[lengths != each]] = True
        owner, leaf, depth = np.repeat(owner, lengths), leaf.flatten(), depth + 1
    null[owner[_nulls(leaf)]] = True
    counts = np.bincount(owner, minlength=rows)
    if not _is_number(leaf.type) and not pa.types.is_null(leaf.type):
        return _inspect(array, of)
    wrong |= (counts > most) | (counts % each != 0)
    bad = null | wrong | (counts == 0)
    first = None
    if bad.any():
        row = int(np.argmax(bad))
        code, text = _step_fault(array[row], bool(null[row]), bool(wrong[row]), int(counts[row]), of)
        first = BadCell(code, row, text)
    if port.measures is not None:
        return Column(None if first else (counts // each)[:, None], bad, first)
    kept = ~bad[owner]
    at = (np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts))[kept]
    leaf = leaf.filter(pa.array(kept))
    numbers = _leaf_numbers(leaf.cast(pa.float64()) if pa.types.is_null(leaf.type) else leaf)
    padded = np.zeros((rows, most), numbers.dtype)
    padded[owner[kept], at] = numbers
    values = _check_values(padded, port)
    if first is None or (values.first is not None and values.first.row < first.row):
        first = values.first
    bad |= values.bad
    return Column(None if first else padded, bad, first)


def _step_fault(cell: pa.Scalar, null: bool, wrong: bool, count: int, port: Port) -> tuple[str, str]:
    """Why a cell is no sequence that `port` takes, as code and text."""
    each = port.type.size // port.type.shape[0]
    noun = "token" if port.kind == "token" else "step"
    if null:
        return "R0010", "holds null" if cell.is_valid else "is null"
    if not wrong:
        return "R0018", f"has no {noun}s"
    if count % each == 0 and count > port.type.size:
        return "R0012", f"has {count // each:,} {noun}s"
    return "R0012", f"has {count:,} number{'s' * (count != 1)}, which do not make whole steps"


def _with_values(first: BadCell, bad: NDArray[np.bool_], leaf: pa.Array, port: Port) -> Column:
    """The rows whose structure is bad, and those among the others, whose numbers are in `leaf`, with bad values."""
    kept = np.flatnonzero(~bad)
    if len(kept) == 0:
        return Column(None, bad, first)
    values = _check_values(_leaf_numbers(leaf).reshape(len(kept), port.type.size), port)
    bad[kept[values.bad]] = True
    if values.first is not None and kept[values.first.row] < first.row:
        first = replace(values.first, row=int(kept[values.first.row]))
    return Column(None, bad, first)


def _check_values(numbers: Numbers, port: Port) -> Column:
    """Values that fit the type but not the port: not finite, too large, or no class."""
    rows = len(numbers)
    none = np.zeros(rows, np.bool_)
    if rows == 0:
        return Column(numbers, none)
    low, high = numbers.min(), numbers.max()
    bottom, top = _bounds(port)
    in_range = bool(np.isfinite(low) and np.isfinite(high) and low >= bottom)
    if in_range and high <= top and (port.kind in ("float", "weight") or _whole(numbers)):
        return Column(numbers, none)
    floats = numbers.astype(np.float64)
    masks = {"R0011": ~np.isfinite(floats)}
    if port.classes is not None:
        masks["R0015"] = np.floor(floats) != floats
        masks["R0014"] = (floats < bottom) | (floats > top)
    elif port.kind == "bool":
        masks["R0017"] = (floats != 0) & (floats != 1)
    else:
        masks["R0016"] = np.abs(floats) > _FLOAT32_MAX
        if port.kind == "weight":
            masks["R0029"] = floats < 0
    bad = np.logical_or.reduce(list(masks.values())).any(axis=1)
    row = int(np.argmax(bad))
    code = next(code for code, mask in masks.items() if mask[row].any())
    value = numbers[row][masks[code][row]][0]
    return Column(None, bad, BadCell(code, row, f"{'holds' if port.type.size > 1 else 'is'} {value}"))


def _bounds(port: Port) -> tuple[float, float]:
    """The smallest and the largest number that a port takes."""
    if port.classes is not None:
        return 0, port.classes - 1
    if port.kind == "bool":
        return 0, 1
    return 0 if port.kind == "weight" else -_FLOAT32_MAX, _FLOAT32_MAX


def _whole(numbers: Numbers) -> bool:
    return numbers.dtype.kind in "iu" or bool((np.floor(numbers) == numbers).all())


def _nulls(array: pa.Array) -> NDArray[np.bool_]:
    return cast("NDArray[np.bool_]", np.asarray(array.is_null(), np.bool_))


def _dense(array: pa.Array, port: Port) -> tuple[pa.Array, BadCell | None]:
    """A pyspark.ml vector column (dense or sparse) as a column of lists of float64; null stays null.

    A vector of a size that `port` does not take becomes null, too, before it takes memory; so do others that are none.
    The fault says why of the first of them.
    """
    rows = len(array)
    _, size, indices, values = array.flatten()  # null where the vector is
    present, sparse = ~_nulls(array), ~_nulls(indices)
    counts, places = _lengths(values), _lengths(indices)
    found = np.where(sparse, np.asarray(pc.fill_null(size, -1), np.int64), counts)
    owner, place = np.repeat(np.arange(rows), places), indices.flatten()
    at = np.asarray(pc.fill_null(place, -1), np.int64)
    wrong = _nulls(values) | (found > port.type.size) | (sparse & (places != counts))
    wrong |= (found < 0) if port.type.lengths is not None else (found != port.type.size)
    wrong[owner[(at < 0) | (at >= found[owner])]] = True
    of_value, number = np.repeat(np.arange(rows), counts), values.flatten()
    wrong[of_value[_nulls(number)]] = True
    wrong &= present
    good = present & ~wrong
    lengths = np.where(good, found, 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.zeros(offsets[-1], np.float64)
    # Vectors that are good have as many places as numbers, in the same order; those of a dense one are 0, 1, 2, ...
    kept = good[of_value]
    within = np.arange(len(of_value)) - np.repeat(np.cumsum(counts) - counts, counts)
    within[kept & sparse[of_value]] = at[good[owner]]
    flat[(offsets[of_value] + within)[kept]] = np.asarray(number.filter(pa.array(kept)))
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat), mask=pa.array(~good))
    if not wrong.any():
        return lists, None
    row = int(np.argmax(wrong))
    code, text = _vector_fault(array[row].as_py(), port)
    return lists, BadCell(code, row, text)


def _lengths(lists: pa.Array) -> NDArray[np.int64]:
    """How long each list is, 0 for null."""
    return np.asarray(pc.fill_null(pc.list_value_length(lists), 0), np.int64)


def _vector_fault(vector: dict[str, Any], port: Port) -> tuple[str, str]:
    """Why a vector cannot be used, as the code and the text of a `BadCell`."""
    values, indices = vector["values"], vector["indices"]
    if values is None or None in values or None in (indices or ()):
        return "R0010", "holds null"
    found = len(values) if indices is None else vector["size"]
    if found is None:
        return "R0010", "holds null"
    if found > port.type.size or (found != port.type.size and port.type.lengths is None):
        return "R0012", f"has {found} number{'s' * (found != 1)}"
    if indices is not None and len(indices) != len(values):
        return "R0012", f"has {len(indices)} indices for {len(values)} values"
    outside = next(index for index in indices or () if not 0 <= index < found)
    return "R0012", f"has an index {outside}, outside its {found} numbers"


def show(cell: pa.Scalar) -> str:
    """A cell for a message."""
    text = repr(cell.as_py())
    return text if len(text) <= 40 else text[:37] + "..."
