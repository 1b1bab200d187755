"""The step graph with its optimizer state in parts computes what the whole one does, to the last bit."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import sparknet
from sparknet.compiler.apart import state_apart

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
    cut, found = state_apart(net.step, net.optimizer_state)
    onnx.checker.check_model(cut, full_check=True)
    assert len(found) == parts
    draw = np.random.default_rng(0)
    feeds = {
        "x": draw.normal(size=(8, 4)).astype(np.float32),
        "y": draw.integers(0, 2, 8),
        "parameters": net.initial_parameters(),
        "learning_rate": np.asarray(0.01, np.float32),
        "seed": np.asarray(0, np.int64),
    }
    state = np.abs(draw.normal(size=net.optimizer_state_size)).astype(np.float32)
    whole = _run(net.step, feeds | {"optimizer_state": state})
    pieces = np.split(state, np.cumsum([part.size for part in found])[:-1])
    apart = _run(cut, feeds | dict(zip([part.taken for part in found], pieces, strict=True)))
    new = np.concatenate([apart.pop(part.given) for part in found])
    assert new.tobytes() == whole.pop("new_optimizer_state").tobytes()
    assert {k: v.tobytes() for k, v in apart.items()} == {k: v.tobytes() for k, v in whole.items()}


def _run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString())
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))
