"""Maxima of a convolution of the data, by the places of their windows, are the same, and so are their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

import sparknet
from sparknet.compiler.differentiate import differentiate
from sparknet.compiler.graph import BATCH, GraphBuilder, Value
from sparknet.compiler.pool_places import as_maxima, pool_by_places
from tests.compiler.engine import Graph
from tests.compiler.graph_text import every_node


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
    trained: tuple[str, ...] = ("w", "b", "v")

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
        (3, 13, 9), (4, 3, 3, 3), {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 0, 0, 1]}, (2, 3)
    ),
    "signal": Case((2, 16), (3, 2, 5), PADDED, (4,), relu=True),
    "window of one": Case(window=(1, 1)),
}
LEFT = {
    "many channels": Case(x=(8, 6, 6), w=(3, 8, 3, 3)),
    "frozen filters": Case(trained=("v",)),
    "few filters, of many numbers": Case((2, 10, 10), (3, 2, 9, 9), {"pads": [4, 4, 4, 4]}),
    "groups": Case(w=(4, 1, 3, 3), conv={"pads": [1, 1, 1, 1], "group": 2}),
    "overlapping windows": Case(pool={"kernel_shape": [3, 3]}),
    "padded windows": Case(pool={"pads": [1, 1, 1, 1]}),
    "a rest": Case(x=(2, 7, 6)),
    "large windows": Case(x=(2, 8, 8), window=(4, 4)),
    "another reader of the convolution": Case(also_read="conv"),
    "data with a gradient": Case(trains_data=True),
}


def values(g: GraphBuilder, case: Case, choices: Sequence[Value] = ()) -> list[NDArray[np.float64]]:
    """The result and its gradients; of few different numbers, so that many windows hold their largest twice."""
    for name, gradient in zip(case.trained, differentiate(g, "y", case.trained), strict=True):
        g.output(f"d{name}", gradient, "float64", g.inputs[name][1])
    as_maxima(g, choices)
    draw = np.random.default_rng(0)
    feeds = {"x": draw.integers(-1, 2, (4, *case.x)), "w": draw.integers(-1, 2, case.w), "v": np.array(2)}
    floats = {name: value.astype(np.float64) for name, value in feeds.items()}
    return ReferenceEvaluator(g.model()).run(None, {**floats, "b": draw.normal(size=case.w[0])})


@pytest.mark.parametrize("name", WRITTEN)
def test_maxima_by_places_are_the_same(name: str) -> None:
    case = WRITTEN[name]
    plain, written = case.graph(), case.graph()
    choices = pool_by_places(written, ["y"], case.trained)
    for found, expected in zip(values(written, case, choices), values(plain, case), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert not {"Conv", "MaxPool", "Where"} & {node.op for node in written.live(written.outputs)}


@pytest.mark.parametrize("name", LEFT)
def test_others_stay(name: str) -> None:
    g = LEFT[name].graph()
    before = list(g.nodes)
    assert not pool_by_places(g, ["y"], LEFT[name].trained)
    assert g.nodes == before


@pytest.mark.parametrize("relu", [True, False])
def test_the_rectifier_comes_along_and_the_shape_is_known(relu: bool) -> None:
    """In front of the transposition it works on the layout that the gradient has, too."""
    g = Case(relu=relu).graph()
    (last,) = (node.output for node in g.nodes if node.op == ("Relu" if relu else "MaxPool"))
    pool_by_places(g, ["y"], Case.trained)
    g.shapes.pop(last)
    g.infer()
    assert g.shape(last) == (BATCH, 3, 3, 3)
    node = g.producer(last)
    assert node is not None
    assert node.op == "Transpose"
    assert [n.op for n in g.live(["y"])].count("Relu") == relu
    assert all(n.op != "Relu" or last not in n.reads for n in g.nodes)


def test_what_is_wanted_stays() -> None:
    g = Case(relu=True).graph()
    before = list(g.nodes)
    (convolved, pooled) = (node.output for node in g.nodes if node.op in ("Conv", "MaxPool"))
    pool_by_places(g, ["y", convolved], Case.trained)
    assert g.nodes == before
    pool_by_places(g, ["y", pooled], Case.trained)
    assert pooled in {output for node in g.live(["y", pooled]) for output in node.outputs}


def test_the_parts_of_a_batch_are_pooled_so_too() -> None:
    text = (
        "net N {{ input x: float[1, 6, 6]\n conv(3, 3x3, relu) -> maxpool(2) -> flatten -> dense(2)\n"
        " output y: class[2] }}\ntrain {{ optimizer = sgd(lr: 0.1)\n {} }}"
    )
    draw = np.random.default_rng(0)
    feeds = {"x": draw.normal(size=(4, 1, 6, 6)).astype(np.float32), "y": np.arange(4) % 2}
    found = []
    for accumulate in ("", "accumulate = 2"):
        net = sparknet.compile(text.format(accumulate))
        assert "Max" in {node.op_type for node in every_node(net.step.graph)}
        start = {"parameters": net.initial_parameters(), "optimizer_state": net.initial_optimizer_state()}
        found.append(Graph(net.step)(**feeds, **start, learning_rate=0.1, seed=0)["new_parameters"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_what_has_been_left_behind_reads_nothing() -> None:
    g = Case().graph()
    (convolved,) = (node.output for node in g.nodes if node.op == "Conv")
    g.op("Relu", convolved)  # as pooling leaves it behind, which goes before it
    pool_by_places(g, ["y"], Case.trained)
    assert "MaxPool" not in {node.op for node in g.live(["y"])}
