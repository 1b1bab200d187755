"""What a round would cost on many executors, worked out from costs measured here.

    python bench/scaling.py
    python bench/scaling.py --gbit 25 --step 0.2

Measured: what one core packs and averages a second, and what a task of Spark costs the driver (jobs of many and of few
empty tasks). Assumed: the network, `--gbit` an executor and for the driver, and seconds of a training step, `--step`.
docs/scaling.md says how the parts add up.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from sparknet.runtime.spark.exchange import SLICE
from sparknet.runtime.training.exchange import Exchange, Salt, mean_of, pack, packed_bytes, slices

ADAM = 2
"""Numbers of state for each parameter."""
WAYS = {
    "float32": Exchange(trained=1, state=True),
    "int8, moments reset": Exchange(precision="int8", trained=1, state=False),
}


def seconds_of(action: Callable[[], object], times: int = 5) -> float:
    action()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def task_seconds() -> float:
    """Of one task more in a job that needs no Python; here two cores run the tasks too, so the driver needs less."""
    from sparknet.runtime.spark.session import start_session

    spark = start_session("local[2]")
    try:
        jobs = {}
        for count in (4, 204):
            frame = spark.range(count).repartition(count).persist()
            frame.count()
            jobs[count] = seconds_of(lambda frame=frame: frame.selectExpr("id + 1").toArrow())
    finally:
        spark.stop()
    return (jobs[204] - jobs[4]) / 200


def segments_of(way: str, parameters: int):
    exchange = WAYS[way]
    own = Exchange(precision=exchange.precision, trained=parameters, state=exchange.state)
    return slices(own.segments(parameters, ADAM * parameters), SLICE)


def packing(way: str, parameters: int = 1 << 22) -> float:
    """Parameters that a worker makes ready to send in a second."""
    start = np.zeros(parameters, np.float32)
    vectors = {
        "parameters": np.random.default_rng(0).normal(size=parameters).astype("f4") * 1e-3,
        "optimizer_state": np.ones(ADAM * parameters, np.float32),
    }
    salt = Salt(0, 0, 0)
    return parameters / seconds_of(
        lambda: [pack(each, vectors[each.vector], start, salt) for each in segments_of(way, parameters)]
    )


def averaging(way: str, workers: int = 8, parameters: int = 1 << 20) -> float:
    """Parameters of one worker that a core adds to a mean in a second."""
    vectors = {
        "parameters": np.full(parameters, 1e-3, np.float32),
        "optimizer_state": np.ones(ADAM * parameters, np.float32),
    }
    start, weights = np.zeros(parameters, np.float32), dict.fromkeys(range(workers), 1.0)
    sent = [(each, pack(each, vectors[each.vector], start, Salt(0, 0, 0))) for each in segments_of(way, parameters)]
    taken = seconds_of(
        lambda: [mean_of(each, ((worker, data) for worker in range(workers)), weights) for each, data in sent]
    )
    return workers * parameters / taken


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gbit", type=float, default=10.0, help="of each executor, and of the driver")
    parser.add_argument("--step", type=float, default=0.5, help="seconds of a training step")
    parser.add_argument("--round", type=float, default=0.3, help="fixed seconds of a round, as bench/round.py finds")
    given = parser.parse_args()
    bytes_a_second, task = given.gbit * 1e9 / 8, task_seconds()
    rates = {way: (packing(way), averaging(way)) for way in WAYS}
    print(f"a task costs {1000 * task:.1f} ms")
    for way, (packed, averaged) in rates.items():
        print(f"{way}: a core packs {packed / 1e6:,.0f} million parameters a second, averages {averaged / 1e6:,.0f}")
    print(f"\nwith {given.gbit:g} Gbit/s and steps of {given.step:g} s:\n")
    print("| parameters | way | executors | up | to the driver | down | tasks | a round | steps for 90 % work |")
    print("| --- " * 9 + "|")
    for parameters in (1_000_000, 10_000_000, 100_000_000):
        for way, (packed, averaged) in rates.items():
            each = packed_bytes(segments_of(way, parameters))
            vectors = 4 * parameters * (1 + ADAM * WAYS[way].state)
            for executors in (10, 100, 1000):
                up = parameters / packed + 2 * each / bytes_a_second + parameters / averaged
                driver, down = vectors / bytes_a_second, 2 * vectors / bytes_a_second
                tasks = 3 * executors * task
                whole = given.round + up + driver + down + tasks
                steps = 9 * whole / given.step
                cells = f"{up:.2f} s | {driver:.2f} s | {down:.2f} s | {tasks:.1f} s | {whole:.1f} s | {steps:,.0f}"
                print(f"| {parameters / 1e6:g} M | {way} | {executors:,} | {cells} |")


if __name__ == "__main__":
    sys.exit(main())
