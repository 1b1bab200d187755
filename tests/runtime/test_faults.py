"""Processes of a cluster killed in the middle of a round: the bytes are those of a run that nothing happened to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import sparknet
from sparknet.runtime.runs import run_local

NET = """
net Slow {
  input image: float[1, 8, 8]
  (8, 3, 3, 64, "RELU")
  (8, 3, 3, 64, "RELU")
  flatten -> dense(10)
  output digit: class[10]
}
data {
  source = digits()
  image  = column("pixels") / 16
  digit  = column("label")
}
train {
  steps   = 1040
  workers = 2
  batch   = 8
  sync    = average(every: 250)
}
"""

SCRIPT = '''
"""Trains on two executors, each a process of its own, and kills as told: a round and a kind of process, a pair each."""

import os, signal, sys, threading, time
from pathlib import Path

import sparknet
from sparknet.runtime.training.records import RoundRecord
from sparknet.runtime.runs import OnSpark, run_spark
from sparknet.runtime.spark.session import start_session

KINDS = {"python": "pyspark.daemon", "executor": "CoarseGrainedExecutorBackend"}
spark = start_session("local-cluster[2,1,1024]")
tracker = spark.sparkContext.statusTracker()
rounds, struck = [], []


def processes():
    """Parent, command line and processor time of every process."""
    found = {}
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdecimal():
                stat = (path / "stat").read_text().rpartition(")")[2].split()
                found[int(path.name)] = int(stat[1]), (path / "cmdline").read_text(), int(stat[11])
        except OSError:
            continue
    return found


def ours(kind):
    """Those below this process: executors, or the workers that an executor's daemon has forked."""
    every = processes()
    below, new = set(), {os.getpid()}
    while new:
        below |= new
        new = {pid for pid, (parent, *_) in every.items() if parent in new} - below
    named = {pid for pid in below - {os.getpid()} if KINDS[kind] in every[pid][1]}
    if kind == "python":
        named = {pid for pid in named if every[pid][0] in named}
    return {pid: every[pid][2] for pid in named}


def strike(kind):
    """Wait until both tasks of the round compute, then kill; note behind which round, once a task has failed of it."""
    together = False
    while not together:
        active, before = list(tracker.getActiveStageIds()), ours("python")
        time.sleep(0.05)
        computing = {pid: spent - before.get(pid, spent) for pid, spent in ours("python").items()}
        together = len(active) == 1 and sum(spent > 1 for spent in computing.values()) == 2
    (stage,) = active
    victim = max(computing, key=computing.get) if kind == "python" else min(ours("executor"))
    seen = len(rounds)
    os.kill(victim, signal.SIGKILL)
    while not tracker.getStageInfo(stage).numFailedTasks:
        time.sleep(0.05)
    struck.append((kind, seen))


orders = dict(pair.split("=") for pair in sys.argv[3:])
threads = []


def watch(event):
    if isinstance(event, RoundRecord):
        rounds.append(event)
        if str(event.round) in orders:
            threads.append(threading.Thread(target=strike, args=[orders[str(event.round)]], daemon=True))
            threads[-1].start()


trained = run_spark(sparknet.compile(sys.argv[1]), progress=watch, on=OnSpark(spark=spark))
for thread in threads:
    thread.join(60)
Path(sys.argv[2]).write_bytes(trained.parameters.tobytes() + trained.optimizer_state.tobytes())
print(struck)
spark.stop()
'''


def test_a_python_worker_and_an_executor_killed_in_their_rounds(tmp_path: Path) -> None:
    (tmp_path / "slow.net").write_text(NET)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "slow.net"), str(tmp_path / "vectors.bin")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*command, "1=python", "3=executor"], env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # Each was killed before its round had ended, and a task of that round failed with it.
    assert done.stdout.strip() == "[('python', 1), ('executor', 3)]"
    trained = run_local(sparknet.compile(tmp_path / "slow.net"))
    undisturbed = trained.parameters.tobytes() + trained.optimizer_state.tobytes()
    assert (tmp_path / "vectors.bin").read_bytes() == undisturbed
