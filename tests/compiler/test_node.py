"""The step graph runs elsewhere: Node.js trains on it and gets the losses that Python gets."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import sparknet
from sparknet.compiler.folder import write_compiled
from tests.compiler.engine import Array, Graph

ROOT = Path(__file__).parents[2]
NODE = ROOT / "tests" / "node"

NETS = {
    "convolution, batch normalisation and dropout": """
net Images {
  input image: float[3, 8, 8]
  conv(8, 3x3) -> batchnorm -> relu -> maxpool(2) -> flatten
  dropout(0.4) -> dense(16, relu) -> dropout(0.2) -> dense(5)
  output kind: class[5]
}
""",
    "a recurrent layer, by Scan": """
net Signals {
  input signal: float[12, 4]
  lstm(10, return: sequence) -> gru(8)
  dense(5)
  output kind: class[5]
}
train { optimizer = adam(lr: 0.01) }
""",
}
TOLERANCE = 1e-4
"""Relative. The releases of ONNX Runtime differ (npm's lag behind), and so may the order of their float32 sums, which
ten steps of Adam enlarge; found were differences below 1e-6."""


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"`{name}` is not on PATH: this test needs Node.js 18 or later with npm"
    return found


@pytest.fixture(scope="module")
def modules() -> Path:
    """The npm packages that `tests/node` pins, installed there, which takes a second where they are already."""
    install = [
        program("npm"),
        "install",
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--prefer-offline",
    ]
    done = subprocess.run(install, cwd=NODE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"npm could not install the packages of tests/node/package.json:\n{done.stderr}"
    return NODE / "node_modules"


def node(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run([program("node"), *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses_in_python(net: sparknet.CompiledNet, batch: dict[str, Array]) -> list[float]:
    step = Graph(net.step)
    parameters, state = net.initial_parameters(), net.initial_optimizer_state()
    losses = []
    for seed in range(10):
        rate = net.train.optimizer.lr
        found = step(**batch, parameters=parameters, optimizer_state=state, learning_rate=rate, seed=seed)
        parameters, state = found["new_parameters"], found["new_optimizer_state"]
        losses.append(float(found["loss"]))
    return losses


@pytest.mark.parametrize("text", NETS.values(), ids=NETS)
def test_ten_steps_give_the_losses_of_python(text: str, modules: Path, tmp_path: Path) -> None:
    net = sparknet.compile(text)
    write_compiled(net, tmp_path / "net")
    random = np.random.default_rng(0)
    (port,) = net.inputs
    batch = {
        port.name: random.normal(size=(16, *port.type.shape)).astype(np.float32),
        "kind": random.integers(0, 5, 16),
    }
    written = {k: {"type": str(a.dtype), "dims": a.shape, "data": a.ravel().tolist()} for k, a in batch.items()}
    (tmp_path / "batch.json").write_text(json.dumps(written))
    found = json.loads(node(NODE / "train.mjs", tmp_path / "net", tmp_path / "batch.json", cwd=tmp_path))
    expected = losses_in_python(net, batch)
    assert expected[-1] < expected[0]
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE)


def test_the_program_on_the_page_trains(modules: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "step-graph.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```js\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    net = sparknet.compile(ROOT / "specs" / "digits.net")
    write_compiled(net, tmp_path / "build" / "digits")
    (tmp_path / "train.mjs").write_text(code, encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(modules)
    found = [float(line) for line in node("train.mjs", cwd=tmp_path).split()]
    image = (np.arange(32 * 64) ** 2 % 17).astype(np.float32).reshape(32, 1, 8, 8)
    expected = losses_in_python(net, {"image": image, "digit": np.arange(32) % 10})
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE)
