"""What images are read from, and what becomes of them."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal, Self, cast, get_args

from pyspark.ml.param import Param, Params, TypeConverters

from sparknet.compiler.encoders import LONGEST_SIDE
from sparknet.ml.params.converters import one_of, positive
from sparknet.runtime.encoding.images import ResizeFilter, ResizeMode
from sparknet.runtime.encoding.pictures import axes

Invalid = Literal["error", "skip", "keep"]
"""What becomes of a row without an image: the query fails, the row is left out, its pixels are null."""


def sides(value: Any) -> int | list[int]:
    """A side of a square, or height and width; raises TypeError, which pyspark shows with the name of the param."""
    found = list(value) if isinstance(value, list | tuple) else [value]
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) for side in found)
    if not whole or len(found) > 2 or not all(1 <= side <= LONGEST_SIDE for side in found):
        raise TypeError(f"It must be a side, or [height, width], from 1 to {LONGEST_SIDE:,}, found {value!r}.")
    return [int(side) for side in found] if isinstance(value, list | tuple) and len(found) == 2 else int(found[0])


def image_shape(value: Any) -> list[int]:
    """Height and width, or with channels before or behind them; raises TypeError as `sides`."""
    found = list(value) if isinstance(value, list | tuple) else []
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) for side in found)
    if not whole or not all(int(side) > 0 for side in found) or axes(found) is None:
        raise TypeError(
            "It must be [height, width], [height, width, channels] or [channels, height, width] "
            f"with 1, 3 or 4 channels, found {value!r}."
        )
    return [int(side) for side in found]


class ImageParams(Params):
    """What images are read from, and what becomes of them."""

    rgb: Param[bool] = Param(
        Params._dummy(),
        "rgb",
        "true for red, green and blue, false for gray",
        typeConverter=TypeConverters.toBoolean,
    )
    size: Param[int | list[int]] = Param(
        Params._dummy(),
        "size",
        "side of the images in pixels, or [height, width]",
        typeConverter=cast(Any, sides),
    )
    resizeMode: Param[str] = Param(
        Params._dummy(),
        "resizeMode",
        "what becomes of an image of another aspect: stretch takes all of it, crop its middle, pad all of it between "
        "black bars",
        typeConverter=one_of(*get_args(ResizeMode)),
    )
    resizeFilter: Param[str] = Param(
        Params._dummy(),
        "resizeFilter",
        f"how pixels are averaged, one of Pillow's filters: {', '.join(get_args(ResizeFilter))}",
        typeConverter=one_of(*get_args(ResizeFilter)),
    )
    handleInvalid: Param[str] = Param(
        Params._dummy(),
        "handleInvalid",
        "what becomes of a row without a readable image: error fails the query and names the row, skip leaves the row "
        "out, keep gives null",
        typeConverter=one_of(*get_args(Invalid)),
    )
    errorCol: Param[str] = Param(
        Params._dummy(),
        "errorCol",
        "a new column that says why a row has no image, null where it has one; no such column unless given",
        typeConverter=TypeConverters.toString,
    )
    inputShape: Param[list[int]] = Param(
        Params._dummy(),
        "inputShape",
        "of images that are numbers or raw bytes in a row: [height, width], [height, width, channels] or [channels, "
        "height, width]; found from nested arrays unless given",
        typeConverter=cast(Any, image_shape),
    )
    maxValue: Param[float] = Param(
        Params._dummy(),
        "maxValue",
        "of images that are numbers: the number of a white pixel",
        typeConverter=positive,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            rgb=True,
            size=224,
            resizeMode="stretch",
            resizeFilter="bilinear",
            handleInvalid="error",
            errorCol=None,
            inputShape=None,
            maxValue=255.0,
        )

    def getRgb(self) -> bool:
        """Whether images have red, green and blue; else they are gray."""
        return self.getOrDefault(self.rgb)

    def setRgb(self, value: bool) -> Self:
        """Set whether images have red, green and blue; else they are gray."""
        return self._set(rgb=value)

    def getSize(self) -> int | list[int]:
        """The side of the images in pixels, or height and width."""
        return self.getOrDefault(self.size)

    def setSize(self, value: int | list[int]) -> Self:
        """Set the side of the images in pixels, or height and width."""
        return self._set(size=value)

    def getResizeMode(self) -> str:
        """What becomes of an image of another aspect: stretch, crop or pad."""
        return self.getOrDefault(self.resizeMode)

    def setResizeMode(self, value: ResizeMode) -> Self:
        """Set what becomes of an image of another aspect: stretch, crop or pad."""
        return self._set(resizeMode=value)

    def getResizeFilter(self) -> str:
        """How pixels are averaged: the name of a filter of Pillow."""
        return self.getOrDefault(self.resizeFilter)

    def setResizeFilter(self, value: ResizeFilter) -> Self:
        """Set how pixels are averaged: the name of a filter of Pillow."""
        return self._set(resizeFilter=value)

    def getHandleInvalid(self) -> str:
        """What becomes of a row without a readable image: error, skip or keep."""
        return self.getOrDefault(self.handleInvalid)

    def setHandleInvalid(self, value: Invalid) -> Self:
        """Set what becomes of a row without a readable image: error, skip or keep."""
        return self._set(handleInvalid=value)

    def getErrorCol(self) -> str | None:
        """The new column that says why a row has no image; None for no such column."""
        return self.getOrDefault(self.errorCol)

    def setErrorCol(self, value: str) -> Self:
        """Set the new column that says why a row has no image."""
        return self._set(errorCol=value)

    def getInputShape(self) -> list[int] | None:
        """The shape of images that are numbers; None where nested arrays tell."""
        return self.getOrDefault(self.inputShape)

    def setInputShape(self, value: list[int]) -> Self:
        """Set the shape of images that are numbers: height and width, or with channels before or behind them."""
        return self._set(inputShape=value)

    def getMaxValue(self) -> float:
        """The number of a white pixel, where images are numbers."""
        return self.getOrDefault(self.maxValue)

    def setMaxValue(self, value: float) -> Self:
        """Set the number of a white pixel: 1 where pixels are from 0 to 1."""
        return self._set(maxValue=value)
