"""docs/listings.md and docs/listings.ipynb: the document's three programs, word for word, and at full size."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import onnxruntime
import pytest
from nbclient import NotebookClient
from PIL import Image
from pyspark.sql import SparkSession

import sparknet

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOK = DOCS / "listings.ipynb"


@pytest.fixture(scope="module")
def listings(spark: SparkSession) -> dict[str, list[dict[str, Any]]]:
    """What the names on the page stand for in the end, section by section."""
    page = (DOCS / "listings.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", "## Start\n" + page, re.MULTILINE | re.DOTALL):
        for code in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            exec(compile(code, f"docs/listings.md, {title}", "exec"), names)  # noqa: S102 - our own page
            found.setdefault(title, []).append(dict(names))
    return found


def test_images(listings: dict[str, list[dict[str, Any]]]) -> None:
    *_, last = listings["Images"]
    assert last["accuracy"] > 0.9
    assert [row.asDict() for row in last["why"].collect()] == [
        {"why": "is no image of a known format (JPEG, PNG, GIF, BMP, WEBP, TIFF)", "count": 1}
    ]


def test_sequences(listings: dict[str, list[dict[str, Any]]]) -> None:
    flowers, digits, texts = listings["Sequences"]
    right = flowers["scored"].where("prediction = label").count()
    assert right > 0.6 * flowers["scored"].count()
    assert digits["accuracy"] > 0.85
    moods = texts["moods"]
    assert moods.where("prediction = label").count() > 0.9 * moods.count()


def test_codes_and_clusters(listings: dict[str, list[dict[str, Any]]]) -> None:
    clustered = listings["Codes and clusters"][-1]["clustered"]
    assert clustered.groupBy("cluster").count().count() == 3


def test_the_list_at_full_size(listings: dict[str, list[dict[str, Any]]], spark: SparkSession, tmp_path: Path) -> None:
    """Two photos through the net that the document's own list makes; to train it takes a larger machine."""
    for index, size in enumerate(((320, 240), (100, 400))):
        Image.effect_noise(size, 40).convert("RGB").save(tmp_path / f"{index}.jpg")
    photos = spark.read.format("image").load(str(tmp_path)).selectExpr("image", "1.0 as label")
    names = listings["Images"][0]
    feature, cnn = names["image_feature"], names["cnn"]
    pixels = feature.transform(photos)
    net = sparknet.compile(cnn.specFor(pixels))
    assert [layer.text for layer in net.layers if layer.text.startswith("(")] == [
        '(224, 3, 3, 64, "RELU")',
        '(224, 3, 3, 128, "RELU")',
        '(224, 3, 3, 256, "RELU")',
        '(224, 3, 3, 512, "RELU")',
        '(224, 3, 3, 1024, "RELU")',
        '(1024, 1, 1, 10, "SOFTMAX")',
    ]
    cells = [bytes(row.features) for row in pixels.select("features").collect()]
    session = onnxruntime.InferenceSession(net.inference(net.initial_parameters()).SerializeToString())
    for cell in cells:  # one after the other: each takes 1.4 GB
        image = np.frombuffer(cell, np.uint8).reshape(1, 3, 224, 224).astype(np.float32)
        predicted, probability = session.run(None, {"image": image})
        assert probability.shape == (1, 10)
        assert probability.sum() == pytest.approx(1)
        assert predicted[0] == probability.argmax()


# ----- the notebook -----


def test_the_notebook_runs() -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()


def test_the_notebook_as_it_is_read() -> None:
    """Run from top to bottom, with its pictures, small, and free of the machine that it was run on."""
    assert NOTEBOOK.stat().st_size < 500_000
    cells = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 6
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result", "stream"}
    texts = [json.dumps({**output, "data": {**output.get("data", {}), "image/png": ""}}) for output in outputs]
    assert not re.search(r"(?<!\w)/(?:home|root|tmp|usr|opt|var|work)/|\.py\b", " ".join(texts))
