"""Whole runs with the engine `onnxruntime-training`, in this process and on Spark, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sparknet
from sparknet.compiler import CompiledNet, objective
from sparknet.grammar import SparkNetError
from sparknet.runtime.engines.base import EngineError, OnnxRuntimeEngine, Step
from sparknet.runtime.engines.choose import engine_for
from sparknet.runtime.engines.training import OnnxRuntimeTrainingEngine
from sparknet.runtime.runs import OnSpark, load_run, run_local, run_spark
from sparknet.runtime.training.trainer import TrainedNet
from tests_training.batches import ROWS, steps

NET = """
net Digits {{
  input image: float[64]
  dense(8) -> batchnorm -> relu
  dropout(0.2)
  {layer}
  dense(10)
  output digit: class[10]
}}

data {{
  source = digits()
  image  = column("pixels") / 16
  digit  = column("label")
}}

train {{
  optimizer = adam(lr: 0.01)
  steps     = 60
  engine    = onnxruntime-training
}}
"""


def digits(layer: str = "", *settings: str) -> CompiledNet:
    return sparknet.compile(NET.format(layer=layer), settings=settings)


def vectors(trained: TrainedNet) -> tuple[bytes, bytes]:
    return trained.parameters.tobytes(), trained.optimizer_state.tobytes()


def test_local_and_spark_give_the_same_bytes(tmp_path: Path) -> None:
    net = digits().with_train(workers=2)
    local = run_local(net)
    on_spark = run_spark(net, tmp_path / "run", on=OnSpark(master="local[2]"))
    assert vectors(local) == vectors(on_spark)
    assert [r.train for r in local.history] == [r.train for r in on_spark.history]
    versions = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))["versions"]
    assert versions["onnxruntime-training-cpu"] == "1.19.2"
    assert "engine = onnxruntime-training" in load_run(tmp_path / "run").net.replace("   ", "")


def test_steps_in_one_call_or_in_several_give_the_same_bytes() -> None:
    # A round is a pure function of the vectors that it is given: nothing stays behind in the package.
    net, engine = digits(), OnnxRuntimeTrainingEngine()
    graph, some = engine.training_graph(net), steps(net)[:9]
    at_once = engine.train(graph, net.initial_parameters(), net.initial_optimizer_state(), some)
    first = engine.train(graph, net.initial_parameters(), net.initial_optimizer_state(), some[:4])
    engine.train(graph, first.parameters * 2, first.optimizer_state * 3, some[:2])
    second = engine.train(graph, first.parameters, first.optimizer_state, some[4:])
    assert at_once.parameters.tobytes() == second.parameters.tobytes()
    assert at_once.optimizer_state.tobytes() == second.optimizer_state.tobytes()
    assert at_once.optimizer_state[0] == 9  # Adam's own count of steps
    assert (at_once.steps, at_once.broken, at_once.sums.rows) == (9, None, 9 * ROWS)


def test_a_loss_that_is_not_finite_stops_the_steps() -> None:
    net, engine = digits(), OnnxRuntimeTrainingEngine()
    some = steps(net)[:5]
    feeds = {**some[2].feeds, "image": np.full((ROWS, 64), np.nan, np.float32)}
    some[2] = Step(feeds, ROWS, 0.01, 0)
    graph = engine.training_graph(net)
    trained = engine.train(graph, net.initial_parameters(), net.initial_optimizer_state(), some)
    assert (trained.steps, trained.broken) == (3, 2)


def test_a_batch_that_does_not_fit_is_named() -> None:
    net, engine = digits(), OnnxRuntimeTrainingEngine()
    feeds = {**steps(net)[0].feeds, "image": np.zeros((ROWS, 5), np.float32)}
    graph = engine.training_graph(net)
    with pytest.raises(
        EngineError, match=r"the training step graph failed on image float32\[12, 5\], digit int64\[12\]"
    ):
        engine.train(graph, net.initial_parameters(), net.initial_optimizer_state(), [Step(feeds, ROWS, 0.01, 0)])


def test_a_graph_of_the_other_engine_is_refused() -> None:
    net = digits()
    graph = OnnxRuntimeEngine().training_graph(net)
    with pytest.raises(TypeError):
        OnnxRuntimeTrainingEngine().train(graph, net.initial_parameters(), net.initial_optimizer_state(), [])


@pytest.mark.parametrize("layer", ["deconv(2, 2x2)", "upsample(2)"])
def test_what_the_compiler_refuses_the_package_cannot_train(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the compiler's list the package says so itself, still before a run begins.
    text = f"reshape(2, 2, 2) -> conv(2, 1x1) -> {layer} -> flatten"
    with pytest.raises(SparkNetError, match=r"E0507.* has no gradient for `(ConvTranspose|Resize)`"):
        digits(text)
    monkeypatch.setattr(objective, "OPERATORS", objective.OPERATORS | {"ConvTranspose", "Resize"})
    with pytest.raises(SparkNetError, match=r"R0071.*(ConvTransposeGrad|ResizeGrad)") as refused:
        run_local(digits(text))
    assert "write `engine = onnxruntime` in the `train` section" in str(refused.value)


def test_the_package_of_the_other_engine_is_asked_for() -> None:
    with pytest.raises(SparkNetError, match=r"R0070") as refused:
        engine_for("onnxruntime")
    assert "pip uninstall -y onnxruntime-training-cpu && pip install 'onnxruntime>=1.26'" in str(refused.value)


def test_neither_torch_nor_a_word_of_the_package_is_needed() -> None:
    code = (
        "import sys; from tests_training.test_runs import digits; from sparknet.runtime.runs import run_local; "
        "run_local(digits('', 'train.steps=3')); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
