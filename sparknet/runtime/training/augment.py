"""Images changed at random before a training step takes them, as `sparknet.compiler.augmentations` says.

What becomes of an image is a function of (seed, worker, step, row): the same after any failure, on any cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.augmentations import AnyAugmentation, Crop, Flip, Noise, Rotate, Shift
from sparknet.runtime.encoding.columns import Numbers
from sparknet.runtime.encoding.encode import Layout
from sparknet.runtime.encoding.profile import Range
from sparknet.runtime.training.draws import draw, normal, uniform

Indices = NDArray[np.int64]

_SALT = -6
"""Sets these draws apart from those of dropout and of the order of rows."""


@dataclass(frozen=True)
class Augmented:
    """What may change the images of one field of the layout, whose numbers go from `low` to `high`."""

    field: int
    augmentations: tuple[AnyAugmentation, ...]
    low: float
    high: float


def augmented_fields(
    augment: Mapping[str, tuple[AnyAugmentation, ...]], layout: Layout, ranges: Sequence[Range]
) -> tuple[Augmented, ...]:
    """What the `train` section says of each input, with the range that its column was found to have."""
    return tuple(
        Augmented(index, augment[field.port.name], ranges[index].low, ranges[index].high)
        for index, field in enumerate(layout.fields)
        if field.port.name in augment
    )


def augment(
    fields: Sequence[Numbers], augmented: Sequence[Augmented], seed: int, worker: int, step: int
) -> list[Numbers]:
    """The fields of a batch, its images `[rows, channels, height, width]` changed; what is given stays as it is."""
    found = list(fields)
    for each in augmented:
        for number, augmentation in enumerate(each.augmentations):
            salt = (seed, worker, step, _SALT, each.field, number)
            found[each.field] = _changed(found[each.field], augmentation, each, salt)
    return found


def _changed(images: Numbers, augmentation: AnyAugmentation, each: Augmented, salt: tuple[int, ...]) -> Numbers:
    rows = len(images)
    match augmentation:
        case Flip():
            return _flipped(images, draw(rows, *salt) >> np.uint64(63) == 1, augmentation.axis == "vertical")
        case Shift():
            return _shifted(images, augmentation.pixels, draw(2 * rows, *salt).reshape(rows, 2))
        case Crop():
            return _cropped(images, augmentation.share, uniform(draw(3 * rows, *salt).reshape(rows, 3)))
        case Rotate():
            return _rotated(images, np.radians(augmentation.degrees) * (2 * uniform(draw(rows, *salt)) - 1))
        case Noise():
            noise = normal(images.size, *salt).reshape(images.shape)
            noise *= np.float32(augmentation.deviation * (each.high - each.low))
            noise += images
            return np.clip(noise, np.float32(each.low), np.float32(each.high), out=noise)


def _flipped(images: Numbers, chosen: NDArray[np.bool_], upside_down: bool) -> Numbers:
    turned = images.copy()
    turned[chosen] = images[chosen, :, ::-1] if upside_down else images[chosen, :, :, ::-1]
    return turned


def _shifted(images: Numbers, pixels: int, drawn: NDArray[np.uint64]) -> Numbers:
    rows, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    down, right = (drawn % np.uint64(2 * pixels + 1)).astype(np.int64).T
    return windows[np.arange(rows), :, down, right]


def _cropped(images: Numbers, share: float, drawn: NDArray[np.float64]) -> Numbers:
    """Windows of one share of both sides, stretched: first along the height, then along the width, float32."""
    rows, _, height, width = images.shape
    size = share + (1 - share) * drawn[:, 0]
    top, down = _between(_window(size, drawn[:, 1], height), height)
    left, right = _between(_window(size, drawn[:, 2], width), width)
    each = np.arange(rows)[:, None]
    found = _mixed(images[each, :, top], images[each, :, _next(top, height)], down[:, :, None, None])
    beside = _next(left, width)
    for row in range(rows):  # an image at a time, as all its lines have the same places
        line = found[row]
        found[row] = _mixed(line.take(left[row], axis=2), line.take(beside[row], axis=2), right[row])
    return np.ascontiguousarray(found.transpose(0, 2, 1, 3))


def _window(size: NDArray[np.float64], place: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Where the pixels of a side come from, `[rows, side]`."""
    return (place * (1 - size) * side)[:, None] + (np.arange(side) + 0.5) * size[:, None] - 0.5


def _rotated(images: Numbers, angles: NDArray[np.float64]) -> Numbers:
    """Each around its middle, float32."""
    rows, channels, height, width = images.shape
    down = (np.arange(height) - (height - 1) / 2)[:, None]
    right = (np.arange(width) - (width - 1) / 2)[None, :]
    cosine, sine = (each[:, None, None] for each in cosine_and_sine(angles))
    top, low = _between(cosine * down - sine * right + (height - 1) / 2, height)
    left, far = _between(sine * down + cosine * right + (width - 1) / 2, width)
    below, beside = _next(top, height), _next(left, width)
    low, far = low[:, None], far[:, None]
    planes = (np.arange(rows * channels) * (height * width)).reshape(rows, channels, 1, 1)
    flat = images.reshape(-1)

    def line(lines: Indices) -> NDArray[np.float32]:
        begin = planes + (lines * width)[:, None]
        return _mixed(flat.take(begin + left[:, None]), flat.take(begin + beside[:, None]), far)

    return _mixed(line(top), line(below), low)


def cosine_and_sine(angles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of angles from -π to π, to 1e-15, by sums and products alone: these every CPU rounds alike.

    The last bits of numpy's own differ with the instructions that a CPU has. Taylor's series of a quarter of the angle,
    whose terms beyond the tenth are below 2^-60, then twice the double angle.
    """
    quarter = angles / 4
    square = quarter * quarter
    cosine, sine = np.ones_like(angles), np.ones_like(angles)
    for n in range(10, 0, -1):
        cosine = 1 - square / (2 * n * (2 * n - 1)) * cosine
        sine = 1 - square / (2 * n * (2 * n + 1)) * sine
    sine *= quarter
    for _ in range(2):
        cosine, sine = cosine * cosine - sine * sine, 2 * sine * cosine
    return cosine, sine


def _between(places: NDArray[np.float64], side: int) -> tuple[Indices, NDArray[np.float32]]:
    """The pixel before each place, the border where it lies outside, and the weight of the one behind it."""
    inside = np.clip(places, 0, side - 1)
    before = inside.astype(np.int64)
    return before, (inside - before).astype(np.float32)


def _next(pixels: Indices, side: int) -> Indices:
    return np.minimum(pixels + 1, side - 1)


def _mixed(one: Numbers, other: Numbers, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    found = other.astype(np.float32)
    found -= one
    found *= weight
    found += one
    return found
