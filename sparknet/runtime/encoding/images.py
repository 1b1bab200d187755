"""Images: the bytes of a file as the pixels of an input, by Pillow."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sparknet.compiler.encoders import Pixels

MOST_PIXELS = 50_000_000
"""Pixels of an image as it is stored; a file that claims more is taken for an attack."""

ResizeMode = Literal["stretch", "crop", "pad"]
"""What becomes of an image of another aspect: all of it stretched; its middle; all of it between black bars."""

ResizeFilter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
"""Pillow's filters; all but `nearest` average over the pixels that become one."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
_FILTERS = {name: Image.Resampling[name.upper()] for name in get_args(ResizeFilter)}
_SPARE = 2
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where so many pixels a side of the result's are left."""


class MediaError(ValueError):
    """A cell that is no image or no recording; the text ends the sentence "row 7 of `x` ..."."""


@dataclass(frozen=True)
class Frame:
    """What an image becomes: 1 channel (gray) or 3 (red, green, blue) of `height` rows of `width` pixels."""

    channels: int
    height: int
    width: int
    mode: ResizeMode = "stretch"
    filter: ResizeFilter = "bilinear"

    @property
    def size(self) -> int:
        """Bytes of the result."""
        return self.channels * self.height * self.width


def read_image(data: bytes, encoder: Pixels) -> NDArray[np.uint8]:
    """The pixels of an image, 0 to 255, uint8[channels * height * width].

    The image is turned as its camera says, stretched to the size, and averaged over where that is smaller. Of an
    animation the first picture counts; transparency is left out. Raises MediaError.
    """
    return decode_image(data, Frame(encoder.channels, encoder.height, encoder.width))


def decode_image(data: bytes, frame: Frame) -> NDArray[np.uint8]:
    """As `read_image`, for any `frame`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that is broken and the like, which the pixels survive
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise MediaError(f"has {width:,} x {height:,} pixels, more than the {MOST_PIXELS:,} that are read")
                enough = _SPARE * max(frame.width, frame.height)
                image.draft(None, (enough, enough))  # does something for JPEG alone
                return framed(ImageOps.exif_transpose(image), frame)
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError(f"is no image of a known format ({', '.join(_FORMATS)})") from error
    except Exception as error:  # what a broken file can raise is as open as the formats are many
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MediaError(f"is an image that cannot be read: {first[:100]}") from error


def framed(image: Image.Image, frame: Frame) -> NDArray[np.uint8]:
    """An image that was opened, as uint8[channels * height * width]. Raises MediaError."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise MediaError("is an image of more than 16 bits a pixel")
    image = image.convert("L" if frame.channels == 1 else "RGB")
    if image.size != (frame.width, frame.height):
        image = _resized(image, frame)
    pixels = np.asarray(image, np.uint8).reshape(frame.height, frame.width, frame.channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(-1)


def _resized(image: Image.Image, frame: Frame) -> Image.Image:
    size, by = (frame.width, frame.height), _FILTERS[frame.filter]
    if frame.mode == "stretch":
        return image.resize(size, by)
    if frame.mode == "crop":
        return ImageOps.fit(image, size, by)
    scale = min(frame.width / image.width, frame.height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    padded = Image.new(image.mode, size)
    padded.paste(image.resize(inner, by), ((frame.width - inner[0]) // 2, (frame.height - inner[1]) // 2))
    return padded
