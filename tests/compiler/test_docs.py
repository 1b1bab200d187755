"""The nets in the documentation compile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sparknet

ROOT = Path(__file__).parents[2]
NETS = [
    (page.name, text)
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for text in re.findall(r"^```net\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("page", "text"), NETS, ids=[f"{page}-{k}" for k, (page, _) in enumerate(NETS)])
def test_a_net_on_the_page_compiles(page: str, text: str) -> None:
    assert sparknet.compile(text).parameter_count > 0


def test_the_first_net_of_the_readme_is_the_spec() -> None:
    spec = (ROOT / "specs" / "digits.net").read_text()
    assert next(text for page, text in NETS if page == "README.md") in spec


def test_the_reference_lists_every_layer() -> None:
    from sparknet.compiler.layers import LAYERS

    reference = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    assert [name for name in LAYERS if f"`{name}`" not in reference] == []
