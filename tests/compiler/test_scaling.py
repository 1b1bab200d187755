"""What takes over the scale and shift of a normalisation computes the same, and so do its gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from sparknet.compiler.differentiate import differentiate
from sparknet.compiler.graph import BATCH, GraphBuilder, Value
from sparknet.compiler.scaling import scale_behind

SHAPES = {"w": (4,), "b": (4,), "v": (4, 5), "turned": (5, 4), "c": (5,)}
Build = Callable[[GraphBuilder, Value], Value]


def rows(g: GraphBuilder, y: Value) -> Value:
    return g.op("Reshape", y, g.ints(-1, 4))


def two_readers(g: GraphBuilder, y: Value) -> Value:
    product = g.op("Gemm", rows(g, y), "v", "c")
    mean = g.op("ReduceMean", y, g.ints(1), keepdims=0)
    return g.op("Add", g.op("ReduceSum", product), g.op("ReduceSumSquare", mean))


TAKEN: dict[str, Build] = {
    "product": lambda g, y: g.op("Gemm", rows(g, y), "v", "c"),
    "product without bias": lambda g, y: g.op("Gemm", rows(g, y), "v"),
    "turned product": lambda g, y: g.op("Gemm", rows(g, y), "turned", "c", transB=1),
    "mean": lambda g, y: g.op("ReduceMean", y, g.ints(1), keepdims=0),
    "mean of rows": lambda g, y: g.op("ReduceMean", y, g.ints(-2, 0), keepdims=1),
    "two": two_readers,
}
LEFT: dict[str, Build] = {
    "another reader": lambda g, y: g.op("Add", g.op("ReduceMean", y, g.ints(1)), y),
    "mean of features": lambda g, y: g.op("ReduceMean", y, g.ints(1, 2)),
    "mean of all": lambda g, y: g.op("ReduceMean", y),
    "other rows": lambda g, y: g.op("Gemm", g.op("Reshape", y, g.ints(-1, 2)), g.constant(np.ones((2, 5)))),
    "factor": lambda g, y: g.op("Gemm", rows(g, y), "v", alpha=2.0),
    "itself": lambda g, y: g.op("Gemm", rows(g, y), rows(g, y), transB=1),
    "other statistics": lambda g, y: g.op("LayerNormalization", g.op("Abs", y), "w", axis=-1),
}


def graph(build: Build, shift: bool) -> GraphBuilder:
    """The sum of squares of what reads the normalised numbers."""
    g = GraphBuilder("g", "float64")
    g.input("x", "float64", (BATCH, 3, 4))
    for name, shape in SHAPES.items():
        g.input(name, "float64", shape)
    y = g.op("LayerNormalization", "x", "w", *["b"] * shift, axis=-1, epsilon=1e-3)
    g.output("y", g.op("ReduceSumSquare", build(g, y), keepdims=0), "float64", ())
    return g


def values(g: GraphBuilder) -> list[NDArray[np.float64]]:
    """The result, and its gradients."""
    for k, gradient in enumerate(differentiate(g, "y", ["x", *SHAPES])):
        g.output(f"d{k}", gradient, "float64", (BATCH,))
    draw = np.random.default_rng(0)
    feeds = {"x": draw.normal(2, 3, (2, 3, 4))} | {name: draw.normal(size=shape) for name, shape in SHAPES.items()}
    return ReferenceEvaluator(g.model()).run(None, feeds)


def normalisations(g: GraphBuilder) -> list[tuple[Value, ...]]:
    return [node.inputs for node in g.nodes if node.op == "LayerNormalization"]


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("reader", sorted(TAKEN))
def test_scale_and_shift_move(reader: str, shift: bool) -> None:
    g = graph(TAKEN[reader], shift)
    scale_behind(g)
    ((_, *constants),) = normalisations(g)
    assert [g.initializers[name].tolist() for name in constants] == [[1] * 4, [0] * 4][: 1 + shift]
    for found, expected in zip(values(g), values(graph(TAKEN[reader], shift)), strict=True):
        assert np.allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("reader", sorted(LEFT))
def test_they_stay(reader: str) -> None:
    g = graph(LEFT[reader], True)
    before = list(g.nodes)
    scale_behind(g)
    assert g.nodes == before


def test_they_stay_where_rows_have_several_axes() -> None:
    g = GraphBuilder("g", "float64")
    g.input("x", "float64", (BATCH, 3, 4))
    g.input("w", "float64", (3, 4))
    g.output("y", g.op("ReduceMean", g.op("LayerNormalization", "x", "w", axis=1), g.ints(0)), "float64", (3, 4))
    before = list(g.nodes)
    scale_behind(g)
    assert g.nodes == before
