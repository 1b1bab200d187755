"""Images in whatever a column holds them: each is taken apart to the same pixels, a broken one spoils its row alone."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from sparknet.runtime.encoding import pictures
from sparknet.runtime.encoding.images import Frame, MediaError
from sparknet.runtime.encoding.pictures import IMAGE_FIELDS, PictureReader, read_path

RGB = np.random.Generator(np.random.Philox(1)).integers(0, 256, (6, 5, 3), np.uint8)
"""[height, width, channels]."""
FIRST = RGB.transpose(2, 0, 1)
"""Channels first, as nets take them."""
ALPHA = np.concatenate([RGB, np.full((6, 5, 1), 9, np.uint8)], axis=2)
WHOLE = Frame(3, 6, 5)


def read_one(cell: Any, frame: Frame = WHOLE, kind: pa.DataType | None = None, **how: Any) -> NDArray[np.uint8]:
    """The pixels of the second of two cells; the first is null."""
    pixels, reasons = PictureReader(frame, **how).read(pa.array([None, cell], kind)[1:])
    assert reasons == [None]
    return pixels[0].reshape(frame.channels, frame.height, frame.width)


def why(cell: Any, kind: pa.DataType | None = None, **how: Any) -> str:
    """Why a cell is no image; the cell beside it is one or not, whatever it is."""
    pixels, (reason, other) = PictureReader(WHOLE, **how).read(pa.array([cell, None], kind))
    assert reason is not None
    assert other == "is null"
    assert not pixels.any()
    return reason


def file_of(pixels: NDArray[Any], kind: str = "PNG") -> bytes:
    opened = BytesIO()
    Image.fromarray(pixels).save(opened, kind)
    return opened.getvalue()


def spark_image(pixels: NDArray[np.uint8], mode: int, **other: Any) -> dict[str, Any]:
    """A row of Spark's image source."""
    height, width = pixels.shape[:2]
    channels = pixels.size // (height * width)
    fields = ("file:/a.png", height, width, channels, mode, pixels.tobytes())
    return {**dict(zip(IMAGE_FIELDS, fields, strict=True)), **other}


IMAGE = pa.struct(zip(IMAGE_FIELDS, [pa.string(), *[pa.int32()] * 4, pa.binary()], strict=True))

