"""The examples of docs/ml.md, run as one program."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from sklearn.datasets import dump_svmlight_file, load_digits

PAGE = Path(__file__).parents[2] / "docs" / "ml.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
PROGRAM, REST = EXAMPLES[:2], EXAMPLES[2:]
"""`tune.py` and `score.py`, which `test_program` runs, and what follows them."""


def test_examples_run(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    text = "\n".join(REST).replace('"digits.libsvm"', repr(str(tmp_path / "digits.libsvm")))  # the JVM is elsewhere
    program.write_text(text, "utf-8")
    images, kinds = load_digits(return_X_y=True)
    dump_svmlight_file(images, kinds, str(tmp_path / "digits.libsvm"), zero_based=False)
    monkeypatch.chdir(tmp_path)
    said = runpy.run_path(str(program), {"spark": spark})
    assert said["model"].spec == said["stage"].specFor(said["digits"])
    assert said["model"].evaluate(said["digits"])["accuracy"] > 0.8
    assert (tmp_path / "cnn-run" / "inference.onnx").is_file()
