"""Images in whatever a column holds them, as pixels of one size: files, paths, Spark's image source, numbers."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from sparknet.compiler.compiled import Port
from sparknet.compiler.types import TensorType
from sparknet.runtime.encoding.columns import Numbers, is_bytes, read_column
from sparknet.runtime.encoding.images import MOST_PIXELS, Frame, MediaError, decode_image, framed
from sparknet.runtime.sources.readers import MEDIA_BYTES

IMAGE_FIELDS = ["origin", "height", "width", "nChannels", "mode", "data"]
"""The fields of a row of `spark.read.format("image")`."""

_CHANNELS = (1, 3, 4)
_OPENCV = {0: 1, 16: 3, 24: 4}
"""Channels by the type of OpenCV that Spark's image source names: 8 bits each; gray, BGR, BGRA."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PictureReader:
    """How the cells of a column become images of the size and the channels of `frame`."""

    frame: Frame
    shape: tuple[int, ...] | None = None
    """Of images that are numbers in a row: `[height, width]`, with channels behind or before them; see `axes`."""
    maximum: float = 255
    """The number of a white pixel, where images are numbers."""

    def read(self, array: pa.Array) -> tuple[Pixels, list[str | None]]:
        """The pixels of each cell, uint8[rows, channels * height * width], and of each that is no image why not.

        The reason ends the sentence "row 7 of `x` ..."; the pixels of such a row are 0.
        """
        pixels = np.zeros((len(array), self.frame.size), np.uint8)
        reasons: list[str | None] = [None] * len(array)
        cell = self._cells(array)
        for row in range(len(array)):
            try:
                if not array[row].is_valid:
                    raise MediaError("is null")
                pixels[row] = cell(row)
            except MediaError as error:
                reasons[row] = str(error)
        return pixels, reasons

    def _cells(self, array: pa.Array) -> Callable[[int], Pixels]:
        """A function from the number of a row to its pixels, which raises MediaError."""
        kind = array.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return lambda row: decode_image(read_path(array[row].as_py()), self.frame)
        if pa.types.is_struct(kind) and [field.name for field in kind] == IMAGE_FIELDS:
            return self._spark_images(array)
        if self.shape is not None:
            return self._numbers(array, self.shape)
        if is_bytes(kind):
            return lambda row: decode_image(array[row].as_py(), self.frame)
        return self._nested(array)

    def _spark_images(self, array: pa.StructArray) -> Callable[[int], Pixels]:
        """Rows of Spark's image source: pixels row by row, blue before green before red."""
        heights, widths, modes = (
            np.asarray(pc.fill_null(array.field(name), -1)) for name in ("height", "width", "mode")
        )
        data = array.field("data")

        def pixels(row: int) -> Pixels:
            height, width, mode = int(heights[row]), int(widths[row]), int(modes[row])
            if height < 1 or width < 1 or not data[row].is_valid:
                raise MediaError("is an image that Spark could not read")
            if mode not in _OPENCV:
                raise MediaError(f"is an image of OpenCV's type {mode}, not 8 bits in 1, 3 or 4 channels")
            _check_size(height, width)
            stored = np.frombuffer(data[row].as_buffer(), np.uint8)
            if stored.size != height * width * _OPENCV[mode]:
                raise MediaError(f"is an image of {stored.size:,} bytes, not {height} x {width} x {_OPENCV[mode]}")
            image = stored.reshape(height, width, _OPENCV[mode])
            return self._frame(image if mode == 0 else image[:, :, 2::-1])

        return pixels

    def _numbers(self, array: pa.Array, shape: tuple[int, ...]) -> Callable[[int], Pixels]:
        """Images of one `shape`: lists, nested or not, vectors, bytes."""
        port = Port("image", "float", TensorType("float32", shape))
        found = read_column(array, port).numbers

        def pixels(row: int) -> Pixels:
            if found is not None:
                return self._scaled(found[row], shape)
            column = read_column(array.slice(row, 1), port)
            if column.first is not None:
                raise MediaError(f"{column.first.text}, not {prod(shape):,} numbers")
            return self._scaled(cast(Numbers, column.numbers)[0], shape)

        return pixels

    def _nested(self, array: pa.Array) -> Callable[[int], Pixels]:
        """Lists of lists, each image of a size of its own."""
        lists = _Nested.of(array)

        def pixels(row: int) -> Pixels:
            if lists.null[row]:
                raise MediaError("holds null")
            if lists.ragged[row]:
                raise MediaError("has lists of different lengths")
            shape = tuple(map(int, lists.shapes[row]))
            if axes(shape) is None or min(shape) < 1:
                raise MediaError(f"is an image of {' x '.join(map(str, shape))} numbers, without 1, 3 or 4 channels")
            return self._scaled(lists.leaf[lists.starts[row] : lists.starts[row + 1]], shape)

        return pixels

    def _scaled(self, numbers: Numbers, shape: tuple[int, ...]) -> Pixels:
        """Numbers from 0 to `maximum` as the pixels of the frame."""
        order = cast("tuple[int, ...]", axes(shape))
        _check_size(*(shape[axis] for axis in order[:2]))
        low, high = numbers.min(), numbers.max()
        if not (low >= 0 and high <= self.maximum):  # NaN is neither
            value = high if low >= 0 else low
            raise MediaError(f"holds {value:g}; a pixel is a number from 0 to {self.maximum:g}")
        if numbers.dtype != np.uint8 or self.maximum != 255:
            numbers = np.rint(numbers * (255 / self.maximum)).astype(np.uint8)
        image = numbers.reshape(shape).transpose(order)
        return self._frame(image[:, :, None] if len(shape) == 2 else image[:, :, :3])

    def _frame(self, image: Pixels) -> Pixels:
        """An image uint8[height, width, channels] of 1 or 3 channels as that of the frame."""
        if image.shape == (self.frame.height, self.frame.width, self.frame.channels):
            return np.ascontiguousarray(image.transpose(2, 0, 1)).reshape(-1)
        image = image[:, :, 0] if image.shape[2] == 1 else image
        return framed(Image.fromarray(np.ascontiguousarray(image)), self.frame)


