"""The examples of docs/ml.md, run as one program."""

from __future__ import annotations

import gc
import re
import runpy
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from sklearn.datasets import dump_svmlight_file, load_digits

PAGE = Path(__file__).parents[2] / "docs" / "ml.md"


@pytest.mark.filterwarnings("ignore:unclosed running multiprocessing pool:ResourceWarning")
def test_examples_run(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    program = tmp_path / "program.py"
    text = "\n".join(examples)
    for name in ("digits.libsvm", "wine-model"):  # Spark's paths start where its JVM was started
        text = text.replace(f'"{name}"', repr(str(tmp_path / name)))
    program.write_text(text, "utf-8")
    images, kinds = load_digits(return_X_y=True)
    dump_svmlight_file(images, kinds, str(tmp_path / "digits.libsvm"), zero_based=False)
    monkeypatch.chdir(tmp_path)
    said = runpy.run_path(str(program), {"spark": spark})
    gc.collect()  # the threads that pyspark's CrossValidator leaves
    assert "prediction" in capsys.readouterr().out
    assert said["model"].spec == said["stage"].specFor(said["digits"])
    assert said["model"].evaluate(said["digits"])["accuracy"] > 0.8
    assert (tmp_path / "wine-model" / "metadata").is_dir()
    assert (tmp_path / "cnn-run" / "inference.onnx").is_file()
