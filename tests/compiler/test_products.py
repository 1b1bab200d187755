"""Gradients around matrix products, in the forms that ONNX Runtime computes fastest, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from sparknet.compiler.differentiate import differentiate
from sparknet.compiler.graph import BATCH, GraphBuilder, Node, Value


def gradients(g: GraphBuilder, y: Value, names: list[str]) -> None:
    """Declare the gradients of the sum of squares of `y`."""
    loss = g.op("ReduceSumSquare", y, keepdims=0)
    for name, gradient in zip(names, differentiate(g, loss, names), strict=True):
        g.output(f"d_{name}", gradient, "float64", g.shape(name))


def check(g: GraphBuilder, tensors: dict[str, torch.Tensor], y: torch.Tensor) -> None:
    (y**2).sum().backward()
    found = ReferenceEvaluator(g.model()).run(None, {name: t.detach().numpy() for name, t in tensors.items()})
    for value, tensor in zip(found, tensors.values(), strict=True):
        np.testing.assert_allclose(value, tensor.grad, rtol=1e-9, atol=1e-9)


def drawn(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    draw = np.random.default_rng(0)
    return {name: torch.tensor(draw.normal(size=shape), requires_grad=True) for name, shape in shapes.items()}


def copies(g: GraphBuilder) -> list[Node]:
    return [node for node in g.live(g.outputs) if node.op == "Concat" and len(node.inputs) == 1]


@pytest.mark.parametrize(
    ("features", "units", "turned", "count"),
    [(128, 32, False, 1), (127, 32, False, 0), (32, 128, False, 0), (32, 128, True, 1), (32, 127, True, 0),
     (1024, 128, False, 1), (1024, 127, False, 0)],
)  # fmt: skip
def test_a_large_left_matrix_is_fetched_before_it_is_transposed(
    features: int, units: int, turned: bool, count: int
) -> None:
    """Of 1024 x 128 the right one is, as the product is taken the other way round."""
    weight = (units, features) if turned else (features, units)
    tensors = drawn(x=(3, 32, features), w=weight)
    g = GraphBuilder("g", "float64")
    g.input("x", "float64", (BATCH, 32, features))
    g.input("w", "float64", weight)
    y = g.op("Gemm", g.op("Reshape", "x", g.ints(-1, features)), "w", transB=int(turned))
    gradients(g, y, ["x", "w"])
    assert len(copies(g)) == count
    x, w = tensors.values()
    check(g, tensors, x @ (w.T if turned else w))


@pytest.mark.parametrize(("steps", "count"), [(64, 1), (63, 0)])
def test_so_is_each_of_a_batch(steps: int, count: int) -> None:
    tensors = drawn(a=(2, steps, 64), b=(2, 64, 3))
    g = GraphBuilder("g", "float64")
    for name, tensor in tensors.items():
        g.input(name, "float64", (BATCH, *tensor.shape[1:]))
    gradients(g, g.op("MatMul", "a", "b"), ["a", "b"])
    assert len(copies(g)) == count
    check(g, tensors, tensors["a"] @ tensors["b"])


@pytest.mark.parametrize(("steps", "counted"), [(1, "x"), (4, "")])
def test_biases_get_products_with_ones(steps: int, counted: str) -> None:
    """The ones of a matrix with a row for each row of the batch are counted on an input, so all are the same."""
    tensors = drawn(x=(3, steps, 5), w=(5, 2), b=(2,))
    g = GraphBuilder("g", "float64")
    g.input("x", "float64", (BATCH, 5) if steps == 1 else (BATCH, steps, 5))
    g.input("w", "float64", (5, 2))
    g.input("b", "float64", (2,))
    rows = "x" if steps == 1 else g.op("Reshape", "x", g.ints(-1, 5))
    gradients(g, g.op("Add", g.op("Gemm", rows, "w"), "b"), ["x", "w", "b"])
    live = g.live(g.outputs)
    (product,) = [node for node in live if node.op == "MatMul"]
    assert "ReduceSum" not in {node.op for node in live}
    assert [node.inputs[0] for node in live if node.op == "Shape"] == [counted or product.inputs[1]]
    x, w, b = tensors.values()
    if steps == 1:
        tensors["x"] = x = torch.tensor(x.detach().numpy()[:, 0], requires_grad=True)
    check(g, tensors, x @ w + b)