def axes(shape: Sequence[int]) -> tuple[int, ...] | None:
    """Where height, width and channels lie in `shape`; None where it is that of no image.

    Of three sizes the channels are the last one if that is 1, 3 or 4, else the first.
    """
    if len(shape) == 2:
        return (0, 1)
    if len(shape) != 3:
        return None
    return (0, 1, 2) if shape[2] in _CHANNELS else (1, 2, 0) if shape[0] in _CHANNELS else None


def read_path(path: str) -> bytes:
    """The file that a path of this machine, or a `file:` address as Spark gives it, names; raises MediaError.

    Only regular files of bounded size are read, so that what stands in a row cannot hold up a worker.
    """
    scheme = re.match(r"([A-Za-z][\w+.-]+):(//[^/]*)?(?=/)", path)  # a single letter is a drive
    if scheme is not None and scheme[1] != "file":
        raise MediaError(f"is a path of `{scheme[1]}`; `spark.read.format('binaryFile')` reads such files")
    place = path if scheme is None else path[scheme.end() :]
    if scheme is not None and not os.path.exists(place):
        place = unquote(place)
    try:
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise MediaError("is no regular file")
            if found.st_size > MEDIA_BYTES:
                raise MediaError(f"is a file of {found.st_size:,} bytes, more than the {MEDIA_BYTES:,} that are read")
            return file.read(MEDIA_BYTES)
    except OSError as error:
        raise MediaError(f"cannot be read where the worker runs: {error.strerror}") from error
    except ValueError as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"is no path: {error}") from error


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise MediaError(f"has {width:,} x {height:,} pixels, more than the {MOST_PIXELS:,} that are read")


@dataclass(frozen=True)
class _Nested:
    """A column of nested lists, taken apart: the numbers of row i are `leaf[starts[i] : starts[i + 1]]`."""

    leaf: Numbers
    starts: NDArray[np.int64]
    shapes: NDArray[np.int64]
    """[rows, levels]."""
    null: NDArray[np.bool_]
    ragged: NDArray[np.bool_]

    @classmethod
    def of(cls, array: pa.Array) -> _Nested:
        rows, leaf = len(array), array
        owner = np.arange(rows)
        null, ragged = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
        shapes: list[NDArray[Any]] = []
        while pa.types.is_list(leaf.type) or pa.types.is_large_list(leaf.type):
            null[owner[np.asarray(leaf.is_null())]] = True
            lengths = np.asarray(pc.fill_null(pc.list_value_length(leaf), 0), np.int64)
            first = np.zeros(rows, np.int64)
            first[owner[::-1]] = lengths[::-1]  # the last to be written is the first of its row
            ragged[owner[lengths != first[owner]]] = True
            shapes.append(first)
            owner, leaf = np.repeat(owner, lengths), leaf.flatten()
        null[owner[np.asarray(leaf.is_null())]] = True
        starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=rows))])
        if pa.types.is_decimal(leaf.type) or pa.types.is_null(leaf.type):
            leaf = leaf.cast(pa.float64())
        elif pa.types.is_boolean(leaf.type):
            leaf = leaf.cast(pa.uint8())
        numbers = pc.fill_null(leaf, 0).to_numpy(zero_copy_only=False)
        return cls(numbers, starts, np.stack(shapes, 1), null, ragged)
