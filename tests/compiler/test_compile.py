"""The specs compile to valid files that stock ONNX Runtime and ONNX's own reference run alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import sparknet
from tests.compiler.engine import Graph

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"


def test_digits_agrees_with_the_reference() -> None:
    net = sparknet.compile(SPECS / "digits.net")
    flat = net.initial_parameters()
    random = np.random.default_rng(0)
    image = random.integers(0, 17, (3, 1, 8, 8)).astype(np.float32)
    digit = random.integers(0, 10, 3)
    # Not Adam's state of zeros, from which a gradient of 1e-9 takes a whole step to the side that rounding gives it.
    training = {"parameters": flat, "optimizer_state": np.ones_like(net.initial_optimizer_state())}
    scalars = {"learning_rate": np.array(0.001, np.float32), "seed": np.array(3, np.int64)}
    for model, feeds in (
        (net.inference(flat), {"image": image}),
        (net.evaluation, {"image": image, "digit": digit, "parameters": flat}),
        (net.step, {"image": image, "digit": digit, **training, **scalars}),
    ):
        found = Graph(model)(**feeds)
        with np.errstate(over="ignore"):
            expected = ReferenceEvaluator(model).run(None, feeds)
        for name, value in zip(found, expected, strict=True):
            np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)


def test_compiling_a_large_net_takes_little_memory() -> None:
    """4 million parameters, and an `Expand`, whose shape is inferred: 5 GB where that is done of flat vectors too."""
    code = (
        "import resource, sparknet\n"
        "net = 'net N {\\n input x: float[1, 8, 8]\\n conv(4, 3x3) -> globalavgpool -> dense(2000) -> dense(2000)\\n'\n"
        "sparknet.compile(net + ' output y: float[2000]\\n}')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1 << 20, "KiB; it takes 66 MiB"


def test_the_documents_list_at_full_size_agrees_with_the_reference() -> None:
    """At 224 x 224; about ten seconds, most of them the reference's, and there is no smaller way to say full size."""
    net = sparknet.compile(SPECS / "document.net")
    assert [row.type.shape for row in net.layers] == [
        (64, 224, 224), (128, 224, 224), (256, 224, 224), (512, 224, 224), (1024, 224, 224), (10,),
    ]  # fmt: skip
    assert net.parameter_count == 6_280_842
    onnx.checker.check_model(net.step, full_check=True)
    model = net.inference(net.initial_parameters())
    image = np.random.default_rng(0).random((1, 3, 224, 224), np.float32)
    found = Graph(model)(image=image)
    label, probability = ReferenceEvaluator(model).run(None, {"image": image})
    np.testing.assert_allclose(found["label_probability"], probability, atol=1e-4)
    assert found["label"] == label


@pytest.mark.parametrize("name", ["digits", "document", "residual", "listing", "compress", "gesture"])
def test_the_examples_of_the_language_compile(name: str) -> None:
    net = sparknet.compile(ROOT / "tests" / "grammar" / "valid" / f"{name}.net")
    for model in (net.step, net.evaluation, net.inference(net.initial_parameters())):
        onnx.checker.check_model(model, full_check=True)


def test_the_compiler_needs_neither_spark_nor_a_runtime() -> None:
    code = (
        "import sys, sparknet.compiler\n"
        "heavy = {'pyspark', 'onnxruntime', 'pandas', 'pyarrow', 'torch', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_one_seed_gives_one_start_and_another_gives_another() -> None:
    net = sparknet.compile(SPECS / "digits.net")
    assert net.initial_parameters().tobytes() == net.initial_parameters(0).tobytes()
    assert net.initial_parameters(0).tobytes() != net.initial_parameters(1).tobytes()


@pytest.mark.parametrize(("activation", "deviation"), [("relu", np.sqrt(2 / 400)), ("tanh", np.sqrt(2 / 1000))])
def test_initial_weights_have_the_variance_of_he_or_glorot(activation: str, deviation: float) -> None:
    net = sparknet.compile(f"net N {{\n input x: float[400]\n dense(600, {activation})\n output y: float[600]\n}}")
    weight, bias = np.split(net.initial_parameters(), [240_000])
    assert abs(weight.std() / deviation - 1) < 0.01
    assert abs(weight.mean()) < 5 * deviation / np.sqrt(240_000)
    assert not bias.any()


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ('column("x") / 16', [0.125, 0.5]),
        ('(column("x") - mean) * 2', [-6, 6]),
        ('-column("x") + 1 // 2', [-2, -8]),
        ('1 / column("x")', [0.5, 0.125]),
    ],
)
def test_the_arithmetic_of_a_binding_is_part_of_the_graph(binding: str, expected: list[float]) -> None:
    net = sparknet.compile(
        "let mean = 5\nnet N {\n input x: float[2]\n output y: float[2]\n}\n"
        f'data {{\n source = csv("x.csv")\n x = {binding}\n y = column("y")\n}}'
    )
    out = Graph(net.inference(np.zeros(0, np.float32)))(x=np.array([[2, 8]], np.float32))
    np.testing.assert_allclose(out["y"], [expected])
