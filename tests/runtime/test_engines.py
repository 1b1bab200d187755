"""Which package an engine needs, and what is said where another is installed."""

from __future__ import annotations

import pytest

from sparknet.grammar import SparkNetError
from sparknet.runtime.engines.base import OnnxRuntimeEngine
from sparknet.runtime.engines.choose import check_packages, engine_for
from sparknet.runtime.runs import run_local
from tests.runtime.conftest import Path, small_net

TRAINING, STOCK = {"onnxruntime-training-cpu": "1.19.2"}, {"onnxruntime": "1.32.0"}


def test_a_run_asks_for_the_package_of_its_engine(folder: Path) -> None:
    assert engine_for("onnxruntime") == OnnxRuntimeEngine()
    net = small_net(folder).with_train(engine="onnxruntime-training")
    with pytest.raises(SparkNetError) as refused:
        run_local(net, folder / "run")
    first, *rest = str(refused.value).splitlines()
    assert first.startswith(
        "error[R0070]: the engine `onnxruntime-training` needs the package onnxruntime-training-cpu, "
        "and this environment has onnxruntime "
    )
    assert rest == [
        "   = note: it comes for Python 3.9 to 3.12",
        "   = help: pip uninstall -y onnxruntime && pip install onnxruntime-training-cpu==1.19.2",
        "   = help: or train with `engine = onnxruntime`",
    ]
    assert not (folder / "run").exists()


def test_the_stock_engine_takes_no_package_but_its_own_or_another_build_of_it() -> None:
    check_packages("onnxruntime", STOCK)
    check_packages("onnxruntime", {})
    with pytest.raises(SparkNetError, match=r"needs the package onnxruntime, .* has onnxruntime-training-cpu 1.19.2"):
        check_packages("onnxruntime", TRAINING)


def test_the_training_engine_takes_its_own_package_alone() -> None:
    check_packages("onnxruntime-training", TRAINING)
    with pytest.raises(SparkNetError, match="this environment has neither of the two"):
        check_packages("onnxruntime-training", {})


@pytest.mark.parametrize("engine", ["onnxruntime", "onnxruntime-training"])
def test_both_packages_are_one_too_many(engine: str) -> None:
    with pytest.raises(SparkNetError) as refused:
        check_packages(engine, STOCK | TRAINING)  # type: ignore[arg-type]
    said = str(refused.value)
    assert "both are the module `onnxruntime`, so an environment holds one of them" in said
    assert "pip uninstall -y onnxruntime onnxruntime-training-cpu && pip install " in said
