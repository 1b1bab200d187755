"""Steps of the stock engine: many in one call are the same as one by one, and leave what was handed in alone."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import sparknet
from sparknet.runtime.engines.base import EngineError, Graph, OnnxRuntimeEngine, Step, Sums, _Session

NET = """
net Small {{
  input x: float[4]
  dense(16, relu) -> batchnorm -> dropout(0.5) -> dense(2)
  output y: class[2]
}}
train {{ optimizer = {optimizer} }}
"""


CONVOLUTION = """
net Small {
  input x: float[3, 7, 6]
  conv(16, 3x3) -> conv(32, 3x3) -> globalavgpool -> dense(3)
  output y: class[3]
}
"""


def steps_of(count: int) -> list[Step]:
    draw = np.random.default_rng(0)
    whole = draw.normal(size=(count, 8, 8)).astype(np.float32)
    return [
        Step({"x": whole[k, : 8 - k, ::2], "y": draw.integers(0, 2, 8 - k)}, 8 - k, 0.1 / (k + 1), k)
        for k in range(count)
    ]


@pytest.mark.parametrize("optimizer", ["sgd", "sgd(momentum: 0.9)", "adam", "rmsprop(centered: true, momentum: 0.5)"])
def test_many_steps_are_the_same_as_one_by_one(optimizer: str) -> None:
    net, engine = sparknet.compile(NET.format(optimizer=optimizer)), OnnxRuntimeEngine()
    graph = engine.training_graph(net)
    start = net.initial_parameters(), net.initial_optimizer_state()
    kept = [each.tobytes() for each in start]
    steps = steps_of(5)
    together = engine.train(graph, *start, iter(steps))
    assert [each.tobytes() for each in start] == kept
    parameters, state = start
    sums = Sums()
    for step in steps:
        one = engine.train(graph, parameters, state, [step])
        parameters, state = one.parameters, one.optimizer_state
        sums = sums.add(one.sums)
    assert together.steps == 5
    assert together.broken is None
    assert together.sums == sums
    assert len(sums.metrics) == net.statistics_size > 0
    assert together.parameters.tobytes() == parameters.tobytes()
    assert together.optimizer_state.tobytes() == state.tobytes()
    assert together.optimizer_state.size == net.optimizer_state_size


def test_no_steps_change_nothing() -> None:
    net, engine = sparknet.compile(NET.format(optimizer="adam")), OnnxRuntimeEngine()
    start = net.initial_parameters(), net.initial_optimizer_state()
    trained = engine.train(engine.training_graph(net), *start, [])
    assert trained.parameters.tobytes() == start[0].tobytes()
    assert trained.optimizer_state.tobytes() == start[1].tobytes()
    assert trained.steps == trained.sums.rows == 0


def test_a_step_that_breaks_ends_them() -> None:
    net, engine = sparknet.compile(NET.format(optimizer="adam")), OnnxRuntimeEngine()
    steps = steps_of(4)
    steps[2] = Step({**steps[2].feeds, "x": np.full((6, 4), np.nan, np.float32)}, 6, 0.1, 2)
    trained = engine.train(
        engine.training_graph(net), net.initial_parameters(), net.initial_optimizer_state(), iter(steps)
    )
    assert trained.broken == 2
    assert trained.steps == 3


def test_a_step_that_fails_says_on_what() -> None:
    net, engine = sparknet.compile(NET.format(optimizer="adam")), OnnxRuntimeEngine()
    wrong = Step({"x": np.zeros((3, 5), np.float32), "y": np.zeros(3, np.int64)}, 3, 0.1, 0)
    with pytest.raises(EngineError, match=r"the training step graph failed on x float32\[3, 5\], y int64\[3\]"):
        engine.train(engine.training_graph(net), net.initial_parameters(), net.initial_optimizer_state(), [wrong])


def test_an_evaluation_runs_in_blocks_where_a_step_does() -> None:
    net = sparknet.compile("net Small {\n input x: float[16, 6, 6]\n conv(16, 3x3)\n output y: like x\n}")
    graph = Graph.of("evaluation", net.evaluation, net.statistics_size)
    training = OnnxRuntimeEngine().training_graph(net)
    assert training.views
    assert training.blocked
    assert graph.blocked
    x = np.random.default_rng(0).normal(size=(5, 16, 6, 6)).astype(np.float32)
    parameters = net.initial_parameters()
    plain = ort.InferenceSession(graph.model).run(["loss"], {"x": x, "parameters": parameters})[0]
    found = OnnxRuntimeEngine().evaluate(graph, parameters, [({"x": x}, 5)])
    assert found.mean_loss == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize(
    ("machine", "taken"), [("x86_64", "blocked"), ("AMD64", "blocked"), ("arm64", "plain"), ("aarch64", "plain")]
)
def test_which_form_of_a_graph_runs(machine: str, taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels for blocks are fast on x86-64, and elsewhere not there."""
    monkeypatch.setattr("platform.machine", lambda: machine)
    plain, blocked = (renamed(name) for name in ("plain", "blocked"))
    engine = OnnxRuntimeEngine()
    for other, expected in ((blocked, taken), (b"", "plain")):
        graph = Graph(f"{machine} {bool(other)}", plain, 0, blocked=other)
        assert _Session(graph).outputs == [expected]
        assert graph.size == len(plain) + len(other)
    net = sparknet.compile(CONVOLUTION)
    assert engine.training_graph(net).blocked


def renamed(output: str) -> bytes:
    """A graph that tells which it is by the name of its output."""
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", output))
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], [output])], "g", [x], [y])
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
