"""The catalogue of what the compiler complains about: `invalid/NAME.net` and, in `NAME.txt`, its exact words."""

from __future__ import annotations

from pathlib import Path

import pytest

import sparknet
from sparknet.compiler.codes import CODES
from sparknet.grammar import SparkNetError, load
from tests.catalogue import check_text

FILES = sorted((Path(__file__).parent / "invalid").glob("*.net"))


@pytest.mark.parametrize("file", FILES, ids=[f.stem for f in FILES])
def test_the_message_is_exactly_this(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that begins with `# --set width=0` or `# --root ..` is compiled with these options."""
    monkeypatch.chdir(file.parent)
    source = load(file.name)
    options = [line[2:].split(" ", 1) for line in source.text.splitlines() if line.startswith("# --")]
    settings = [value for name, value in options if name == "--set"]
    root = next((value for name, value in options if name == "--root"), None)
    with pytest.raises(SparkNetError) as raised:
        sparknet.compile(source, settings=settings, root=root)
    check_text(file.with_suffix(".txt"), f"{raised.value}\n")


def test_every_code_has_an_example() -> None:
    said = "".join(file.with_suffix(".txt").read_text() for file in FILES)
    folders = {"E0601"}  # needs no .net file but a folder: test_folder.py
    assert {code for code in CODES if f"error[{code}]" not in said} == folders


def test_a_mistake_in_the_middle_is_reported_once() -> None:
    with pytest.raises(SparkNetError) as raised:
        sparknet.compile("net N {\n input x: float[4]\n dens(3)\n dense(0)\n relu\n output y: float[3]\n}")
    assert [d.code for d in raised.value.diagnostics] == ["E0201", "E0303"]
