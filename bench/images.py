"""Images a second, from the bytes of JPEG files to 224 x 224 pixels, on one task slot.

    python bench/images.py

`ImageFeature` against Pillow in a plain loop, which decodes the whole of each image as most programs do, and against
Spark's own image source, which decodes them without resizing. Two sizes: those of ImageNet, and of a camera. Each turn
takes all of them one after the other, so that a busy machine is busy for all; medians of the turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as sf

from sparknet.ml import ImageFeature
from sparknet.runtime.spark.session import start_session

SIZE, TURNS = 224, 5
KINDS = {"500 x 375": (500, 375, 400), "4000 x 3000": (4000, 3000, 24)}
"""Width, height, number of files."""


def write_files(folder: Path, width: int, height: int, count: int) -> list[Path]:
    random = np.random.default_rng(0)
    files = []
    for index in range(count):
        small = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        files.append(folder / f"{index}.jpg")
        small.resize((width, height), Image.Resampling.BICUBIC).save(files[-1], quality=90)
    return files


def pillow(files: list[Path]) -> None:
    for file in files:
        with Image.open(BytesIO(file.read_bytes())) as image:
            np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)).transpose(
                2, 0, 1
            ).tobytes()


def consume(rows: DataFrame, column: str) -> None:
    rows.agg(sf.sum(sf.length(column))).collect()


def ways(spark: SparkSession, folder: str, files: list[Path]) -> dict[str, Callable[[], None]]:
    source = spark.read.option("pathGlobFilter", "*.jpg")
    binary, images = source.format("binaryFile").load(folder), source.format("image").load(folder)
    from_bytes = ImageFeature(inputCol="content", size=SIZE).transform(binary)
    from_images = ImageFeature(size=SIZE).transform(images)
    return {
        "Pillow, whole images": lambda: pillow(files),
        "ImageFeature of binaryFile": lambda: consume(from_bytes, "features"),
        "Spark's image source, not resized": lambda: consume(images, "image.data"),
        "ImageFeature of Spark's image source": lambda: consume(from_images, "features"),
    }


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    spark = start_session("local[1]")
    try:
        for name, (width, height, count) in KINDS.items():
            with tempfile.TemporaryDirectory() as folder:
                found = ways(spark, folder, write_files(Path(folder), width, height, count))
                turns = [{way: seconds(run) for way, run in found.items()} for _ in range(TURNS + 1)]
            for way in found:
                spent = [turn[way] for turn in turns[1:]]  # the first turn starts Python workers
                ratio = statistics.median(turn["Pillow, whole images"] / turn[way] for turn in turns[1:])
                rate = count / statistics.median(spent)
                print(f"{name:12} {way:38} {rate:8.1f} images/s  {ratio:5.2f} times Pillow")
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
