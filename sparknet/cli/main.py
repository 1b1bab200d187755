"""The `sparknet` command. Each subcommand lives in a file of its own and imports what it needs when it is called."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sparknet import __version__
from sparknet.cli.report import FORMATS, Format, Report
from sparknet.grammar import SparkNetError
from sparknet.runtime.spark.waits import JOB_SECONDS, START_SECONDS, Waits

NET_FILE = click.Path(path_type=Path)

_set = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a let, or a key: train.epochs=2."
)
_root = click.option("--root", type=NET_FILE, help="Folder that imports may reach.  [default: that of FILE]")
_SECONDS = click.FloatRange(0, min_open=True)
_job_timeout = click.option(
    "--job-timeout",
    type=_SECONDS,
    default=JOB_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long a job on Spark may take, such as a round.",
)
_start_timeout = click.option(
    "--start-timeout",
    type=_SECONDS,
    default=START_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long Spark may take to start and to give executors.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="sparknet")
def cli() -> None:
    """Neural networks on Spark from a short .net file."""


@cli.command("compile")
@click.argument("file", type=NET_FILE)
@click.option("-o", "--output", type=NET_FILE, help="Folder to write; without it only the table is shown.")
@_set
@_root
def compile_command(file: Path, output: Path | None, settings: tuple[str, ...], root: Path | None) -> None:
    """Compile FILE to ONNX graphs: inference, evaluation and a whole training step."""
    from sparknet.cli.compile import compile_file

    compile_file(file, output, settings, root)


@cli.command("check")
@click.argument("files", type=NET_FILE, nargs=-1, required=True)
@click.option("--format", "style", type=click.Choice(FORMATS), default="text", help="For people, editors or GitHub.")
@_set
@_root
def check_command(files: tuple[Path, ...], style: Format, settings: tuple[str, ...], root: Path | None) -> int:
    """Show everything that is wrong with FILES; a folder stands for the files in it, - for the standard input."""
    from sparknet.cli.check import check_files

    return check_files(files, settings, root, style)


@cli.command("fmt")
@click.argument("files", type=NET_FILE, nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
def fmt_command(files: tuple[Path, ...], check: bool, diff: bool) -> int:
    """Lay out FILES as all .net files are; a folder stands for the files in it, - for the standard input."""
    from sparknet.cli.fmt import format_files

    return format_files(files, check, diff)


@cli.command("summary")
@click.argument("file", type=NET_FILE)
@click.option("--unfold", is_flag=True, help="List the layers inside blocks, too.")
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text")
@_set
@_root
def summary_command(file: Path, unfold: bool, style: str, settings: tuple[str, ...], root: Path | None) -> None:
    """Show the layers of FILE: shapes, parameters, multiply-adds and memory for one row of data."""
    from sparknet.cli.summary import summarize_file

    summarize_file(file, unfold, style, settings, root)


@cli.command("plot")
@click.argument("file", type=NET_FILE)
@click.option("-o", "--output", type=NET_FILE, help="File to write.  [default: the standard output]")
@click.option("--format", "style", type=click.Choice(("svg", "mermaid")), help="[default: by the output, else svg]")
@click.option("--fold", is_flag=True, help="Draw each use of a block as one box.")
@_set
@_root
def plot_command(
    file: Path, output: Path | None, style: str | None, fold: bool, settings: tuple[str, ...], root: Path | None
) -> None:
    """Draw FILE, as SVG or as a Mermaid flowchart."""
    from sparknet.cli.plot import plot_file

    plot_file(file, output, style, fold, settings, root)


@cli.command("lsp")
def lsp_command() -> None:
    """Serve an editor: errors, completion, hover, definitions and formatting, over standard input and output."""
    from sparknet.cli.lsp import start

    start()


@cli.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of syntax trees, for other tools."""
    from sparknet.grammar import schema_text

    click.echo(schema_text(), nl=False)


@cli.command("run")
@click.argument("file", type=NET_FILE)
@click.option("-o", "--output", type=NET_FILE, help="Folder for the run.  [default: runs/NAME of FILE]")
@click.option("--workers", type=click.IntRange(1, 10_000), help="Workers, instead of what FILE says.")
@click.option("--master", help="Spark master, such as local[4], spark://host:7077 or sc://host.  [default: local[*]]")
@click.option("--local", is_flag=True, help="Train in this process, without Spark and Java.")
@click.option("--resume", is_flag=True, help="Go on with the run that was not finished, from its newest checkpoint.")
@click.option(
    "--checkpoints",
    metavar="DIR_OR_URI",
    help="Where checkpoints lie, such as s3a://bucket/run.  [default: FOLDER.checkpoints]",
)
@click.option(
    "--data", "data_roots", multiple=True, metavar="DIR_OR_URI", help="Where FILE may read data, beside its own folder."
)
@click.option("--tensorboard", type=NET_FILE, metavar="DIR", help="Write event files for TensorBoard into DIR.")
@click.option("--mlflow", metavar="URI", help="Log the run to MLflow: http://host:5000, sqlite:///mlflow.db.")
@click.option("--experiment", metavar="NAME", help="Experiment of MLflow.  [default: Default]")
@_job_timeout
@_start_timeout
@_set
@_root
def run_command(
    file: Path,
    output: Path | None,
    workers: int | None,
    master: str | None,
    local: bool,
    resume: bool,
    checkpoints: str | None,
    data_roots: tuple[str, ...],
    tensorboard: Path | None,
    mlflow: str | None,
    experiment: str | None,
    job_timeout: float,
    start_timeout: float,
    settings: tuple[str, ...],
    root: Path | None,
) -> None:
    """Train FILE on its data, score it on the test split and save the run."""
    _check_where(master, local)
    if experiment is not None and mlflow is None:
        raise click.UsageError("`--experiment` is one of MLflow: give `--mlflow URI` too")
    from sparknet.cli.run import run_file, trackers_of

    waits = Waits(job_timeout, start_timeout)
    output = output or Path("runs") / file.stem
    trackers = trackers_of(tensorboard, mlflow, experiment)
    run_file(file, output, workers, master, local, settings, root, data_roots, resume, waits, checkpoints, trackers)


