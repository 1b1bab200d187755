"""What a run holds in memory of data that is larger than it: the peaks of all processes that it takes.

    python bench/memory.py [GiB, 4 unless given]

So much data (rows of 4,096 float32 numbers, in Parquet) trains a small net for an epoch, first on two Spark executors
of 1 GiB each, whose rounds of 1,000 steps take 500 MiB of rows, then with `--local`. The peer is PyTorch as it is
usually fed: the table read into a `TensorDataset`, one epoch through a `DataLoader`. Each run is a process of its own;
the peaks are those that Linux kept of it (`VmHWM`) and of all processes that it started, by what they are.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WIDTH, PART_ROWS = 4096, 8192
NET = """
net Wide {{
  input x: float[{width}]
  dense(16, relu) -> dense(10)
  output y: class[10]
}}
data {{
  source = parquet("rows")
  x = column("x")
  y = column("y")
}}
train {{
  epochs  = 1
  workers = 2
  sync    = average(every: 1000)
}}
"""
SPARK = """
import sys, sparknet
from sparknet.runtime.runs import OnSpark, run_spark
trained = run_spark(sparknet.compile(sys.argv[1]), on=OnSpark(master="local-cluster[2,1,1024]"))
print(trained.scores["test"].metrics)
"""
LOCAL = """
import sys, sparknet
from sparknet.runtime.runs import run_local
print(run_local(sparknet.compile(sys.argv[1])).scores["test"].metrics)
"""
PYTORCH = """
import sys, numpy as np, pyarrow.parquet as pq, torch
from pathlib import Path
table = pq.read_table(Path(sys.argv[1]).parent / "rows")
x = torch.from_numpy(table["x"].combine_chunks().flatten().to_numpy().reshape(-1, 4096))
data = torch.utils.data.TensorDataset(x, torch.from_numpy(table["y"].to_numpy()))
del table
net = torch.nn.Sequential(torch.nn.Linear(4096, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
optimizer = torch.optim.Adam(net.parameters())
for rows, labels in torch.utils.data.DataLoader(data, 32, shuffle=True):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(rows), labels).backward()
    optimizer.step()
"""
KINDS = {"pyspark.daemon": "Python worker", "CoarseGrainedExecutorBackend": "executor (Java)", "java": "driver (Java)"}


def write_rows(folder: Path, size: int) -> int:
    """Parquet files of `size` bytes in all; how many rows they hold."""
    random, rows = np.random.default_rng(0), 0
    folder.mkdir()
    while rows * WIDTH * 4 < size:
        label = random.integers(0, 10, PART_ROWS)
        numbers = random.normal(size=(PART_ROWS, WIDTH)).astype(np.float32)
        numbers[np.arange(PART_ROWS), label] += 3
        lists = pa.ListArray.from_arrays(np.arange(PART_ROWS + 1, dtype=np.int32) * WIDTH, numbers.reshape(-1))
        table = pa.table({"x": lists, "y": label})
        pq.write_table(table, folder / f"{rows:09}.parquet", row_group_size=1024, compression="none")
        rows += PART_ROWS
    return rows


def peaks(pid: int) -> dict[int, tuple[str, int]]:
    """What each process below this one and it itself are, and the most KiB that each has held until now."""
    parents, found = {}, {}
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdecimal():
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    for each in below:
        try:
            command = Path(f"/proc/{each}/cmdline").read_text()
            status = Path(f"/proc/{each}/status").read_text()
            peak = int(status.partition("VmHWM:")[2].split()[0])
        except (OSError, IndexError):
            continue
        found[each] = next((kind for word, kind in KINDS.items() if word in command), "driver (Python)"), peak
    return found


def measure(title: str, script: str, net: Path) -> None:
    """Run a script to its end and print the largest peak of each kind of process."""
    began, seen = time.perf_counter(), {}
    process = subprocess.Popen([sys.executable, "-c", script, str(net)])
    while process.poll() is None:
        for pid, (kind, peak) in peaks(process.pid).items():
            seen[pid] = kind, max(peak, seen.get(pid, ("", 0))[1])
        time.sleep(0.2)
    largest: dict[str, int] = {}
    for kind, peak in seen.values():
        largest[kind] = max(peak, largest.get(kind, 0))
    each = ", ".join(f"{kind} {peak / 1024:,.0f} MiB" for kind, peak in sorted(largest.items()))
    print(f"{title}: {time.perf_counter() - began:.0f} s, {each}", flush=True)
    if process.returncode:
        sys.exit(f"{title} failed")


def main() -> None:
    size = float(sys.argv[1]) if len(sys.argv) > 1 else 4
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write_rows(folder / "rows", int(size * (1 << 30)))
        print(f"{rows:,} rows, {rows * WIDTH * 4 / (1 << 30):.1f} GiB", flush=True)
        net = folder / "wide.net"
        net.write_text(NET.format(width=WIDTH))
        for title, script in (("Spark", SPARK), ("--local", LOCAL), ("PyTorch", PYTORCH)):
            measure(title, script, net)


if __name__ == "__main__":
    main()
