"""Text files in pieces of whole lines: bounded memory, and every line has its number."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

PIECE_BYTES = 8 << 20
LINE_BYTES = 64 << 20
"""The longest line that is read."""

_FOREIGN = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


class FormatError(ValueError):
    """A file that is not what it claims to be; the text says where and why."""


@dataclass(frozen=True)
class Piece:
    """Some lines, each with its end; `first` is the number of the first, counted from 1."""

    data: bytes
    first: int

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line without its end, and its number."""
        return enumerate(self.data.removesuffix(b"\n").split(b"\n"), self.first)

    def text(self) -> str:
        """The piece as text; raises FormatError with the number of the first line that is none."""
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            line = self.first + self.data.count(b"\n", 0, error.start)
            raise FormatError(f"line {line:,} is not UTF-8 text") from error


def pieces(file: Path) -> Iterator[Piece]:
    """The lines of a file, which may be compressed; raises FormatError, OSError or ArrowException."""
    check_encoding(file)
    rest, number, start = b"", 1, True
    with pa.input_stream(str(file), compression="detect") as stream:
        while True:
            read = stream.read(PIECE_BYTES)
            if start:
                read, start = read.removeprefix(codecs.BOM_UTF8), False
            head, end, tail = read.rpartition(b"\n")
            if len(rest) + len(head or tail) > LINE_BYTES:
                raise FormatError(f"line {number:,} is longer than {LINE_BYTES >> 20} MiB")
            if not read:
                break
            if end:
                piece = rest + head + end
                yield Piece(piece, number)
                number, rest = number + piece.count(b"\n"), tail
            else:
                rest += read
    if rest:
        yield Piece(rest, number)


def check_encoding(file: Path) -> None:
    """Raise FormatError for text in an encoding other than UTF-8, as far as its first bytes tell."""
    with file.open("rb") as opened:
        begin = opened.read(4)
    for mark, name in _FOREIGN.items():
        if begin.startswith(mark):
            raise FormatError(f"it is {name} text; save it as UTF-8")
