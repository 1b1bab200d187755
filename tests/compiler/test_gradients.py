"""Every gradient rule against finite differences in float64 and against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from sparknet.compiler.differentiate import MissingGradientError, differentiate
from sparknet.compiler.gradients import NO_GRADIENT, RULES
from sparknet.compiler.graph import BATCH, GraphBuilder
from tests.compiler.gradient_cases import CASES, CONDITION, Case, pool

Array = NDArray[Any]


class ConvTranspose(OpRun):
    """PyTorch's, for onnx.reference (1.23) has none for groups; the layers' tests run ONNX Runtime's."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **options: Any) -> tuple[Array]:
        found = {k: v for k, v in options.items() if v is not None}
        rank, strides = x.ndim - 2, found["strides"]
        pads, extra = found.get("pads", [0] * 2 * rank), found.get("output_padding", [0] * rank)
        run = F.conv_transpose1d if rank == 1 else F.conv_transpose2d
        bias = None if b is None else torch.tensor(b)
        dilation, group = tuple(found.get("dilations", [1] * rank)), found["group"]
        y = run(torch.tensor(x), torch.tensor(w), bias, tuple(strides), 0, 0, group, dilation)
        ends = [pads[axis + rank] - extra[axis] for axis in range(rank)]
        cuts = [(-pads[axis], -ends[axis]) for axis in range(rank)]
        return (F.pad(y, tuple(c for cut in reversed(cuts) for c in cut)).numpy(),)


class LRN(OpRun):
    """PyTorch's, for onnx.reference (1.23) computes as many channels as the batch has rows."""

    op_domain = ""

    def _run(self, x: Array, alpha: float, beta: float, bias: float, size: int) -> tuple[Array]:
        return (F.local_response_norm(torch.tensor(x), size, alpha, beta, bias).numpy(),)


def evaluator_of(model: onnx.ModelProto, case: Case) -> ReferenceEvaluator:
    replaced = [LRN] + [ConvTranspose] * (case.attributes.get("group", 1) > 1)
    return ReferenceEvaluator(model, new_ops=replaced)


def values(case: Case, seed: int = 0) -> list[Array]:
    random = np.random.default_rng(seed)
    lows, highs = case.lows or [case.low] * len(case.shapes), case.highs or [case.high] * len(case.shapes)
    return [
        np.asarray(random.uniform(low, high, shape)) for low, high, shape in zip(lows, highs, case.shapes, strict=True)
    ]


def forward(
    case: Case, arrays: list[Array], weights: Array, fixed: bool = False
) -> tuple[GraphBuilder, list[str], str]:
    """A float64 graph of `sum(weights * op(...))`, its inputs and that sum, which is its output `loss`.

    The batch is open, unless all shapes are `fixed` to those of the arrays.
    """
    g = GraphBuilder("case", "float64")
    names = []
    for i, array in enumerate(arrays):
        shape = (BATCH, *array.shape[1:]) if i in case.batched and not fixed else array.shape
        names.append(g.input(f"x{i}", "float64", shape))
    condition = [g.constant(CONDITION.numpy(), "bool")] if case.condition else []
    more = ["" if f is None else g.constant(f, "float32") for f in case.floats]
    count = 3 if case.attributes.get("training_mode") else 2 if case.op == "Split" else 1
    ints = (g.constant(i[0], "int64") if case.scalar_ints else g.ints(*i) for i in case.ints)
    more += [g.constant(f) for f in case.floats64]
    y = g.op_n(case.op, count, *condition, *names, *ints, *more, **case.attributes)[0]
    loss = g.op("ReduceSum", g.op("Mul", y, g.constant(weights)), keepdims=0)
    g.output("loss", loss, "float64", ())
    return g, names, loss


def build(case: Case, arrays: list[Array], weights: Array) -> tuple[GraphBuilder, list[str]]:
    """`forward` and its gradients."""
    g, names, loss = forward(case, arrays, weights)
    gradients = differentiate(g, loss, names)
    for i, (name, gradient) in enumerate(zip(names, gradients, strict=True)):
        g.output(f"d{i}", gradient, "float64", g.shape(name))
    return g, names


