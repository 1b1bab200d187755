"""Where the time goes from `sparknet run` to the first training step, on Spark and in one process.

    python bench/startup.py                       # seconds by the clock, medians of three processes each
    python bench/startup.py --spec specs/rnn.net --turns 5

Each run is a process of its own, which does what the command does, with rounds of one step, and stops behind the first
of them. On Spark that round starts the Python workers, and they their session of ONNX Runtime.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

SPEC = Path(__file__).parents[1] / "specs" / "digits.net"
ONE_STEP = ("train.sync=average(every: 1)", "train.workers=2")
PARTS = {
    "imports": "Python and imports",
    "compile": "compiling the net",
    "spark": "starting Spark",
    "opening": "looking at the cluster and its executors",
    "graph": "the training graph as bytes",
    "data": "reading and encoding rows",
    "first": "the first round, of one step",
    "session": "of that, ONNX Runtime's session",
    "rest": "all else: checks, the table of layers",
}
INSIDE = frozenset({"session"})
"""Not to be added to the others."""


class FirstRoundDoneError(Exception):
    """Ends a run."""


def child(spec: str, local: bool, began: float) -> None:
    """One run; prints the seconds of its parts as JSON."""
    import sparknet.cli.main  # noqa: F401 - what the command imports
    from sparknet.cli import run as command
    from sparknet.cli.tables import layer_table, make_console
    from sparknet.runtime.engines import base
    from sparknet.runtime.runs import OnSpark
    from sparknet.runtime.training.records import Note, Prepared, RoundRecord

    seconds = {"imports": time.time() - began}

    def timed(key: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def measured(*args: Any, **options: Any) -> Any:
            start = time.time()
            result = call(*args, **options)
            seconds[key] = seconds.get(key, 0.0) + time.time() - start
            return result

        return measured

    base._session = timed("session", base._session)
    base.OnnxRuntimeEngine.training_graph = timed("graph", base.OnnxRuntimeEngine.training_graph)
    if not local:
        from sparknet.runtime.spark import opening

        opening.open_data = timed("opening", opening.open_data)
    at: dict[str, float] = {}

    def progress(event: Any) -> None:
        if isinstance(event, Note) and event.text.startswith(("starting Spark", "Spark started")):
            at["starting" if event.text.startswith("starting") else "started"] = time.time()
        if isinstance(event, Prepared):
            at["prepared"] = time.time()
            seconds["data"] = event.seconds - seconds["graph"]
        if isinstance(event, RoundRecord):
            seconds["first"] = time.time() - at["prepared"]
            raise FirstRoundDoneError

    net = timed("compile", command.compile)(spec, settings=ONE_STEP)
    make_console().print(layer_table(net))
    try:
        if local:
            command.run_local(net, progress=progress)
        else:
            command.run_spark(net, progress=progress, on=OnSpark("local[2]"))
    except FirstRoundDoneError:
        total = at["prepared"] + seconds["first"] - began
    if "started" in at:
        seconds["spark"] = at["started"] - at["starting"]
        seconds.pop("session", None)  # the workers have theirs
    seconds["rest"] = total - sum(value for key, value in seconds.items() if key not in INSIDE)
    print(json.dumps(seconds | {"total": total}), flush=True)


def run(spec: Path, local: bool) -> dict[str, float]:
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    arguments = [sys.executable, __file__, "--child", "--spec", str(spec), "--began", str(time.time())]
    found = subprocess.run([*arguments, *["--local"] * local], capture_output=True, text=True, env=kept, check=True)
    return json.loads(found.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--local", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(str(options.spec), options.local, options.began)
        return
    run(options.spec, local=True)  # writes the bytecode
    turns = [(run(options.spec, local=True), run(options.spec, local=False)) for _ in range(options.turns)]
    columns = [
        {key: statistics.median(each[key] for each in runs) for key in runs[0]} for runs in zip(*turns, strict=True)
    ]
    print("| part | `--local` | share | Spark, `local[2]` | share |\n| --- | --- | --- | --- | --- |")
    for key, text in (*PARTS.items(), ("total", "until the first round is done")):
        cells = []
        for found in columns:
            share = f"{100 * found[key] / found['total']:.0f} %" if key in found else ""
            cells += [f"{found[key]:.2f} s", share] if share else ["", ""]
        print(f"| {text} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
