"""A run of a net with a foreign model: it trains, and predicts without the model's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import sparknet
from sparknet.runtime.runs import load_run, predict_to_file, run_local
from tests.compiler.exports import export, small
from tests.runtime.conftest import DIGITS

NET = f"""\
net Tuned {{
  input image: float[1, 8, 8]
  onnx("small.onnx")
  output digit: class[10]
}}
{DIGITS}train {{
  optimizer = adam(lr: 0.01)
  epochs    = 5
  workers   = 2
}}
predict {{
  input  = digits()
  keep   = ["label"]
}}
"""


def test_a_run_trains_a_foreign_model_and_predicts_without_its_file(tmp_path: Path) -> None:
    export(small(), tmp_path / "small.onnx", 1, 8, 8)
    (tmp_path / "net.net").write_text(NET)
    net = sparknet.compile(tmp_path / "net.net")
    trained = run_local(net, tmp_path / "run")
    assert trained.scores["test"].metrics["accuracy"] > 0.8
    run = load_run(tmp_path / "run")
    again = sparknet.compile(tmp_path / "run" / "net.net")
    assert again.step.SerializeToString(deterministic=True) == run.step
    assert not np.array_equal(again.initial_parameters(), run.parameters), "the copy is the model as it was"

    sparknet.load(tmp_path / "run").save(tmp_path / "saved")
    for path in (tmp_path / "run").iterdir():
        assert (tmp_path / "saved" / path.name).read_bytes() == path.read_bytes(), "the model's copy goes along"

    for file in (tmp_path / "small.onnx", *(tmp_path / "run").glob("model_*.onnx")):
        file.unlink()
    predict_to_file(tmp_path / "run", output=tmp_path / "scored.parquet")
    scored = pq.read_table(tmp_path / "scored.parquet").to_pandas()
    assert (scored["label"] == scored["digit_predicted"]).mean() > 0.8
