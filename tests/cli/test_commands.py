"""The commands as a user runs them: what they print, what they leave, how they end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "specs" / "digits.net"
QUICK = SPEC.read_text().replace("epochs    = 10", "epochs    = 3")


def sparknet(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", "from sparknet.cli.main import main; main()"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def fails(done: subprocess.CompletedProcess[str], *texts: str) -> None:
    """It ended with an error message that holds these texts and with nothing that looks like a crash."""
    assert done.returncode == 1, done
    for text in texts:
        assert text in done.stderr, done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "quick.net").write_text(QUICK)
    return tmp_path


def test_run_then_predict_in_this_process(here: Path) -> None:
    run = sparknet("run", "quick.net", "--local", "--workers", "2", cwd=here)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    for text in (
        "dense(128, relu)",
        "151,306",
        "1,797",
        "3/3",
        "2 workers in this process",
        "\ntime       ",
        "accuracy",
        "runs/quick",
    ):
        assert text in run.stdout
    arguments = ("--input", "digits()", "--output", "out.parquet", "--keep", "label", "--local")
    predict = sparknet("predict", "runs/quick", *arguments, cwd=here)
    assert predict.returncode == 0, predict.stderr
    scored = pq.read_table(here / "out.parquet")
    assert scored.column_names == ["label", "digit_predicted", "digit_probability"]
    hits = sum(a == b for a, b in zip(scored["label"].to_pylist(), scored["digit_predicted"].to_pylist(), strict=True))
    assert hits / scored.num_rows > 0.9


def test_run_and_predict_on_spark(here: Path) -> None:
    """Slow (two Sparks start), but it is the main way."""
    run = sparknet("run", "quick.net", "-o", "on_spark", "--master", "local[2]", cwd=here)
    assert run.returncode == 0, run.stderr
    assert run.stderr == "", "Spark stays quiet"
    local = sparknet("run", "quick.net", "-o", "here", "--local", "--workers", "2", cwd=here)
    assert local.returncode == 0, local.stderr
    for name in ("parameters.safetensors", "optimizer_state.safetensors", "inference.onnx"):
        assert (here / "on_spark" / name).read_bytes() == (here / "here" / name).read_bytes()
    predict = sparknet("predict", "on_spark", "--input", "digits()", "--output", "out.parquet", cwd=here)
    assert predict.returncode == 0, predict.stderr
    assert pq.read_table(here / "out.parquet").num_rows == 1797


def test_without_java_run_says_so_and_goes_on(here: Path) -> None:
    tools = here / "bin"
    tools.mkdir()
    done = sparknet("run", "quick.net", cwd=here, PATH=str(tools), JAVA_HOME="")
    assert done.returncode == 0, done.stderr
    assert "no Java here" in done.stdout
    assert "openjdk-17-jre-headless" in done.stdout
    assert (here / "runs" / "quick" / "manifest.json").is_file()


def test_compile_writes_the_graphs(here: Path) -> None:
    done = sparknet("compile", "quick.net", "-o", "build/quick", cwd=here)
    assert done.returncode == 0, done.stderr
    assert "151,306" in done.stdout
    names = {"net.net", "inference.onnx", "evaluation.onnx", "step.onnx", "parameters.safetensors", "manifest.json"}
    assert {path.name for path in (here / "build" / "quick").iterdir()} == names


def test_bad_input_gets_one_clear_message(here: Path) -> None:
    (here / "broken.net").write_text(QUICK.replace("maxpool(2)", "maxpol(2)").replace("dropout(0.3)", "dropout(0.3"))
    fails(sparknet("compile", "broken.net", cwd=here), "error[E0102]", "dropout(0.3")
    (here / "unknown.net").write_text(QUICK.replace("maxpool(2)", "maxpol(2)"))
    fails(sparknet("run", "unknown.net", cwd=here), "unknown.net:8:3", "did you mean `maxpool`?")
    (here / "shape.net").write_text(QUICK.replace("  flatten\n", ""))
    fails(sparknet("run", "shape.net", cwd=here), "`dense` needs a vector", "put `flatten` before it")
    fails(sparknet("compile", "nothing.net", cwd=here), "nothing.net")
    (here / "missing.net").write_text(QUICK.replace("digits()", 'parquet("rows.parquet")'))
    fails(sparknet("run", "missing.net", "--local", cwd=here), "rows.parquet", "missing.net:18:12")
    (here / "column.net").write_text(QUICK.replace('"pixels"', '"pixel"'))
    fails(sparknet("run", "column.net", "--local", cwd=here), "`pixel`", "did you mean `pixels`")
    (here / "classes.net").write_text(QUICK.replace("class[10]", "class[9]").replace("dense(10)", "dense(9)"))
    fails(sparknet("run", "classes.net", "--local", cwd=here), "9", "label")
    (here / "taken").mkdir()
    fails(sparknet("run", "quick.net", "--local", "-o", "taken", cwd=here), "`taken` exists already")
    assert sparknet("run", "quick.net", "--local", "-o", "taken", cwd=here).stdout == ""
    fails(sparknet("predict", "taken", "--input", "digits()", "--output", "o.parquet", "--local", cwd=here), "taken")


def test_a_damaged_run_is_named(here: Path) -> None:
    assert sparknet("run", "quick.net", "--local", cwd=here).returncode == 0
    run = here / "runs" / "quick"
    data = bytearray((run / "inference.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (run / "inference.onnx").write_bytes(data)
    arguments = ("predict", "runs/quick", "--input", "digits()", "--output", "o.parquet", "--local")
    fails(sparknet(*arguments, cwd=here), "inference.onnx` is damaged")
    shutil.rmtree(run)
    fails(sparknet(*arguments, cwd=here), "there is no run folder")


def test_where_to_run(here: Path) -> None:
    done = sparknet("run", "quick.net", "--local", "--master", "local[2]", cwd=here)
    assert done.returncode == 2
    assert "takes no `--master`" in done.stderr
    done = sparknet("run", "quick.net", "--master", "locl[2]", cwd=here)
    fails(done, "Spark knows no master `locl[2]`", "local[4]")
    assert done.stdout == ""


def test_a_wrong_option_shows_the_usage(here: Path) -> None:
    done = sparknet("run", "quick.net", "--worker", "2", cwd=here)
    assert done.returncode == 2
    assert "--workers" in done.stderr


def test_the_predict_section_says_what_the_command_line_does_not(here: Path) -> None:
    section = '\npredict {\n  input  = digits()\n  output = parquet("scores.parquet")\n  keep   = ["label"]\n}\n'
    (here / "quick.net").write_text(QUICK + section)
    assert sparknet("run", "quick.net", "--local", "--set", "train.epochs=1", cwd=here).returncode == 0
    done = sparknet("predict", "runs/quick", "--local", cwd=here)
    assert done.returncode == 0, done.stderr
    assert "scores.parquet  (1,797 rows)" in done.stdout
    assert pq.read_table(here / "scores.parquet").column_names == ["label", "digit_predicted", "digit_probability"]


def test_predict_needs_rows_and_a_place_for_the_scores(here: Path) -> None:
    assert sparknet("run", "quick.net", "--local", "--set", "train.epochs=1", cwd=here).returncode == 0
    fails(sparknet("predict", "runs/quick", "--local", cwd=here), "error[R0053]", "--input")
    fails(sparknet("predict", "runs/quick", "--input", "digits()", "--local", cwd=here), "error[R0053]", "--output")
