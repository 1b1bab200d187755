"""The graphs that nets compile to, as text: a change that moves an operator is seen in the diff.

`SPARKNET_UPDATE=1 pytest tests/compiler/test_golden.py` writes the texts anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import sparknet
from tests.catalogue import check_text
from tests.compiler.graph_text import graph_text

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
CORPUS = ROOT / "tests" / "grammar" / "valid"
NETS = [
    *sorted((ROOT / "specs").glob("*.net")),
    *sorted(GOLDEN.glob("*.net")),
    *(CORPUS / f"{name}.net" for name in ("compress", "gesture", "listing")),
]


@pytest.mark.parametrize("net", NETS, ids=[net.stem for net in NETS])
def test_the_graphs_are_these(net: Path) -> None:
    compiled = sparknet.compile(net)
    graphs = {
        "inference": compiled.inference(compiled.initial_parameters()),
        "evaluation": compiled.evaluation,
        "step": compiled.step,
    }
    text = "\n".join(f"----- {name} -----\n\n{graph_text(model)}" for name, model in graphs.items())
    check_text(GOLDEN / f"{net.stem}.txt", text)


def test_no_text_outlives_its_net() -> None:
    assert sorted(file.stem for file in GOLDEN.glob("*.txt")) == sorted(net.stem for net in NETS)