VECTOR = pa.struct(
    [
        ("type", pa.int8()),
        ("size", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)


def test_every_kind_of_cell(tmp_path: Path) -> None:
    path = tmp_path / "an image?.png"
    path.write_bytes(file_of(RGB))
    cells: list[tuple[Any, dict[str, Any]]] = [
        (file_of(RGB), {}),
        (file_of(RGB, "BMP"), {"kind": pa.large_binary()}),
        (str(path), {}),
        (f"file:{path}", {"kind": pa.large_string()}),
        ("file://" + str(path).replace(" ", "%20").replace("?", "%3F"), {}),
        (spark_image(RGB[:, :, ::-1], 16), {"kind": IMAGE}),
        (spark_image(ALPHA[:, :, [2, 1, 0, 3]], 24), {"kind": IMAGE}),
        (RGB.tolist(), {}),
        (FIRST.tolist(), {}),
        (ALPHA.tolist(), {}),
        (RGB.tolist(), {"kind": pa.large_list(pa.list_(pa.list_(pa.uint8())))}),
        ((RGB / 255).tolist(), {"maximum": 1}),
        ((RGB.astype(int) * 257).tolist(), {"maximum": 65535}),
        (RGB.reshape(-1).tolist(), {"shape": (6, 5, 3)}),
        (FIRST.reshape(-1).tolist(), {"shape": (3, 6, 5)}),
        (FIRST.tobytes(), {"shape": (3, 6, 5)}),
        (ALPHA.tobytes(), {"shape": (6, 5, 4)}),
        (
            {"type": 1, "size": None, "indices": None, "values": RGB.reshape(-1).tolist()},
            {"shape": (6, 5, 3), "kind": VECTOR},
        ),
    ]
    for cell, how in cells:
        assert np.array_equal(read_one(cell, **how), FIRST), how


def test_gray() -> None:
    gray = RGB[:, :, 0]
    frame = Frame(1, 6, 5)
    for cell, how in (
        (file_of(gray), {}),
        (file_of(gray.astype(np.uint16) * 257), {}),
        (spark_image(gray, 0), {"kind": IMAGE}),
        (gray.tolist(), {}),
        (gray[:, :, None].tolist(), {}),
        (gray.tobytes(), {"shape": (6, 5)}),
        ((gray > 127).tolist(), {"maximum": 1}),
    ):
        want = (gray > 127) * 255 if "maximum" in how else gray
        assert np.array_equal(read_one(cell, frame, **how)[0], want)
    assert np.array_equal(read_one(gray.tolist()), np.stack([gray] * 3))
    luma = np.asarray(Image.fromarray(RGB).convert("L"))
    assert np.array_equal(read_one(RGB.tolist(), frame)[0], luma)
    assert np.array_equal(read_one(file_of(ALPHA), frame)[0], luma)


def test_other_sizes_and_aspects() -> None:
    tall = np.zeros((8, 4), np.uint8)
    tall[2:6] = 200
    assert read_one(tall.tolist(), Frame(1, 4, 4, "crop")).tolist() == [[[200] * 4] * 4]
    padded = read_one(tall.tolist(), Frame(1, 4, 4, "pad", "nearest"))[0]
    assert padded.tolist() == [[0] * 4, [0, 200, 200, 0], [0, 200, 200, 0], [0] * 4]
    assert read_one(tall.tolist(), Frame(1, 4, 2, "stretch", "box"))[0].tolist() == [[0] * 2, *[[200] * 2] * 2, [0] * 2]
    line = np.full((1, 900), 7, np.uint8)
    for mode in ("stretch", "crop", "pad"):
        assert read_one(file_of(line), Frame(1, 3, 3, mode))[0, 1].tolist() == [7, 7, 7]
    sizes = {name: read_one(RGB.tolist(), Frame(3, 5, 9, "stretch", name)).tobytes() for name in ("bicubic", "lanczos")}
    assert len({*sizes.values()}) == 2


@pytest.mark.parametrize(
    ("cell", "how", "reason"),
    [
        (b"no image", {}, "is no image of a known format (JPEG, PNG, GIF, BMP, WEBP, TIFF)"),
        (b"", {}, "is no image of a known format (JPEG, PNG, GIF, BMP, WEBP, TIFF)"),
        (spark_image(RGB, -1, height=-1), {"kind": IMAGE}, "is an image that Spark could not read"),
        (spark_image(RGB, 21), {"kind": IMAGE}, "is an image of OpenCV's type 21, not 8 bits in 1, 3 or 4 channels"),
        (spark_image(RGB, 16, width=4), {"kind": IMAGE}, "is an image of 90 bytes, not 6 x 4 x 3"),
        (
            spark_image(RGB, 16, height=2**31 - 1, width=2**31 - 1),
            {"kind": IMAGE},
            "has 2,147,483,647 x 2,147,483,647 pixels, more than the 50,000,000 that are read",
        ),
        ([[1, 2], [3]], {}, "has lists of different lengths"),
        ([[1, 2], None], {}, "holds null"),
        ([[1, 2], [3, None]], {}, "holds null"),
        ([[[1, 2]], [[3, 4]]], {}, "is an image of 2 x 1 x 2 numbers, without 1, 3 or 4 channels"),
        ([[]], {"kind": pa.list_(pa.list_(pa.int32()))}, "is an image of 1 x 0 numbers, without 1, 3 or 4 channels"),
        ([[1, 256]], {}, "holds 256; a pixel is a number from 0 to 255"),
        ([[1, -3]], {}, "holds -3; a pixel is a number from 0 to 255"),
        ([[0.5, float("nan")]], {"maximum": 1}, "holds nan; a pixel is a number from 0 to 1"),
        ([1, 2, 3], {"shape": (2, 2)}, "has 3 numbers, not 4 numbers"),
        (b"123", {"shape": (2, 2)}, "has 3 bytes, not 4 numbers"),
        ([1, 2, 3, 400], {"shape": (2, 2)}, "holds 400; a pixel is a number from 0 to 255"),
        ([1, 2, 3, float("inf")], {"shape": (2, 2)}, "holds inf, not 4 numbers"),
        ("s3a://bucket/a.png", {}, "is a path of `s3a`; `spark.read.format('binaryFile')` reads such files"),
        ("nowhere.png", {}, "cannot be read where the worker runs: No such file or directory"),
        ("a\0b", {}, "is no path: embedded null byte"),
    ],
)
def test_what_is_no_image(cell: Any, how: dict[str, Any], reason: str) -> None:
    assert why(cell, **how) == reason


def test_paths_are_those_of_regular_files_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="is no regular file"):
        read_path(str(tmp_path / "pipe"))
    with pytest.raises(MediaError, match="Is a directory"):
        read_path(str(tmp_path))
    (tmp_path / "a.png").write_bytes(bytes(11))
    monkeypatch.setattr(pictures, "MEDIA_BYTES", 10)
    with pytest.raises(MediaError, match="is a file of 11 bytes, more than the 10 that are read"):
        read_path(str(tmp_path / "a.png"))


def test_no_cells() -> None:
    for kind in (pa.binary(), pa.string(), IMAGE, pa.list_(pa.list_(pa.int64()))):
        pixels, reasons = PictureReader(WHOLE).read(pa.array([], kind))
        assert (pixels.shape, reasons) == ((0, 90), [])
