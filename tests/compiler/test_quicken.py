"""What replaces an operator computes the same, and only where it may."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

import sparknet
from sparknet.compiler.graph import BATCH, GraphBuilder
from sparknet.compiler.quicken import QUICKER, quicken

X = np.concatenate([[-300.0, -30.0, 0.0, 30.0, 300.0, 1e-30], np.random.default_rng(0).standard_normal(12)])
OPERATORS = {
    "Softplus": lambda g: g.op("Softplus", "x"),
    "ReduceSumSquare": lambda g: g.op("ReduceSumSquare", "x", g.ints(1), keepdims=1),
}


def values(g: GraphBuilder) -> NDArray[np.float64]:
    x = X.reshape(3, 6).astype(g.dtype)
    return ReferenceEvaluator(g.model()).run(None, {"x": x})[0]


@pytest.mark.parametrize("op", sorted(QUICKER))
def test_the_values_stay(op: str) -> None:
    g = GraphBuilder("g", "float64")
    g.input("x", "float64", (BATCH, 6))
    g.output("y", OPERATORS[op](g), "float64", (BATCH, "M"))
    before = values(g)
    quicken(g)
    assert op not in {node.op for node in g.nodes}
    assert np.allclose(values(g), before, rtol=1e-12, atol=1e-12)


def spread(g: GraphBuilder, reader: str) -> None:
    """The rows' sums, copied to the shape of `x` for a product with it."""
    g.input("x", "float64", (BATCH, 6))
    copies = g.op("Expand", g.op("ReduceSum", "x", g.ints(1), keepdims=1), g.op("Shape", "x"))
    result = {
        "product": lambda: g.op("Mul", copies, "x"),
        "product with a row": lambda: g.op("Mul", copies, g.constant(np.arange(6.0))),
        "itself": lambda: g.op("Mul", copies, copies),
        "another too": lambda: g.op("Mul", copies, g.op("Add", "x", g.op("Relu", copies))),
    }[reader]()
    g.output("y", result, "float64", (BATCH, 6))


@pytest.mark.parametrize(
    ("reader", "stays"), [("product", False), ("product with a row", True), ("itself", True), ("another too", True)]
)
def test_copies_that_the_reader_makes_by_itself(reader: str, stays: bool) -> None:
    g = GraphBuilder("g", "float64")
    spread(g, reader)
    before = values(g)
    quicken(g)
    assert any(node.op == "Expand" for node in g.live(g.outputs)) == stays
    assert np.array_equal(values(g), before)


@pytest.mark.parametrize(("width", "logarithms"), [(6, 3), (67, 3 * 67), (128, 3 * 2)])
def test_the_logarithm_of_products(width: int, logarithms: int) -> None:
    g = GraphBuilder("g", "float64")
    g.input("x", "float64", (BATCH, width))
    losses = g.op("Sub", g.op("Softplus", "x"), g.op("Mul", "x", g.constant(0.3)))
    g.output("y", g.op("ReduceMean", losses, keepdims=0), "float64", ())
    x = np.random.default_rng(0).standard_normal((3, width)) * 100
    before = ReferenceEvaluator(g.model()).run(None, {"x": x})[0]
    quicken(g)
    (log,) = [node for node in g.live(g.outputs) if node.op == "Log"]
    g.output("log", log.output, "float64", ("M",) if logarithms < 3 * width else (BATCH, width))
    after, taken = ReferenceEvaluator(g.model()).run(None, {"x": x})
    assert np.allclose(after, before, rtol=1e-12)
    assert taken.size == logarithms


def test_unknown_sizes_are_not_taken_for_equal() -> None:
    """What is subtracted may have more rows than `x`, so that the mean is of more numbers."""
    g = GraphBuilder("g", "float64")
    g.input("x", "float64", ("?", 6))
    g.input("more", "float64", ("?", 6))
    losses = g.op("Sub", g.op("Softplus", "x"), "more")
    g.output("y", g.op("ReduceMean", losses, keepdims=0), "float64", ())
    quicken(g)
    assert all(node.op != "ReduceProd" for node in g.nodes)


@pytest.mark.parametrize("minus_first", [True, False])
@pytest.mark.parametrize("read_again", [True, False])
def test_products_of_differences(minus_first: bool, read_again: bool) -> None:
    g = GraphBuilder("g", "float64")
    g.input("x", "float64", (BATCH, 6))
    q = g.op("ReduceSum", "x", g.ints(1), keepdims=1)
    minus = g.op("Mul", "x", g.op("Neg", q))
    plus = g.op("Mul", q, g.op("Relu", "x"))
    y = g.op("Add", minus, plus) if minus_first else g.op("Add", plus, minus)
    g.output("y", g.op("Sub", y, minus) if read_again else y, "float64", (BATCH, 6))
    before = values(g)
    quicken(g)
    assert ("Neg" in {node.op for node in g.nodes}) == read_again
    assert np.allclose(values(g), before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("comparison", "bound", "dtype", "to", "stays"),
    [
        ("Greater", 0.0, "float32", "float32", False),
        ("Greater", 0.5, "float32", "float32", True),
        ("Less", 0.0, "float32", "float32", True),
        ("Greater", 0.0, "float64", "float64", True),
        ("Greater", 0.0, "float32", "int64", True),
    ],
)
def test_masks_in_one_pass(comparison: str, bound: float, dtype: str, to: str, stays: bool) -> None:
    g = GraphBuilder("g", dtype)
    g.input("x", dtype, (BATCH, 6))
    mask = g.op("Cast", g.op(comparison, "x", g.constant(bound)), to=g.onnx_type(to))
    g.output("y", mask, to, (BATCH, 6))
    before = values(g)
    quicken(g)
    assert ("Cast" in {node.op for node in g.nodes}) == stays
    with np.errstate(over="ignore"):  # what is too large for a float32 is above 1 all the same
        assert np.array_equal(values(g), before)


def test_a_mask_of_the_smallest_and_the_largest_numbers() -> None:
    g = GraphBuilder("g")
    g.input("x", "float32", (BATCH,))
    mask = g.op("Cast", g.op("Greater", "x", g.constant(0.0)), to=g.onnx_type("float32"))
    g.output("y", mask, "float32", (BATCH,))
    quicken(g)
    x = np.array([-np.inf, -3e38, -1e-37, 0, 1.2e-38, 1e-30, 1, 3e38, np.inf], np.float32)
    session = ort.InferenceSession(g.model().SerializeToString())
    assert session.run(None, {"x": x})[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]


def test_the_loss_of_an_autoencoder() -> None:
    net = sparknet.compile("net N {\n input x: float[6]\n dense(2) -> dense(6, sigmoid)\n output y: like x\n}")
    operators = [node.op_type for node in net.step.graph.node if node.name.startswith("loss")]
    assert "ReduceProd" in operators
    assert not {"Neg", "Expand"} & set(operators)