def finite_differences(run: Callable[[list[Array]], float], arrays: list[Array], i: int, h: float) -> Array:
    """Central differences of a scalar function with respect to every element of `arrays[i]`."""
    result = np.zeros_like(arrays[i])
    for at in np.ndindex(arrays[i].shape):
        sides = []
        for step in (h, -h):
            moved = [a.copy() for a in arrays]
            moved[i][at] += step
            sides.append(run(moved))
        result[at] = (sides[0] - sides[1]) / (2 * h)
    return result


@pytest.mark.parametrize("case", CASES, ids=[f"{c.op}-{k}" for k, c in enumerate(CASES)])
def test_rule(case: Case) -> None:
    arrays = values(case)
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = case.torch(*tensors)
    weights = np.random.default_rng(1).normal(size=tuple(y.shape))
    g, names = build(case, arrays, weights)
    evaluator = evaluator_of(g.model(), case)

    def run(moved: list[Array]) -> float:
        return float(evaluator.run(["loss"], dict(zip(names, moved, strict=True)))[0])

    (y * torch.tensor(weights)).sum().backward()
    found = evaluator.run([f"d{i}" for i in range(len(names))], dict(zip(names, arrays, strict=True)))
    for i, (gradient, tensor) in enumerate(zip(found, tensors, strict=True)):
        assert gradient.shape == arrays[i].shape
        np.testing.assert_allclose(
            gradient, tensor.grad, rtol=case.exact, atol=case.exact, err_msg=f"PyTorch, input {i}"
        )
        numeric = finite_differences(run, arrays, i, case.h)
        np.testing.assert_allclose(
            gradient, numeric, rtol=10 * case.tolerance, atol=case.tolerance, err_msg=f"finite differences, input {i}"
        )


def test_every_rule_has_a_case() -> None:
    assert {case.op for case in CASES} | {"Scan"} == set(RULES), "the rule for Scan: test_scan.py"
    assert not NO_GRADIENT & set(RULES)


@pytest.mark.parametrize("kernel", [[2, 2], [3, 3]])
def test_equal_maxima_pass_the_gradient_to_the_first_place_as_in_pytorch(kernel: list[int]) -> None:
    x = np.random.default_rng(0).integers(0, 2, (2, 3, 6, 6)).astype(np.float64)
    case = Case("MaxPool", (x.shape,), lambda t: F.max_pool2d(t, tuple(kernel), 2), pool(kernel, [2, 2]))
    tensor = torch.tensor(x, requires_grad=True)
    y = case.torch(tensor)
    weights = np.random.default_rng(1).normal(size=tuple(y.shape))
    (y * torch.tensor(weights)).sum().backward()
    g, names = build(case, [x], weights)
    found = ReferenceEvaluator(g.model()).run(["d0"], {names[0]: x})[0]
    np.testing.assert_allclose(found, tensor.grad)


def test_a_value_read_twice_gets_the_sum_of_both_gradients() -> None:
    g = GraphBuilder("twice", "float64")
    x = g.input("x", "float64", (3,))
    loss = g.op("ReduceSum", g.op("Mul", g.op("Exp", x), x), keepdims=0)
    (gradient,) = differentiate(g, loss, [x])
    g.output("d", gradient, "float64", (3,))
    at = np.array([0.1, -0.5, 2.0])
    found = ReferenceEvaluator(g.model()).run(["d"], {"x": at})[0]
    np.testing.assert_allclose(found, np.exp(at) * (at + 1))


def test_a_parameter_that_does_not_reach_the_loss_has_gradient_zero() -> None:
    g = GraphBuilder("unused", "float64")
    x, unused = g.input("x", "float64", (3,)), g.input("unused", "float64", (2, 2))
    loss = g.op("ReduceSum", g.op("Exp", x), keepdims=0)
    g.output("d", differentiate(g, loss, [x, unused])[1], "float64", (2, 2))
    found = ReferenceEvaluator(g.model()).run(["d"], {"x": np.ones(3), "unused": np.ones((2, 2))})[0]
    np.testing.assert_array_equal(found, np.zeros((2, 2)))


def test_an_operator_without_a_rule_is_named_with_its_layer() -> None:
    g = GraphBuilder("missing")
    x = g.input("x", "float32", (3,))
    with g.layer("odd1"):
        y = g.op("Hardmax", x)
    loss = g.op("ReduceSum", y, keepdims=0)
    with pytest.raises(MissingGradientError, match="no gradient rule for the operator `Hardmax` in layer `odd1`"):
        differentiate(g, loss, [x])
