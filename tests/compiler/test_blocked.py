"""Convolutions on ONNX Runtime's blocked kernels compute what the plain ones do."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import sparknet
from sparknet.compiler.blocked import DOMAIN, blocked
from sparknet.runtime.engines.base import session_options
from tests.compiler.graph_text import every_node

NET = """
net Small {{
  input x: float[{x}]
  {layers}
  globalavgpool -> dense(3)
  output y: class[3]
}}
train {{ optimizer = sgd(lr: 1)\n {train} }}
"""


def in_blocks(graph: onnx.GraphProto) -> int:
    """How many convolutions of a graph and of its bodies are blocked."""
    return sum(node.op_type == "Conv" and node.domain == DOMAIN for node in every_node(graph))


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    taken = {entry.name: feeds[entry.name] for entry in session.get_inputs()}
    return dict(zip(names, session.run(names, taken), strict=True))


@pytest.mark.parametrize(
    ("x", "layers", "train", "count"),
    [
        ("16, 7, 6", "conv(16, 3x3, relu)", "", 1),  # its input gets no gradient
        ("3, 7, 6", "conv(16, 3x3, relu) -> conv(32, 3x3, relu)", "", 2),
        ("3, 7, 6", "conv(16, 3x3, bias: false) -> conv(16, 2x3)", "", 2),
        ("3, 9, 8", "conv(32, 3x3, relu) -> conv(16, 3x3, dilation: 2) -> conv(16, 1x1)", "", 4),
        ("3, 9, 8", "conv(16, 3x3, relu, stride: 2) -> conv(48, 3x3, stride: 2)", "", 1),  # no gradient of a stride
        ("3, 9, 8", "conv(16, 3x3, pad: valid) -> conv(16, 3x3, tanh, pad: valid)", "", 2),
        ("3, 5, 4", "conv(16, 3x3) -> deconv(32, 3x3, relu, stride: 2)", "", 1),
        ("3, 5, 4", "conv(16, 3x3) -> deconv(32, 3x3, relu)", "", 2),
        ("3, 5, 4", "both = conv(16, 3x3) -> relu\n both -> conv(16, 1x1)\n add(both) -> relu", "", 2),
        ("3, 6, 6", "conv(16, 3x3) -> maxpool(2) -> conv(32, 3x3, relu)", "accumulate = 2", 2),
        ("3, 7, 6", "conv(24, 3x3) -> conv(16, 3x3)", "", 0),
        ("12, 7, 6", "conv(16, 3x3)", "", 0),
        ("3, 7, 6", "conv(16, 3x3) -> conv(16, 3x3, groups: 4)", "", 0),
        ("3, 7", "conv(16, 3) -> conv(16, 3)", "", 0),
    ],
)
def test_blocks(x: str, layers: str, train: str, count: int) -> None:
    net = sparknet.compile(NET.format(x=x, layers=layers, train=train))
    other = blocked(net.step)
    assert (0 if other is None else in_blocks(other.graph)) == count
    if other is None:
        return
    draw = np.random.default_rng(0)
    feeds = {
        "x": draw.normal(size=(6, *net.inputs[0].type.shape)).astype(np.float32),
        "y": draw.integers(0, 3, 6),
        "parameters": net.initial_parameters() + draw.normal(0, 0.1, net.parameter_count).astype(np.float32),
        "optimizer_state": net.initial_optimizer_state(),
        "learning_rate": np.asarray(1, np.float32),
        "seed": np.asarray(0, np.int64),
    }
    evaluation = blocked(net.evaluation)
    assert (evaluation is None) == ("deconv(32, 3x3, relu, stride: 2)" in layers)  # only its input gradient can be
    for plain, faster in ((net.step, other), (net.evaluation, evaluation or net.evaluation)):
        expected, found = run(plain, feeds), run(faster, feeds)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
