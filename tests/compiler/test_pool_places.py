"""Maxima of a convolution of the data, by the places of their windows, are the same, and so are their gradients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from sparknet.compiler.differentiate import differentiate
from sparknet.compiler.graph import BATCH, GraphBuilder
from sparknet.compiler.pool_places import pool_by_places


@dataclass(frozen=True)
class Case:
    """A convolution of `x`, its pooling, perhaps a rectifier, and what else there is: who reads what, too."""

    x: tuple[int, ...] = (2, 6, 6)
    w: tuple[int, ...] = (3, 2, 3, 3)
    conv: dict[str, Any] = field(default_factory=lambda: {"pads": [1, 1, 1, 1]})
    window: tuple[int, ...] = (2, 2)
    pool: dict[str, Any] = field(default_factory=dict)
    bias: bool = True
    relu: bool = False
    also_read: str = ""
    trains_data: bool = False

    def graph(self) -> GraphBuilder:
        """`y` is the sum of all that comes out, each times a number of its own, so that no gradient is like another."""
        g = GraphBuilder("g", "float64")
        g.input("x", "float64", (BATCH, *self.x))
        for name, shape in {"w": self.w, "b": self.w[:1], "v": ()}.items():
            g.input(name, "float64", shape)
        data = g.op("Mul", "x", "v") if self.trains_data else "x"
        convolved = g.op("Conv", data, "w", *["b"] * self.bias, kernel_shape=list(self.w[2:]), **self.conv)
        tiles = {"kernel_shape": list(self.window), "strides": list(self.window)}
        pooled = g.op("MaxPool", convolved, **{**tiles, **self.pool})
        result = g.op("Relu", pooled) if self.relu else pooled
        g.infer()
        factors = np.random.default_rng(1).normal(size=[int(size) for size in g.shape(result)[1:]])
        y = g.op("ReduceSum", g.op("Mul", g.op("Mul", result, "v"), g.constant(factors)), keepdims=0)
        if self.also_read:
            y = g.op("Add", y, g.op("ReduceSum", {"conv": convolved, "pool": pooled}[self.also_read], keepdims=0))
        g.output("y", y, "float64", ())
        return g


PADDED = {"pads": [2, 2]}
WRITTEN = {
    "plain": Case(),
    "rectified": Case(relu=True),
    "rectified, and read before": Case(relu=True, also_read="pool"),
    "without bias": Case(bias=False, relu=True),
    "kernel of one": Case(w=(3, 2, 1, 1), conv={}),
    "other sides": Case(x=(1, 8, 6), w=(4, 1, 3, 2), conv={}, window=(3, 1)),
    "strides, gaps and uneven pads": Case(
        (3, 13, 9), (2, 3, 3, 3), {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 0, 0, 1]}, (2, 3)
    ),
    "signal": Case((2, 16), (3, 2, 5), PADDED, (4,), relu=True),
    "window of one": Case(window=(1, 1)),
}
LEFT = {
    "many channels": Case(x=(8, 6, 6), w=(3, 8, 3, 3)),
    "large filters": Case((2, 10, 10), (3, 2, 9, 9), {"pads": [4, 4, 4, 4]}),
    "groups": Case(w=(4, 1, 3, 3), conv={"pads": [1, 1, 1, 1], "group": 2}),
    "overlapping windows": Case(pool={"kernel_shape": [3, 3]}),
    "padded windows": Case(pool={"pads": [1, 1, 1, 1]}),
    "a rest": Case(x=(2, 7, 6)),
    "large windows": Case(x=(2, 8, 8), window=(4, 4)),
    "another reader of the convolution": Case(also_read="conv"),
    "data with a gradient": Case(trains_data=True),
}
WEIGHTS = ["w", "b", "v"]


def values(g: GraphBuilder, case: Case) -> list[NDArray[np.float64]]:
    """The result and its gradients; of few different numbers, so that many windows hold their largest twice."""
    for name, gradient in zip(WEIGHTS, differentiate(g, "y", WEIGHTS), strict=True):
        g.output(f"d{name}", gradient, "float64", g.inputs[name][1])
    draw = np.random.default_rng(0)
    feeds = {"x": draw.integers(-1, 2, (4, *case.x)), "w": draw.integers(-1, 2, case.w), "v": np.array(2)}
    floats = {name: value.astype(np.float64) for name, value in feeds.items()}
    return ReferenceEvaluator(g.model()).run(None, {**floats, "b": draw.normal(size=case.w[0])})


@pytest.mark.parametrize("name", WRITTEN)
def test_maxima_by_places_are_the_same(name: str) -> None:
    case = WRITTEN[name]
    plain, written = case.graph(), case.graph()
    pool_by_places(written, ["y"], WEIGHTS)
    assert not {"Conv", "MaxPool"} & {node.op for node in written.live(["y"])}
    for found, expected in zip(values(written, case), values(plain, case), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LEFT)
def test_others_stay(name: str) -> None:
    g = LEFT[name].graph()
    before = list(g.nodes)
    pool_by_places(g, ["y"], WEIGHTS)
    assert g.nodes == before


def test_what_is_wanted_stays() -> None:
    g = Case().graph()
    before = list(g.nodes)
    (convolved,) = (node.output for node in g.nodes if node.op == "Conv")
    pool_by_places(g, ["y", convolved], WEIGHTS)
    assert g.nodes == before


def test_what_has_been_left_behind_reads_nothing() -> None:
    g = Case().graph()
    (convolved,) = (node.output for node in g.nodes if node.op == "Conv")
    g.op("Relu", convolved)  # as pooling leaves it behind, which goes before it
    pool_by_places(g, ["y"], WEIGHTS)
    assert "MaxPool" not in {node.op for node in g.live(["y"])}
