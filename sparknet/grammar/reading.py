"""From a file on disk to a `Source` that is worth parsing."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from contextlib import suppress
from itertools import islice
from pathlib import Path

from sparknet.grammar import limits
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.source import Source
from sparknet.grammar.suggest import closest
from sparknet.grammar.syntax import Span

_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)
"""Characters that no editor shows, that other tools take for line ends, or that turn the reading direction round."""

_MOST_BESIDE = 1000
"""Files of a folder that are looked at for one that may be meant."""

_WORD = re.compile(r'"(?:[^"\\\n]|\\.)*"?|#[^\n]*|\w+|[^\w\s]')


def load(path: str | os.PathLike[str]) -> Source:
    """The text of a `.net` file, named as the path was given.

    Raises:
        SparkNetError: Where there is no such file, it cannot be read, it is too large or it is not UTF-8 text.
    """
    name = os.fspath(path)
    try:
        data = _read(Path(name))
    except (OSError, ValueError) as error:
        raise SparkNetError((_unreadable(name, error),)) from None
    return decode(name, data, Path(name).parent)


def decode(name: str, data: bytes, folder: Path | None = None) -> Source:
    """The text of a file whose bytes are at hand.

    Raises:
        SparkNetError: Where it is too large or not UTF-8 text.
    """
    if len(data) > limits.TEXT_BYTES:
        raise SparkNetError((_too_large(name),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # `start` counts from behind a byte order mark.
        offset = error.start + (len(data) - len(error.object))
        raise SparkNetError((_not_text(name, data, offset),)) from None
    return Source(name, text, folder)


def check(source: Source) -> None:
    """Refuse a text that is too large or holds characters that nobody can see.

    Raises:
        SparkNetError: With one diagnostic.
    """
    text = source.text
    if len(text) > limits.TEXT_BYTES or len(text.encode("utf-8", "replace")) > limits.TEXT_BYTES:
        raise SparkNetError((_too_large(source.name),))
    if match := _CONTROL.search(text):
        raise SparkNetError((_invisible(source, match),))
    # A token is a character at least, so a short text needs no counting.
    if len(text) > limits.TOKENS and sum(1 for _ in _WORD.finditer(text)) > limits.TOKENS:
        raise SparkNetError(
            (
                Diagnostic(
                    "E0121",
                    f"`{source.name}` holds more than {limits.TOKENS:,} words and signs",
                    helps=("say with `repeat` and blocks what is written out many times",),
                ),
            )
        )


def _read(path: Path) -> bytes:
    """At most one byte more than a file may hold, so that the size of a growing file does not matter."""
    # Without O_NONBLOCK, opening a pipe that nobody writes to would never return.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):
            raise ValueError("it is not a regular file")
        return file.read(limits.TEXT_BYTES + 1)


def _unreadable(name: str, error: OSError | ValueError) -> Diagnostic:
    helps: tuple[str, ...] = ()
    path = Path(name)
    if isinstance(error, FileNotFoundError) and not name.endswith(".net") and Path(f"{name}.net").is_file():
        helps = (f"there is a file `{name}.net`",)
    elif isinstance(error, FileNotFoundError) and (near := beside(path)):
        helps = (f"did you mean `{near}`?",)
    elif isinstance(error, IsADirectoryError) and (inside := sorted(path.glob("*.net"))[:3]):
        helps = ("name a file in it: " + ", ".join(f"`{p}`" for p in inside),)
    return Diagnostic("E0125", f"cannot read `{name}`: {why_unreadable(path, error)}", helps=helps)


def beside(path: Path) -> Path | None:
    """The file of the same kind beside a path that leads nowhere that is most probably meant, if any is close."""
    with suppress(OSError, ValueError):  # a name may hold signs that no pattern may
        found = [each.stem for each in islice(path.parent.glob(f"*{path.suffix}"), _MOST_BESIDE)]
        near = closest(path.stem, found)
        return None if near is None else path.with_name(near + path.suffix)
    return None


def why_unreadable(path: Path, error: OSError | ValueError) -> str:
    """Why a file cannot be read, in words that go on behind a colon."""
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, NotADirectoryError) and (file := next((p for p in path.parents if p.is_file()), None)):
        return f"`{file}` is a file, not a folder"
    return ((isinstance(error, OSError) and error.strerror) or str(error)).lower()


def _too_large(name: str) -> Diagnostic:
    return Diagnostic(
        "E0120",
        f"`{name}` is larger than {limits.TEXT_BYTES >> 10:,} KiB",
        helps=("a `.net` file holds the net; data and weights live in files of their own",),
    )


def _not_text(name: str, data: bytes, offset: int) -> Diagnostic:
    line = data.count(b"\n", 0, offset) + 1
    return Diagnostic(
        "E0122",
        f"`{name}` is not UTF-8 text: byte 0x{data[offset]:02x} at offset {offset}, in line {line}",
        helps=("save the file in the encoding UTF-8",),
    )


def _invisible(source: Source, match: re.Match[str]) -> Diagnostic:
    start = match.start()
    character = match[0]
    name = "carriage return" if character == "\r" else unicodedata.name(character, "control character").lower()
    size = len(source.text[:start].encode("utf-8", "replace"))
    return Diagnostic(
        "E0123",
        f"invisible character U+{ord(character):04X} ({name}) at byte offset {size}",
        (Label(source, Span(start=start, end=start + 1)),),
        helps=("remove it",),
    )
