"""Learning-rate schedules against PyTorch's, step by step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR, StepLR

from sparknet.compiler import check
from sparknet.compiler.schedules import Rates, plan_rates

NET = """
net N {{
  input x: float[1]
  dense(1)
  output y: float[1]
}}
train {{
  optimizer = sgd(lr: 0.3)
  schedule  = {schedule}
  steps     = 60
}}
"""

CASES: dict[str, Callable[[Optimizer], LRScheduler]] = {
    "cosine": lambda o: CosineAnnealingLR(o, 60),
    "cosine(to: 0.02)": lambda o: CosineAnnealingLR(o, 60, 0.02),
    "step(steps: 7)": lambda o: StepLR(o, 7),
    "step(factor: 0.5, epochs: 1.5)": lambda o: StepLR(o, 18, 0.5),
    "warmup(steps: 9)": lambda o: LinearLR(o, 1 / 10, 1.0, 9),
    "[warmup(epochs: 1), cosine]": lambda o: SequentialLR(
        o, [LinearLR(o, 1 / 13, 1.0, 12), CosineAnnealingLR(o, 48)], [12]
    ),
    "[cosine(steps: 20), cosine(epochs: 2, to: 0.1), step(steps: 6, factor: 0.7)]": lambda o: SequentialLR(
        o, [CosineAnnealingLR(o, 20), CosineAnnealingLR(o, 24, 0.1), StepLR(o, 6, 0.7)], [20, 44]
    ),
}


def rates_of(schedule: str) -> Rates:
    """The rates of a run of 60 steps, 12 of them an epoch."""
    train = check(NET.format(schedule=schedule)).net.train
    return plan_rates(train.optimizer.lr, train.schedule, 12, 60)


@pytest.mark.parametrize("schedule", CASES)
@pytest.mark.filterwarnings("ignore:The epoch parameter")  # SequentialLR's own use of it
def test_the_rate_of_every_step_is_pytorchs(schedule: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = CASES[schedule](optimizer)
    expected = []
    for _ in range(60):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    found = [rates_of(schedule).at(step) for step in range(60)]
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert len(set(found)) > 1


def test_a_phase_that_is_over_leaves_the_rate_where_it_was() -> None:
    rates = rates_of("cosine(steps: 10, to: 0.1)")
    assert [rates.at(step) for step in (0, 5, 10, 59)] == pytest.approx([0.3, 0.2, 0.1, 0.1])


def test_no_schedule_is_the_rate_of_the_optimizer() -> None:
    assert plan_rates(0.3, (), 12, 60).at(59) == 0.3
