"""How the workers' vectors come to the driver: straight, or averaged by slices in Spark's shuffle.

    python bench/route.py crossing     # seconds a round by size, both ways, in one session
    python bench/route.py memory       # peak memory of the driver's Python and JVM, a process for each run

Workers take one step a round of a perceptron with `sgd`, so that nearly all of a round is the exchange. The cluster is
two executors of a core, each a process of its own (`local-cluster`). What goes down goes the same way in both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import sparknet
from sparknet.runtime.runs import OnSpark, run_spark
from sparknet.runtime.spark import exchange
from sparknet.runtime.spark.session import start_session

MASTER = "local-cluster[2,1,2048]"
NET = """
net Wide {{
  input x: float[64]
  dense({width}, relu) -> dense({width}, relu) -> dense(10)
  output y: class[10]
}}
data {{
  source = parquet("none.parquet")
  x = column("x")
  y = column("y")
}}
train {{
  optimizer = {optimizer}
  steps     = {rounds}
  batch     = 8
  workers   = {workers}
  sync      = average(every: 1)
}}
"""
ROUTES = {"straight": 1 << 62, "by slices": 0}
MEMORY_RUNS = (
    ("4500", "4", "straight"),
    ("4500", "4", "by slices"),
    ("4500", "8", "by slices"),  # straight is more than `spark.driver.maxResultSize` allows from here on
    ("7000", "4", "by slices"),
    ("7000", "8", "by slices"),
)
"""Width of the net, workers, route."""


def rows(count: int = 640) -> pa.Table:
    random = np.random.default_rng(0)
    return pa.table({"x": list(random.normal(size=(count, 64)).astype("f4")), "y": random.integers(0, 10, count)})


def net_of(width: int, workers: int, rounds: int, optimizer: str = "sgd(lr: 0.01)") -> sparknet.CompiledNet:
    return sparknet.compile(NET.format(width=width, workers=workers, rounds=rounds, optimizer=optimizer))


def seconds(spark, net: sparknet.CompiledNet, route: str) -> float:
    """A round's, the median; the first ones start Python workers and build sessions."""
    exchange.DIRECT_BYTES = ROUTES[route]
    history = run_spark(net, on=OnSpark(data=spark.createDataFrame(rows()))).history
    return statistics.median(record.seconds_total for record in history[2:])


def crossing() -> None:
    spark = start_session(MASTER)
    print("| parameters | workers | sent a round | straight | by slices |\n| --- | --- | --- | --- | --- |", flush=True)
    for width in (200, 700, 1400, 2200):
        for workers in (2, 8):
            net = net_of(width, workers, 8)
            found = [seconds(spark, net, route) for route in ROUTES]
            sent = 4 * net.parameter_count * workers / 1e6
            times = " | ".join(f"{each:.2f} s" for each in found)
            print(f"| {net.parameter_count:,} | {workers} | {sent:.1f} MB | {times} |", flush=True)
    spark.stop()


def memory() -> None:
    print("| parameters | workers | route | sent a round | driver's Python | driver's JVM | a round |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for run in MEMORY_RUNS:
        command = [sys.executable, __file__, "one", *run]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
        print(done.stdout.strip() or f"| {' | '.join(run)} | {done.stderr.strip()[-400:]} |", flush=True)


def one(width: int, workers: int, route: str) -> None:
    spark = start_session(MASTER)
    net = net_of(width, workers, 3)
    before = peak(os.getpid())
    exchange.DIRECT_BYTES = ROUTES[route]
    began = time.perf_counter()
    history = run_spark(net, on=OnSpark(data=spark.createDataFrame(rows()))).history
    taken = min(record.seconds_total for record in history)
    jvm = spark.sparkContext._gateway.proc.pid
    sent = 4 * net.parameter_count * workers / 1e6
    python = f"{peak(os.getpid()) / 1e6:,.0f} MB ({before / 1e6:,.0f} before)"
    cells = (f"{net.parameter_count:,}", workers, route, f"{sent:,.0f} MB", python, f"{peak(jvm) / 1e6:,.0f} MB")
    print(f"| {' | '.join(map(str, cells))} | {taken:.1f} s |")
    print(f"{time.perf_counter() - began:.0f} s in all", file=sys.stderr)
    spark.stop()


def peak(process: int) -> int:
    """Peak resident bytes of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    topic, *arguments = sys.argv[1:]
    if topic == "one":
        one(int(arguments[0]), int(arguments[1]), arguments[2])
    else:
        {"crossing": crossing, "memory": memory}[topic]()
