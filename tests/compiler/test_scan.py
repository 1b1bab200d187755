"""The gradient of `Scan` against finite differences in float64 and against PyTorch, on ONNX Runtime.

ONNX's own reference knows no loop that begins at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sparknet.compiler.differentiate import differentiate
from sparknet.compiler.graph import BATCH, GraphBuilder
from tests.compiler.engine import Graph
from tests.compiler.test_gradients import finite_differences

TIME, ROWS, WIDTH = 4, 3, 2
SHAPES = {"h": (ROWS, WIDTH), "c": (ROWS, WIDTH), "x": (TIME, ROWS, WIDTH), "w": (WIDTH, WIDTH), "b": (WIDTH,)}
Body = Callable[..., tuple[list[str], list[str]]]


def two_states(g: GraphBuilder, h: str, c: str, x: str, w: str, b: str) -> tuple[list[str], list[str]]:
    """Two products with one weight, a state that feeds the other, and two sequences, one of them a product."""
    a = g.op("Tanh", g.op("Add", g.op("Gemm", h, w, b, transB=1), x))
    c = g.op("Add", g.op("Mul", c, a), g.op("Gemm", a, w, x))
    return [g.op("Sigmoid", c), c], [a, g.op("Mul", x, x)]


def torch_two_states(h: Any, c: Any, x: Any, w: Any, b: Any) -> tuple[list[Any], list[Any]]:
    a = torch.tanh(h @ w.T + b + x)
    c = c * a + a @ w + x
    return [torch.sigmoid(c), c], [a, x * x]


def state_unused(g: GraphBuilder, h: str, c: str, x: str, w: str, b: str) -> tuple[list[str], list[str]]:
    """The second state is replaced without being read, and the bias is not needed."""
    h = g.op("Sigmoid", g.op("Gemm", h, w, transB=1))
    return [h, g.op("Mul", x, g.constant(3.0))], [x, g.op("Neg", h)]


def torch_state_unused(h: Any, c: Any, x: Any, w: Any, b: Any) -> tuple[list[Any], list[Any]]:
    h = torch.sigmoid(h @ w.T)
    return [h, x * 3 + 0 * c + 0 * b.sum()], [x, -h]


def build(body: Body, reverse: bool, used: tuple[int, ...], weights: list[Any]) -> GraphBuilder:
    """A loop and the gradients of a weighted sum of those of its outputs that are `used`."""
    g = GraphBuilder("loop", "float64")
    batched = {"h": (BATCH, WIDTH), "c": (BATCH, WIDTH), "x": (TIME, BATCH, WIDTH)}
    for name, shape in SHAPES.items():
        g.input(name, "float64", batched.get(name, shape))
    inner = g.nested("body")
    h, c, x = (inner.input(inner.fresh(f"net/{name}_in"), "float64", (BATCH, WIDTH)) for name in "hcx")
    states, sequences = body(inner, h, c, x, "w", "b")
    for value in (*states, *sequences):
        inner.result(value, (BATCH, WIDTH))
    way = [int(reverse)]
    outputs = g.op_n(
        "Scan", 4, "h", "c", "x", body=inner, num_scan_inputs=1,
        scan_input_directions=way, scan_output_directions=way * 2,
    )  # fmt: skip
    terms = [g.op("ReduceSum", g.op("Mul", outputs[k], g.constant(weights[k])), keepdims=0) for k in used]
    loss = terms[0]
    for term in terms[1:]:
        loss = g.op("Add", loss, term)
    zero = g.op("Mul", g.op("ReduceSum", "b", keepdims=0), g.constant(0.0))
    loss = g.op("Add", loss, zero)
    for name, gradient in zip(SHAPES, differentiate(g, loss, list(SHAPES)), strict=True):
        g.output(f"d_{name}", gradient, "float64", g.shape(name))
    g.output("loss", loss, "float64", ())
    return g


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("used", [(0, 1, 2, 3), (0,), (1, 2)])
@pytest.mark.parametrize(("body", "in_torch"), [(two_states, torch_two_states), (state_unused, torch_state_unused)])
def test_loop(body: Body, in_torch: Any, used: tuple[int, ...], reverse: bool) -> None:
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=shape) for name, shape in SHAPES.items()}
    weights = [random.normal(size=(ROWS, WIDTH))] * 2 + [random.normal(size=(TIME, ROWS, WIDTH))] * 2
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    states, sequences = [tensors["h"], tensors["c"]], {}
    for step in sorted(range(TIME), reverse=reverse):
        states, sequences[step] = in_torch(*states, tensors["x"][step], tensors["w"], tensors["b"])
    outputs = [*states, *(torch.stack([sequences[t][k] for t in range(TIME)]) for k in range(2))]
    loss = torch.stack([(outputs[k] * torch.tensor(weights[k])).sum() for k in used]).sum()
    loss.backward()

    run = Graph(build(body, reverse, used, weights).model())
    found = run(**arrays)
    np.testing.assert_allclose(found["loss"], loss.item(), rtol=1e-12)
    for i, (name, tensor) in enumerate(tensors.items()):
        expected = np.zeros(SHAPES[name]) if tensor.grad is None else tensor.grad.numpy()
        np.testing.assert_allclose(found[f"d_{name}"], expected, rtol=1e-9, atol=1e-9, err_msg=name)
        numeric = finite_differences(
            lambda moved: float(run(**dict(zip(SHAPES, moved, strict=True)))["loss"]), list(arrays.values()), i, 1e-5
        )
        np.testing.assert_allclose(found[f"d_{name}"], numeric, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_weight_that_meets_no_rows_is_refused() -> None:
    def scaled(g: GraphBuilder, h: str, c: str, x: str, w: str, b: str) -> tuple[list[str], list[str]]:
        return [g.op("Mul", h, b), c], [x, h]

    with pytest.raises(AssertionError, match="reads a weight through `Mul`: only `Gemm`"):
        build(scaled, False, (0,), [np.ones((ROWS, WIDTH))])