@cli.command("report")
@click.argument("run", type=NET_FILE)
@click.option("-o", "--output", type=NET_FILE, help="File to write.  [default: RUN.html]")
def report_command(run: Path, output: Path | None) -> None:
    """Write the report of the run in the folder RUN, an HTML file, anew."""
    from sparknet.cli.run import write_report

    write_report(run, output or run.absolute().with_name(f"{run.absolute().name}.html"))


@cli.command("tune")
@click.argument("file", type=NET_FILE)
@click.option("-o", "--output", type=NET_FILE, help="Folder for the search.  [default: runs/NAME-tune of FILE]")
@click.option("--trials", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Trials at most.")
@click.option("--metric", help="Score to compare trials by.  [default: that of early_stop, else the loss]")
@click.option(
    "--workers", type=click.IntRange(1, 10_000), help="Workers of each trial.  [default: as FILE says, else 1]"
)
@click.option(
    "--parallel", type=click.IntRange(1, 10_000), help="Trials at a time.  [default: as many as there is room]"
)
@click.option(
    "--batch", type=click.IntRange(1, 10_000), default=8, show_default=True, help="Trials asked for together."
)
@click.option("--no-pruning", is_flag=True, help="Train every trial to its end.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), help="Seconds after which no trial begins.")
@click.option("--master", help="Spark master, such as local[4] or spark://host:7077.  [default: local[*]]")
@click.option("--local", is_flag=True, help="Train in this process, without Spark and Java.")
@click.option("--resume", is_flag=True, help="Go on with the search in the output folder.")
@click.option(
    "--data", "data_roots", multiple=True, metavar="DIR_OR_URI", help="Where FILE may read data, beside its own folder."
)
@_job_timeout
@_start_timeout
@_set
@_root
def tune_command(
    file: Path,
    output: Path | None,
    trials: int,
    metric: str | None,
    workers: int | None,
    parallel: int | None,
    batch: int,
    no_pruning: bool,
    timeout: float | None,
    master: str | None,
    local: bool,
    resume: bool,
    data_roots: tuple[str, ...],
    job_timeout: float,
    start_timeout: float,
    settings: tuple[str, ...],
    root: Path | None,
) -> None:
    """Find the best values for the choices of FILE, by its validation rows, and save the run with them."""
    _check_where(master, local)
    from sparknet.cli.tune import tune_file
    from sparknet.runtime.tuning.tune import Options

    options = Options(trials, metric, workers, parallel, batch, not no_pruning, timeout, resume)
    folder = output or Path("runs") / f"{file.stem}-tune"
    waits = Waits(job_timeout, start_timeout)
    tune_file(file, folder, options, master, local, settings, root, data_roots, waits)


@cli.command("predict")
@click.argument("run", type=NET_FILE)
@click.option("--input", "source", help="Rows to score: a file, a folder, or a source such as 'digits()'.")
@click.option("--output", type=NET_FILE, help="Where the scored rows go: a .parquet, .csv, .json or .orc file.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Keep only this column of the input (repeatable).")
@click.option("--master", help="Spark master, such as local[4], spark://host:7077 or sc://host.  [default: local[*]]")
@click.option("--local", is_flag=True, help="Score in this process, without Spark and Java.")
@_job_timeout
@_start_timeout
def predict_command(
    run: Path,
    source: str | None,
    output: Path | None,
    keep: tuple[str, ...],
    master: str | None,
    local: bool,
    job_timeout: float,
    start_timeout: float,
) -> None:
    """Score rows with the trained net in the folder RUN."""
    _check_where(master, local)
    from sparknet.cli.predict import predict_rows

    predict_rows(run, source, output, keep or None, master, local, Waits(job_timeout, start_timeout))


def _check_where(master: str | None, local: bool) -> None:
    if local and master is not None:
        raise click.UsageError("`--local` trains and scores without Spark, so it takes no `--master`")


def main() -> None:
    """Run a command; what a user can mend is printed as diagnostics, with exit status 1."""
    try:
        status = cli(standalone_mode=False)
    except SparkNetError as error:
        report = Report()
        report.add(error)
        report.show()
        sys.exit(1)
    except click.Abort as error:
        click.echo("; ".join(["interrupted", *map(str, error.args)]), err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(status or 0)


if __name__ == "__main__":
    main()
