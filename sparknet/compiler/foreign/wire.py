"""How much of an ONNX file is structure: all but the numbers of its tensors.

A message that costs two bytes in a file costs a hundred in memory once it is parsed, so a small file can take all of
it. Numbers grow eightfold at most. So the structure is measured first, by walking over the fields of the protocol
buffer (https://protobuf.dev/programming-guides/encoding) down to the tensors.
"""

from __future__ import annotations

from collections.abc import Iterator

_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR = range(5)
_INSIDE = {
    (_MODEL, 7): _GRAPH,
    (_GRAPH, 1): _NODE,
    (_GRAPH, 5): _TENSOR,
    (_NODE, 5): _ATTRIBUTE,
    (_ATTRIBUTE, 5): _TENSOR,
    (_ATTRIBUTE, 6): _GRAPH,
}
"""Which messages lie in which fields, by the numbers in `onnx.proto`."""
_NUMBERS = frozenset({4, 5, 7, 9, 10, 11})
"""The fields of a tensor that hold its numbers, packed."""
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no protocol buffer, or one of more fields than are walked over."""


def structure(data: bytes, most_fields: int) -> int:
    """Bytes of `data`, an ONNX model, that are not numbers of tensors.

    Raises WireError, also where it has more than `most_fields` fields, which bounds the time that walking takes.
    """
    numbers = fields = 0
    pending = [(_MODEL, 0, len(data))]
    while pending:
        kind, start, end = pending.pop()
        for number, begin, stop in _fields(data, start, end):
            fields += 1
            if fields > most_fields:
                raise WireError(f"it has more than {most_fields:,} fields")
            if kind == _TENSOR and number in _NUMBERS:
                numbers += stop - begin
            elif (kind, number) in _INSIDE:
                pending.append((_INSIDE[kind, number], begin, stop))
    return len(data) - numbers


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The number of each field of a message, and where what it holds begins and ends."""
    while at < end:
        tag, at = _varint(data, at, end)
        wire = tag & 7
        if wire == _VARINT:
            begin, (_, at) = at, _varint(data, at, end)
        elif wire in (_EIGHT, _FOUR):
            begin, at = at, at + (8 if wire == _EIGHT else 4)
        elif wire == _BYTES:
            length, begin = _varint(data, at, end)
            at = begin + length
        else:
            raise WireError("it is not an ONNX model")
        if at > end:
            raise WireError("it ends too soon")
        yield tag >> 3, begin, at


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise WireError("it is not an ONNX model")
