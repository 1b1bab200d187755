"""Editors know the params and the results of every stage: a program that uses them is checked as strictly as ours."""

from __future__ import annotations

import re
from pathlib import Path

from mypy import api

import sparknet.ml

PROGRAM = Path(__file__).with_name("typed_program.py")


def check(path: Path, folder: Path) -> str:
    found, problems, status = api.run(["--strict", "--no-error-summary", f"--cache-dir={folder}", str(path)])
    assert status in (0, 1), problems
    return found


def test_a_program_is_checked(tmp_path: Path) -> None:
    assert check(PROGRAM, tmp_path / "cache") == ""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from sparknet.ml import CNNClassifier, ImageFeature\n"
        "CNNClassifier(layer=[])\n"
        'ImageFeature(resizeMode="squeeze")\n'
        'CNNClassifier().setMaxIter("3")\n'
    )
    assert re.findall(r"wrong.py:(\d): error", check(wrong, tmp_path / "cache")) == ["2", "3", "4"]


def test_every_stage_is_in_the_program() -> None:
    text = PROGRAM.read_text()
    assert [name for name in sparknet.ml.__all__ if name not in text] == []
