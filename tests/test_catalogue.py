"""Expected texts are never written anew where nobody reads the diff."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.catalogue import check_text


def test_ci_updates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKNET_UPDATE", "1")
    monkeypatch.setenv("CI", "true")
    (tmp_path / "text").write_text("old")
    with pytest.raises(AssertionError, match="SPARKNET_UPDATE"):
        check_text(tmp_path / "text", "new")
    assert (tmp_path / "text").read_text() == "old"
