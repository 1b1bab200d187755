"""How `train { augment = ... }` may change the images of a training step: a frozen model for each way.

The runtime does as these models say, with random numbers that a row draws from its place in the run.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class Augmentation(BaseModel):
    """Base of all augmentations, which take images `[channels, height, width]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str]

    @property
    def label(self) -> str:
        """What may stand in a list once."""
        return self.name

    def misfit(self, shape: tuple[int, ...]) -> tuple[str, str] | None:
        """Why it makes no sense for images of this shape, and what to write instead."""
        return None


class Flip(Augmentation):
    """One image in two is its mirror image."""

    name: ClassVar[str] = "flip"
    axis: Literal["horizontal", "vertical"] = "horizontal"
    """Whether left and right change places, or top and bottom."""

    @property
    def label(self) -> str:
        """What may stand in a list once."""
        return self.name if self.axis == "horizontal" else f"{self.name}({self.axis})"


class Shift(Augmentation):
    """Up to so many whole pixels to each side; what comes in is what lay at the border."""

    name: ClassVar[str] = "shift"
    pixels: int = Field(ge=1, le=8192)

    def misfit(self, shape: tuple[int, ...]) -> tuple[str, str] | None:
        """Why it makes no sense for images of this shape, and what to write instead."""
        side = min(shape[1:])
        if self.pixels < side:
            return None
        most = max(1, side // 8)
        why = f"a shift by {self.pixels:,} pixels leaves nothing of an image of {shape[1]:,} x {shape[2]:,}"
        return why, f"write fewer pixels, such as `shift({most})`" if side > 1 else "leave it out"


class Crop(Augmentation):
    """A window anywhere in the image, its sides at least this share of those, stretched to the size of the image."""

    name: ClassVar[str] = "crop"
    share: float = Field(gt=0, lt=1)


class Rotate(Augmentation):
    """By up to so many degrees to the left or right; what comes in is what lay at the border."""

    name: ClassVar[str] = "rotate"
    degrees: float = Field(gt=0, le=180)


class Noise(Augmentation):
    """Noise on each number, its standard deviation a share of the range of the numbers, which they do not leave."""

    name: ClassVar[str] = "noise"
    deviation: float = Field(gt=0, le=1)


AnyAugmentation = Flip | Shift | Crop | Rotate | Noise
AUGMENTATIONS: dict[str, type[AnyAugmentation]] = {each.name: each for each in (Flip, Shift, Crop, Rotate, Noise)}
