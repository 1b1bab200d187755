"""`sparknet report`, and the flags of `sparknet run` that tell other tools of a run."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_commands import QUICK, fails, sparknet


def test_the_report_of_a_run_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "quick.net").write_text(QUICK)
    run = sparknet("run", "quick.net", "--local", "-o", "v1.0", "--tensorboard", "events", cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, ""), run
    assert list((tmp_path / "events").glob("events.out.tfevents.*"))
    done = sparknet("report", "v1.0", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert (tmp_path / "v1.0.html").read_bytes() == (tmp_path / "v1.0" / "report.html").read_bytes()
    fails(sparknet("report", "v1.0", "-o", "none/report.html", cwd=tmp_path), "error[R0050]", "cannot be written")
    full = sparknet("report", "v1.0", "-o", "/dev/full", cwd=tmp_path)  # a disk without room, as the kernel tells it
    fails(full, "error[R0050]: `/dev/full` cannot be written: No space left on device")
    fails(sparknet("report", "v2.0", cwd=tmp_path), "error[R0041]")


def test_what_a_tracker_lacks_is_said_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "quick.net").write_text(QUICK)
    done = sparknet("run", "quick.net", "--local", "--experiment", "mine", cwd=tmp_path)
    assert done.returncode == 2
    assert "give `--mlflow URI` too" in done.stderr
    done = sparknet("run", "quick.net", "--local", "--tensorboard", "quick.net", cwd=tmp_path)
    fails(done, "error[R0081]", "`quick.net` can hold no event files")
    assert "round" not in done.stdout
