"""The two engines on one net: the same losses over fifty steps on the same batches, and the same metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sparknet
from sparknet.runtime.engines.training import OnnxRuntimeTrainingEngine
from sparknet.runtime.runs import run_local
from tests_training.batches import STEPS, train
from tests_training.conftest import reference

SETTINGS = ["train.engine=onnxruntime-training"]
NETS, SPECS = reference("steps"), reference("runs")


def names(cases: list[dict[str, Any]]) -> list[str]:
    return [case["name"] for case in cases]


@pytest.mark.parametrize("case", NETS, ids=names(NETS))
def test_both_engines_find_the_same_losses(case: dict[str, Any]) -> None:
    """Each step starts from the vectors that the one before has given."""
    sums, _, _ = train(OnnxRuntimeTrainingEngine(), sparknet.compile(case["text"], settings=SETTINGS))
    assert len(sums) == STEPS
    np.testing.assert_allclose([s.mean_loss for s in sums], case["losses"], rtol=0, atol=1e-4)
    np.testing.assert_allclose([s.mean_metrics for s in sums], case["metrics"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", SPECS, ids=names(SPECS))
def test_both_engines_train_the_specs_alike(case: dict[str, Any]) -> None:
    """Fifty rounds of one step on the data of the spec."""
    history = run_local(sparknet.compile(case["text"], settings=SETTINGS)).history
    expected = case["scores"]
    assert len(history) == STEPS
    found, wanted = [r.train.loss for r in history], [s["loss"] for s in expected]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-4)  # of losses in the thousands, what float32 holds
    for record, score in zip(history, expected, strict=True):
        assert record.train.metrics == pytest.approx(score["metrics"], rel=1e-6, abs=1e-4)


def test_the_losses_move() -> None:
    # Otherwise engines that never take a step would agree.
    assert [case["name"] for case in NETS if abs(case["losses"][0] - case["losses"][-1]) < 1e-3] == []
