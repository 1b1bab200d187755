"""`sparknet fmt` as a command."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sparknet.cli.main import cli

UGLY = "net  A {\ninput x:float[3]   # three\nrelu\n}"
TIDY = "net A {\n  input x: float[3]                   # three\n  relu\n}\n"


def fmt(*arguments: object, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["fmt", *map(str, arguments)], input=text, standalone_mode=False)


@pytest.fixture
def ugly(tmp_path: Path) -> Path:
    (tmp_path / "a.net").write_text(UGLY)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.net").write_text(TIDY)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "c.net").write_text(UGLY)
    return tmp_path


def test_files_are_formatted_in_place(ugly: Path) -> None:
    (ugly / "a.net").chmod(0o640)
    (ugly / "link.net").symlink_to("a.net")
    result = fmt(ugly)
    assert (result.return_value, result.output) == (0, f"formatted {ugly}/a.net\n")
    assert (ugly / "a.net").read_text() == TIDY
    assert stat.S_IMODE((ugly / "a.net").stat().st_mode) == 0o640
    assert (ugly / "link.net").is_symlink()
    assert (ugly / ".hidden" / "c.net").read_text() == UGLY
    assert fmt(ugly).output == ""


def test_check_writes_nothing(ugly: Path) -> None:
    result = fmt(ugly, "--check")
    assert (result.return_value, result.output) == (1, f"would format {ugly}/a.net\n")
    assert (ugly / "a.net").read_text() == UGLY
    assert fmt(ugly / "sub", "--check").return_value == 0


def test_diff_shows_what_would_change(ugly: Path) -> None:
    result = fmt(ugly, "--diff")
    assert result.return_value == 0
    assert "-net  A {\n" in result.output
    assert "+  relu\n" in result.output
    assert (ugly / "a.net").read_text() == UGLY
    assert fmt(ugly, "--diff", "--check").return_value == 1


def test_the_standard_input_goes_to_the_standard_output() -> None:
    assert fmt("-", text=UGLY).stdout == TIDY
    assert fmt("-", "--check", text=UGLY).return_value == 1


def test_a_broken_file_is_left_alone_and_the_others_are_formatted(ugly: Path) -> None:
    (ugly / "0.net").write_text("net {")
    result = fmt(ugly)
    assert result.return_value == 1
    assert "0.net:1:5" in result.stderr
    assert (ugly / "0.net").read_text() == "net {"
    assert (ugly / "a.net").read_text() == TIDY


def test_bytes_that_are_no_text() -> None:
    result = CliRunner().invoke(cli, ["fmt", "-"], input=b"\xff", standalone_mode=False)
    assert result.return_value == 1
    assert "<stdin>" in result.stderr


def test_a_folder_that_may_not_be_written(ugly: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:  # root, who runs CI, may write everywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    assert "E0127" in fmt(ugly).stderr
