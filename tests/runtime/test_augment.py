"""Augmented images: what each way does to them, and that nothing but the place of a row in the run decides it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler.augmentations import AnyAugmentation, Crop, Flip, Noise, Rotate, Shift
from sparknet.compiler.compiled import CompiledNet
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from sparknet.runtime.training.augment import Augmented, augment, cosine_and_sine
from tests.runtime.test_reproducible import vectors

NET = """
net Digits {{
  input image: float[1, 8, 8]
  flatten -> dense(16, relu) -> dense(10)
  output digit: class[10]
}}
data {{
  source = digits()
  image  = column("pixels") / 16
  digit  = column("label")
}}
train {{
  steps   = 12
  workers = 2
  sync    = {sync}
  {augment}
}}
"""


def net_of(folder: Path, augment: str = "", sync: str = "average(every: 6)") -> CompiledNet:
    path = folder / "digits.net"
    path.write_text(NET.format(augment=augment, sync=sync), "utf-8")
    return sparknet.compile(path)


def changed(images: NDArray[np.generic], *ways: AnyAugmentation, step: int = 0, worker: int = 0) -> NDArray[np.generic]:
    before = images.copy()
    (found,) = augment([images], [Augmented(0, ways, 0, 255)], seed=5, worker=worker, step=step)
    assert np.array_equal(images, before), "rows that another epoch takes again"
    assert found.shape == images.shape
    return found


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.Generator(np.random.Philox(1)).integers(0, 256, (400, 3, 6, 9), np.uint8)


@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_flip(images: NDArray[np.uint8], axis: str) -> None:
    found = changed(images, Flip(axis=axis))
    mirrored = images[:, :, ::-1] if axis == "vertical" else images[:, :, :, ::-1]
    turned = (found == mirrored).all(axis=(1, 2, 3))
    assert ((found == images).all(axis=(1, 2, 3)) ^ turned).all()
    assert 160 < turned.sum() < 240


def test_shift(images: NDArray[np.uint8]) -> None:
    found = changed(images, Shift(pixels=2))
    seen = set()
    for before, after in zip(images, found, strict=True):
        padded = np.pad(before, ((0, 0), (2, 2), (2, 2)), mode="edge")
        places = [(y, x) for y in range(5) for x in range(5) if np.array_equal(padded[:, y : y + 6, x : x + 9], after)]
        assert places
        seen |= {*places}
    assert len(seen) == 25


def test_angles_of_rotation_have_the_same_last_bits_on_every_cpu() -> None:
    angles = np.linspace(-np.pi, np.pi, 100_001)
    cosine, sine = cosine_and_sine(angles)
    np.testing.assert_allclose(cosine, np.cos(angles), rtol=0, atol=2e-15)
    np.testing.assert_allclose(sine, np.sin(angles), rtol=0, atol=2e-15)
    assert sha256(cosine.tobytes() + sine.tobytes()).hexdigest()[:16] == "8c0b256ec3a11a62"


def test_crop_keeps_to_the_window() -> None:
    ramp = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None] * 10, (300, 1, 10, 10)).copy()
    found = changed(ramp, Crop(share=0.5))
    steps = np.diff(found[:, 0, 1:-1, 5], axis=1)
    assert np.allclose(steps, steps[:, :1], atol=1e-3), "a ramp is stretched to a flatter ramp"
    assert 4.9 < steps.min() < 5.5
    assert 9.5 < steps.max() <= 10
    assert found.min() >= 0
    assert found.max() <= 90


def test_rotate() -> None:
    spot = np.zeros((300, 1, 9, 9), np.uint8)
    spot[:, 0, 4, 7] = 200  # to the right of the middle
    found = changed(spot, Rotate(degrees=90)).astype(float)
    down, right = np.mgrid[-4:5, -4:5]
    weight = found.sum(axis=(1, 2, 3))
    angles = np.degrees(np.arctan2((found * down).sum(axis=(1, 2, 3)), (found * right).sum(axis=(1, 2, 3))))
    assert (weight > 100).all()
    assert -92 < angles.min() < -80
    assert 80 < angles.max() < 92
    assert abs(angles.mean()) < 10


def test_noise(images: NDArray[np.uint8]) -> None:
    gray = np.full_like(images, 100)
    difference = changed(gray, Noise(deviation=0.1)) - np.float32(100)
    assert abs(difference.mean()) < 0.3
    assert abs(difference.std() - 25.5) < 0.3
    noisy = changed(images, Noise(deviation=0.5))
    assert noisy.min() == 0
    assert noisy.max() == 255


@pytest.mark.parametrize("way", [Flip(), Shift(pixels=1), Crop(share=0.6), Rotate(degrees=20), Noise(deviation=0.1)])
def test_seed_worker_step_and_row_decide_and_nothing_else(images: NDArray[np.uint8], way: AnyAugmentation) -> None:
    found = changed(images, way)
    assert np.array_equal(found, changed(images, way))
    assert np.array_equal(found[:7], changed(images[:7], way)), "however large the batch is"
    assert not np.array_equal(found, changed(images, way, step=1))
    assert not np.array_equal(found, changed(images, way, worker=1))
    same = changed(np.broadcast_to(images[:1], images.shape).copy(), way)
    assert not all(np.array_equal(same[0], other) for other in same)


def test_ways_follow_each_other(images: NDArray[np.uint8]) -> None:
    narrow = images[:, :, :, :1]
    assert changed(narrow[:, :, :1], Rotate(degrees=10), Crop(share=0.5), Flip()).shape == (400, 3, 1, 1)
    both = changed(images, Flip(), Flip(axis="vertical"))
    kinds = {bool(np.array_equal(a, b)) for a, b in zip(both, images[:, :, ::-1, ::-1], strict=True)}
    assert kinds == {True, False}


@pytest.mark.parametrize("sync", ["average(every: 6)", "step"])
def test_a_run_with_augmentation_gives_the_same_bytes(tmp_path: Path, spark: SparkSession, sync: str) -> None:
    ways = "augment = [flip, shift(1), crop(0.8), rotate(10), noise(0.05)]"
    net = net_of(tmp_path, ways, sync)
    trained = run_local(net)
    assert vectors(trained) == vectors(run_spark(net, on=OnSpark(spark=spark)))
    assert vectors(trained) != vectors(run_local(net_of(tmp_path, sync=sync)))


def test_evaluation_sees_the_images_as_they_are(tmp_path: Path) -> None:
    """A net that learns nothing scores alike with and without, but for what it is trained on."""
    scores = []
    for augment_key in ("", "augment = [noise(1)]"):
        found = run_local(net_of(tmp_path, f"optimizer = sgd(lr: 1e-30)\n  {augment_key}"))
        scores.append((found.history[-1].score, found.history[-1].train.loss))
    assert scores[0][0] == scores[1][0]
    assert scores[0][1] != scores[1][1]
