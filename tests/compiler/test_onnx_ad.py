"""Every gradient rule against those of onnx-ad, which transforms ONNX graphs too, by rules of its own."""

from __future__ import annotations

import numpy as np
import onnx_ad
import pytest
import torch

from tests.compiler.gradient_cases import CASES, Case
from tests.compiler.test_gradients import build, evaluator_of, forward, values


def refusal(case: Case) -> str | None:
    """Why onnx-ad 0.3 differentiates this case in no input or not in all, in its own words; None where it does."""
    match case.op:
        case "Conv" if case.attributes.get("group", 1) > 1:
            return "a grouped Conv is not differentiated with respect to its weight"
        case "ConvTranspose":
            return "ConvTranspose is not differentiated with respect to its weight"
        case "Slice" if len(case.ints) > 3:
            return "Slice with a step other than 1 is not differentiated in reverse mode"
        case "BatchNormalization" if case.attributes.get("training_mode"):
            return "BatchNormalization with training_mode is not differentiated"
    return None


@pytest.mark.parametrize("case", CASES, ids=[f"{c.op}-{k}" for k, c in enumerate(CASES)])
def test_a_rule_agrees_with_onnx_ad(case: Case) -> None:
    arrays = values(case)
    weights = np.random.default_rng(1).normal(size=tuple(case.torch(*map(torch.tensor, arrays)).shape))
    plain, names, _ = forward(case, arrays, weights, fixed=True)
    why = refusal(case)
    if why is not None:
        with pytest.raises(onnx_ad.UnsupportedOperator, match=why):
            onnx_ad.reverse(plain.model(), layout="onnx")
        return
    theirs = onnx_ad.reverse(plain.model(), layout="onnx")  # each adjoint with a last axis, of one seed
    ours, _ = build(case, arrays, weights)
    feeds = dict(zip(names, arrays, strict=True))
    found = evaluator_of(ours.model(), case).run([f"d{i}" for i in range(len(names))], feeds)
    expected = evaluator_of(theirs, case).run([f"adj_{name}" for name in names], {**feeds, "adj_loss": np.ones(1)})
    for name, gradient, adjoint in zip(names, found, expected, strict=True):
        assert adjoint.shape == (*gradient.shape, 1)
        np.testing.assert_allclose(gradient, adjoint[..., 0], rtol=1e-6, atol=1e-6, err_msg=name)
