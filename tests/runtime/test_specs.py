"""Every spec that names its data learns from it."""

from __future__ import annotations

from pathlib import Path

import pytest

import sparknet
from sparknet.runtime.runs import run_local

SPECS = Path(__file__).parents[2] / "specs"
SCORES = {
    "digits": 0.96,
    "residual": 0.97,
    "recurrent": 0.95,
    "transformer": 0.95,
    "autoencoder": 0.017,  # of a variance of 0.073, the mean over the pixels
    "conv_autoencoder": 0.018,
    "diabetes": 0.25,  # r2; linear regression explains about a third of the variance too
    "iris": 0.9,
    "rnn": 0.95,
    "search": 0.93,
}
"""The accuracy, or of a regression the r2, that the test rows reach at least, or the mean squared error that is left at
most."""


@pytest.mark.parametrize("name", SCORES)
def test_the_specs_learn(name: str) -> None:
    net = sparknet.compile(SPECS / f"{name}.net").with_train(workers=2)
    metrics = run_local(net).scores["test"].metrics
    if "mse" in metrics:
        assert metrics["mse"] < SCORES[name]
    else:
        assert metrics.get("accuracy", metrics.get("r2")) > SCORES[name]


def test_no_spec_with_data_is_left_out() -> None:
    assert set(SCORES) == {file.stem for file in SPECS.glob("*.net") if sparknet.compile(file).data is not None}
