"""The step graph with its optimizer state in parts and with tensors as inputs is the whole one to the last bit."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.apart import apart

NET = """
net Small {{
  input x: float[4]
  dense(3, relu) -> batchnorm -> dense(2)
  output y: class[2]
}}
train {{ optimizer = {optimizer} }}
"""


@pytest.mark.parametrize(
    ("optimizer", "parts"),
    [("sgd", 1), ("sgd(momentum: 0.9)", 1), ("adam", 3), ("lamb", 3), ("rmsprop(centered: true, momentum: 0.5)", 3)],
)
def test_parts(optimizer: str, parts: int) -> None:
    net = sparknet.compile(NET.format(optimizer=optimizer))
    _check_same(net, parts, tensors=8)


@pytest.mark.parametrize(
    ("layers", "train", "tensors"),
    [
        ("dense(3, relu) -> batchnorm -> dense(2)", "", 8),
        ("dense(3, relu, frozen: true) -> dropout(0.5) -> dense(2)", "accumulate = 2", 4),
        ("dense(2, bias: false)", "", 0),
        ("dense(10922) -> dense(2, bias: false)", "", 0),
        ("dense(8000) -> dense(2)", "", 4),
    ],
)
def test_tensors_of_a_small_net(layers: str, train: str, tensors: int) -> None:
    text = NET.format(optimizer="adam").replace("dense(3, relu) -> batchnorm -> dense(2)", layers)
    net = sparknet.compile(text.replace("adam", f"adam\n {train}"))
    _check_same(net, parts=len(net.optimizer_state), tensors=tensors)


def _check_same(net: CompiledNet, parts: int, tensors: int) -> None:
    before = net.step.SerializeToString(deterministic=True)
    cut, found, views = apart(net.step, net.optimizer_state, net.parameters)
    assert net.step.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(cut, full_check=True)
    assert (len(found), len(views)) == (parts, tensors)
    feeds, draw = _feeds(net), np.random.default_rng(1)
    state = np.abs(draw.normal(size=net.optimizer_state_size)).astype(np.float32)
    whole = _run(net.step, feeds | {"optimizer_state": state})
    pieces = np.split(state, np.cumsum([part.size for part in found])[:-1])
    feeds |= dict(zip([part.taken for part in found], pieces, strict=True))
    given = _run(cut, feeds | {view.taken: view.of(feeds["parameters"]) for view in views})
    new = np.concatenate([given.pop(part.given) for part in found])
    assert new.tobytes() == whole.pop("new_optimizer_state").tobytes()
    assert {k: v.tobytes() for k, v in given.items()} == {k: v.tobytes() for k, v in whole.items()}


def _feeds(net: CompiledNet) -> dict[str, np.ndarray]:
    """All that a step takes but the optimizer's state."""
    draw = np.random.default_rng(0)
    return {
        "x": draw.normal(size=(8, 4)).astype(np.float32),
        "y": draw.integers(0, 2, 8),
        "parameters": net.initial_parameters(),
        "learning_rate": np.asarray(0.01, np.float32),
        "seed": np.asarray(3, np.int64),
    }


def _run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString())
    names = [entry.name for entry in session.get_outputs()]
    taken = {entry.name: feeds[entry.name] for entry in session.get_inputs()}
    return dict(zip(names, session.run(names, taken), strict=True))
