"""Images: the bytes of a file as the pixels of an input, by Pillow."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sparknet.compiler.encoders import Pixels

MOST_PIXELS = 50_000_000
"""Pixels of an image as it is stored; a file that claims more is taken for an attack."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")


class MediaError(ValueError):
    """A cell that is no image or no recording; the text ends the sentence "row 7 of `x` ..."."""


def read_image(data: bytes, encoder: Pixels) -> NDArray[np.uint8]:
    """The pixels of an image, 0 to 255, uint8[channels * height * width].

    The image is turned as its camera says, stretched to the size, and averaged over where that is smaller. Of an
    animation the first picture counts; transparency is left out. Raises MediaError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # among them Pillow's own about too many pixels
            with Image.open(BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise MediaError(f"has {width:,} x {height:,} pixels, more than the {MOST_PIXELS:,} that are read")
                return _pixels(ImageOps.exif_transpose(image), encoder)
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError(f"is no image of a known format ({', '.join(_FORMATS)})") from error
    except Exception as error:  # what a broken file can raise is as open as the formats are many
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MediaError(f"is an image that cannot be read: {first[:100]}") from error


def _pixels(image: Image.Image, encoder: Pixels) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise MediaError("is an image of more than 16 bits a pixel")
    image = image.convert("L" if encoder.channels == 1 else "RGB")
    image = image.resize((encoder.width, encoder.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.uint8).reshape(encoder.height, encoder.width, encoder.channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(-1)
