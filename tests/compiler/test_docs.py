"""The nets in the documentation compile."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sparknet
from sparknet.compiler.folder import write_compiled
from sparknet.compiler.layers import JOINS, LAYERS
from sparknet.grammar import Source
from tests.compiler.foreign_models import backbone

ROOT = Path(__file__).parents[2]
NETS = [
    (page.name, text)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for text in re.findall(r"^```net\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("page", "text"), NETS, ids=[f"{page}-{k}" for k, (page, _) in enumerate(NETS)])
def test_a_net_on_the_page_compiles(page: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "backbone.onnx").write_bytes(backbone().SerializeToString())
    assert sparknet.compile(Source(page, text, tmp_path)).parameter_count > 0


def test_the_first_net_of_the_readme_is_the_spec() -> None:
    spec = (ROOT / "specs" / "digits.net").read_text()
    assert next(text for page, text in NETS if page == "README.md") in spec


def test_the_step_graph_trains_as_the_page_says(tmp_path: Path) -> None:
    write_compiled(sparknet.compile(ROOT / "specs" / "digits.net"), tmp_path / "build" / "digits")
    page = (ROOT / "docs" / "step-graph.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loss, accuracy = re.findall(r"[\d.]+", done.stdout)
    assert float(loss) < 0.5
    assert float(accuracy) > 90


def test_the_tree_for_programs_is_as_the_page_says(tmp_path: Path) -> None:
    """A net from the page on the language stands for the file that the code reads."""
    (tmp_path / "small.net").write_text(next(text for _, text in NETS if "let width" in text))
    page = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8").partition("\n## For programs\n")[2]
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "conv(32, 3x3, relu)" in done.stdout, "the summary has the width that was set"
    written = done.stdout[done.stdout.index("net Photos") :]
    assert '(128, 1, 1, 10, "SOFTMAX")' in written
    assert "optimizer = adam(lr: 0.001)" in written
    assert sparknet.check(written).net.name == "Photos"


def test_the_tests_that_the_page_on_faults_names_are_there() -> None:
    named = set(re.findall(r"\w+\.py", (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")))
    assert len(named) > 4
    assert named - {path.name for path in (ROOT / "tests" / "runtime").iterdir()} == set()


def test_the_reference_lists_every_layer() -> None:
    reference = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    assert [name for name in (*LAYERS, *JOINS) if not re.search(rf"`{name}[`(]", reference)] == []
