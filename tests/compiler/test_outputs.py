"""Outputs by their kinds: loss, metric and what inference gives, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.types import TensorType
from sparknet.grammar import SparkNetError
from tests.compiler.engine import Array, Graph


def compiled(body: str) -> CompiledNet:
    return sparknet.compile(f"net N {{\n{body}\n}}\ntrain {{ optimizer = sgd(lr: 1) }}")


def draw(net: CompiledNet) -> Array:
    return np.random.default_rng(0).normal(size=net.parameter_count).astype(np.float32)


def run(net: CompiledNet, flat: Array, **feeds: Array) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """A step, an evaluation and an inference."""
    state = net.initial_optimizer_state()
    step = Graph(net.step)(parameters=flat, optimizer_state=state, learning_rate=1, seed=0, **feeds)
    inputs = {port.name: feeds[port.name] for port in net.inputs}
    return step, Graph(net.evaluation)(parameters=flat, **feeds), Graph(net.inference(flat))(**inputs)


@pytest.mark.parametrize("ending", ["dense(3)", "dense(3, sigmoid)", "dense(3) -> sigmoid"])
def test_bool(ending: str) -> None:
    net = compiled(f"input x: float[4]\n {ending}\n output tags: bool[3]")
    (target,) = net.targets
    assert (target.kind, target.type, target.classes) == ("bool", TensorType("float32", (3,)), None)
    random = np.random.default_rng(1)
    x, tags = random.normal(size=(6, 4)).astype(np.float32), random.integers(0, 2, (6, 3)).astype(np.float32)
    flat = draw(net)
    step, evaluated, inferred = run(net, flat, x=x, tags=tags)
    weight = torch.tensor(flat[:12].reshape(4, 3), requires_grad=True)
    logits = torch.tensor(x) @ weight + torch.tensor(flat[12:])
    loss = F.binary_cross_entropy_with_logits(logits, torch.tensor(tags))
    loss.backward()
    assert weight.grad is not None
    probability = torch.sigmoid(logits.detach()).numpy()
    np.testing.assert_allclose(step["loss"], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(evaluated["loss"], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(flat[:12] - step["new_parameters"][:12], weight.grad.flatten(), rtol=1e-3, atol=1e-5)
    assert evaluated["accuracy"] == np.mean((probability >= 0.5) == (tags == 1), dtype=np.float32)
    assert [(p.name, p.type.dtype, p.type.shape) for p in net.predictions] == [
        ("tags", "bool", (3,)),
        ("tags_probability", "float32", (3,)),
    ]
    np.testing.assert_allclose(inferred["tags_probability"], probability, rtol=1e-5)
    assert np.array_equal(inferred["tags"], probability >= 0.5)


def test_binary_cross_entropy_of_extreme_logits_is_finite() -> None:
    net = compiled("input x: float[2]\n sigmoid\n output tags: bool[2]")
    feeds = {"x": np.array([[-200, 200]], np.float32), "tags": np.array([[1, 0]], np.float32)}
    assert float(Graph(net.evaluation)(parameters=np.zeros(0, np.float32), **feeds)["loss"]) == 200


RECONSTRUCTIONS: list[tuple[str, Any]] = [
    ("dense(3, tanh) -> dense(8)", F.mse_loss),
    ("dense(3, tanh) -> dense(8, sigmoid)", lambda y, t: F.binary_cross_entropy(torch.sigmoid(y), t)),
    ("dense(3, tanh) -> dense(8) -> sigmoid", lambda y, t: F.binary_cross_entropy(torch.sigmoid(y), t)),
]


@pytest.mark.parametrize(("chain", "criterion"), RECONSTRUCTIONS)
@pytest.mark.parametrize("image", [False, True])
def test_like_compares_with_the_preprocessed_input(chain: str, criterion: Any, image: bool) -> None:
    shape, end = ("2, 2, 2", " -> reshape(2, 2, 2)") if image else ("8", "")
    text = (
        f"net N {{\n input x: float[{shape}]\n encoder {{ flatten -> tanh }}\n decoder {{ {chain}{end} }}\n"
        ' output y: like x\n}\ndata {\n source = csv("x.csv")\n x = column("x") / 4\n}\n'
        "train { optimizer = sgd(lr: 1) }"
    )
    net = sparknet.compile(text)
    assert net.targets == ()
    assert [p.name for p in net.predictions] == ["y", "y_error", "y_code"]
    flat = draw(net)
    x = np.random.default_rng(2).uniform(0, 4, (5, 8)).astype(np.float32)
    wide = x.reshape(5, 2, 2, 2) if image else x
    step, evaluated, inferred = run(net, flat, x=wide)
    w1, b1, w2, b2 = (torch.tensor(flat[s.offset : s.offset + s.size].reshape(s.shape)) for s in net.parameters)
    w1.requires_grad = True
    logits = torch.tanh(torch.tanh(torch.tensor(x / 4)) @ w1 + b1) @ w2 + b2
    loss = criterion(logits, torch.tensor(x / 4))
    loss.backward()
    assert w1.grad is not None
    rebuilt = (torch.sigmoid(logits) if "sigmoid" in chain else logits).detach().numpy()
    np.testing.assert_allclose(step["loss"], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(evaluated["loss"], loss.item(), rtol=1e-5)
    np.testing.assert_allclose(flat[:24] - step["new_parameters"][:24], w1.grad.flatten(), rtol=1e-3, atol=1e-5)
    error = np.mean((rebuilt - x / 4) ** 2, axis=1)
    np.testing.assert_allclose(evaluated["mse"], error.mean(), rtol=1e-5)
    np.testing.assert_allclose(inferred["y_error"], error, rtol=1e-4)
    np.testing.assert_allclose(inferred["y"].reshape(5, 8), rebuilt, rtol=1e-5)
    np.testing.assert_allclose(inferred["y_code"], np.tanh(x / 4), rtol=1e-5)
    assert inferred["y"].shape == wide.shape


def test_the_code_is_what_the_encoder_above_gives() -> None:
    net = compiled(
        "input x: float[4]\n encoder { dense(2) }\n output a: like x = x -> dense(4)\n dense(3)\n"
        " encoder { relu }\n output b: like x = x -> dense(4)\n output c: float[3]"
    )
    codes = {p.name: p.type.shape for p in net.predictions if p.name.endswith("_code")}
    assert codes == {"a_code": (2,), "b_code": (3,)}
    with pytest.raises(SparkNetError, match="`y_code` is what the graphs call the code of `y`"):
        compiled("input x: float[4]\n dense(4)\n output y: like x\n output y_code: float[4]")


def test_a_code_that_varies_in_length_is_not_given() -> None:
    net = compiled(
        "input x: float[4, 1, variable: true]\n input z: float[1]\n encoder { x -> dense(2) }\n"
        " output y: like z = z -> dense(1)"
    )
    assert [p.name for p in net.predictions] == ["y", "y_error"]


def test_outputs_of_every_kind_side_by_side() -> None:
    net = compiled(
        "input x: float[4]\n h = dense(5, relu)\n output a: class[3] = h -> dense(3)\n"
        " output b: float[2] = h -> dense(2)\n output c: bool[1] = h -> dense(1)\n output d: like x = h -> dense(4)"
    )
    assert net.metrics == ("a_accuracy", "b_mae", "c_accuracy", "d_mse")
    assert [p.name for p in net.targets] == ["a", "b", "c"]
    x = np.ones((3, 4), np.float32)
    targets = {"a": np.array([0, 1, 2]), "b": np.ones((3, 2), np.float32), "c": np.ones((3, 1), np.float32)}
    step, evaluated, inferred = run(net, draw(net), x=x, **targets)
    np.testing.assert_allclose(step["loss"], evaluated["loss"], rtol=1e-6)
    assert list(inferred) == [p.name for p in net.predictions]


def test_a_reconstruction_needs_no_column() -> None:
    with pytest.raises(SparkNetError, match="`y` is like `x` and needs no column"):
        sparknet.compile(
            "net N {\n input x: float[4]\n dense(4)\n output y: like x\n}\n"
            'data {\n source = csv("x.csv")\n x = column("x")\n y = column("x")\n}'
        )
