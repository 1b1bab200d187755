"""How long `sparknet check` takes: as a process on a 60-line net, in process, and on a net of 5,000 layers.

    python bench/check.py

Each figure is the median of several turns with the smallest and the largest behind it; a process is measured from its
start to its end, with `python -c pass` as what no Python program can go below. Limits: 0.4 s, 10 ms, 2 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

BLOCK = """\
block Residual(channels, stride = 1) {
  short = in
  if stride != 1 { short = in -> conv(channels, 1x1, stride: stride) }
  in -> conv(channels, 3x3, relu, stride: stride) -> conv(channels, 3x3)
  add(short) -> relu
}
"""
SECTIONS = """\
data {
  source = parquet("rows.parquet")
  image  = column("pixels") / 255
  label  = column("label")
  split  = {train: 0.8, test: 0.2}
}

train {
  optimizer = adam(lr: 0.001)
  epochs    = 10
  batch     = 32
}
"""


def net_of_lines(lines: int) -> str:
    """A residual net with sections that fills so many lines."""
    head = f"let width = 32\n\n{BLOCK}\nnet Bench {{\n  input image: float[3, 32, 32]\n"
    tail = f"  globalavgpool -> dense(10)\n  output label: class[10]\n}}\n\n{SECTIONS}"
    rest = lines - (head + tail).count("\n")
    return (
        head
        + "".join(
            f"  Residual(width * {1 + k // 8})\n" if k % 8 else f"  conv(width * {1 + k // 8}, 3x3, relu)\n"
            for k in range(rest)
        )
        + tail
    )


def net_of_layers(layers: int) -> str:
    """A plain net of so many layers, each in a line of its own."""
    pattern = (
        "  dense(128, relu)\n",
        "  dropout(0.1)\n",
        '  (128, 1, 1, 128, "TANH")\n',
        "  dense(units: 128) -> gelu\n",
    )
    body = "".join(pattern[k % 4] for k in range(layers * 4 // 5))
    return f"net Deep {{\n  input x: float[128]\n{body}  dense(10)\n  output y: class[10]\n}}\n"


def measure(what: str, run: Callable[[], object], turns: int) -> None:
    run()
    times = []
    for _ in range(turns):
        begin = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - begin))
    print(f"{what:<40} {statistics.median(times):8.1f} ms   ({min(times):.1f} to {max(times):.1f})")


def main() -> None:
    from sparknet.compiler import check

    small, large = net_of_lines(60), net_of_layers(5000)
    layers = len(check(large).net.layers)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bench.net"
        path.write_text(small)
        command = [sys.executable, "-m", "sparknet.cli.main", "check", str(path)]

        def process(*arguments: str) -> None:
            subprocess.run(arguments, check=True, capture_output=True)

        measure("python -c pass", lambda: process(sys.executable, "-c", "pass"), 11)
        measure(f"sparknet check, {small.count(chr(10))} lines, process", lambda: process(*command), 11)
    measure(f"check, {small.count(chr(10))} lines", lambda: check(small), 51)
    measure(f"check, {layers:,} layers", lambda: check(large), 5)


if __name__ == "__main__":
    main()
