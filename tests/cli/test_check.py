"""`sparknet check` as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sparknet.cli.main import cli

ROOT = Path(__file__).parents[2]
GOOD = "net N {\n  input x: float[4]\n  dense(3)\n  output y: float[3]\n}\n"
BAD = GOOD.replace("dense(3)", "dens(3)") + "train { epochs = 0 }\n"


def check(*arguments: object, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, arguments)], input=text, standalone_mode=False)


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "bad.net").write_text(BAD)
    (tmp_path / "broken.net").write_text("net {")
    (tmp_path / "good.net").write_text(GOOD)
    (tmp_path / "library.net").write_text("let a = 1\nblock B { relu }\n")
    return tmp_path


def test_all_errors_of_all_files_are_shown(nets: Path) -> None:
    result = check(nets)
    assert result.return_value == 1
    assert [line for line in result.stderr.splitlines() if line.startswith("error")] == [
        "error[E0201]: unknown layer `dens`",
        "error[E0502]: `epochs` must be at least 1, found `0`",
        "error[E0101]: expected a name for the net, found `{`",
    ]
    assert result.stderr.endswith("\n4 files checked, 3 errors\n")
    assert check(nets / "good.net", nets / "library.net").return_value == 0


def test_json_is_for_editors(nets: Path) -> None:
    result = check(nets, "--format", "json")
    first, *_ = found = json.loads(result.stdout)
    assert len(found) == 3
    assert (first["file"], first["line"], first["column"], first["end_column"]) == (str(nets / "bad.net"), 3, 3, 7)
    assert json.loads(check(nets / "good.net", "--format", "json").stdout) == []


def test_github_shows_errors_beside_the_lines(nets: Path) -> None:
    (nets / "bad.net").rename(nets / "a,b.net")
    result = check(nets / "a,b.net", "--format", "github")
    name = str(nets / "a,b.net").replace(",", "%2C")
    assert result.stdout.splitlines()[0] == (
        f"::error file={name},line=3,col=3,endLine=3,endColumn=7,title=E0201::"
        "unknown layer `dens`%0Ahelp: did you mean `dense`?"
    )


def test_the_standard_input(nets: Path) -> None:
    assert check("-", text=GOOD).return_value == 0
    assert "<stdin>:3:3" in check("-", text=BAD).stderr


def test_settings_and_a_missing_file(nets: Path) -> None:
    assert "--set train.epochs=no" in check(nets / "good.net", "--set", "train.epochs=no").stderr
    assert "no such file" in check(nets / "none.net").stderr


def test_a_check_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom sparknet.cli.main import cli\n"
        "status = cli(['check', 'specs/digits.net'], standalone_mode=False)\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'pyspark', 'pandas', 'rich'} & set(sys.modules)\n"
        "assert not status and not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_choices_are_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "search.net"
    file.write_text("let units = choose(3, 4)\n" + GOOD.replace("dense(3)", "dense(units)"))
    said = f"{file}: units = 3; `sparknet tune` searches\n1 file checked, no errors\n"
    assert check(file).stderr == said
    assert check(file, "--set", "units=3").stderr == "1 file checked, no errors\n"
    assert check(file, "--format", "json").stdout == "[]\n"
