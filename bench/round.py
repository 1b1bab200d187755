"""What a round costs beside its training steps: Spark's and ours, on two task slots.

    python bench/round.py

The net is the perceptron 64-128-64-10, each worker takes one step a round, so nearly all of a round is fixed cost:
handing out the parameters, a Spark job (training, and the evaluation of the round before), collecting, averaging. The
peer is Spark itself: a job on the same cached rows with a function that does nothing. `--local` shows what is ours.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import sparknet
from sparknet.runtime.local import LocalBackend
from sparknet.runtime.runs import OnSpark, run_spark
from sparknet.runtime.sources.places import place_of
from sparknet.runtime.spark.session import start_session
from sparknet.runtime.training.records import RoundRecord
from sparknet.runtime.training.trainer import train

ROWS, ROUNDS, BATCH = 2048, 40, 64
NET = """
net Perceptron {{
  input x: float[64]
  dense(128, relu) -> dense(64, relu) -> dense(10)
  output y: class[10]
}}
data {{
  source = parquet("{path}")
  x = column("x")
  y = column("y")
}}
train {{
  epochs  = {epochs}
  batch   = {batch}
  workers = 2
  sync    = average(every: 1)
}}
"""


class NoWork:
    def __call__(self, batches):
        yield pa.RecordBatch.from_pydict({"rows": [sum(batch.num_rows for batch in batches)]})


def median_round(history: tuple[RoundRecord, ...]) -> float:
    """The first rounds start Python workers and sessions."""
    return statistics.median(record.seconds_total for record in history[5:])


def main() -> None:
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        columns = {"x": list(random.normal(size=(ROWS, 64)).astype(np.float32)), "y": random.integers(0, 10, ROWS)}
        pq.write_table(pa.table(columns), path)
        epochs = -(-ROUNDS * 2 * BATCH // ROWS)
        net = sparknet.compile(NET.format(path=path, epochs=epochs, batch=BATCH))
        assert net.data is not None
        supply = net.data.supplies["source"]
        place = place_of(supply.source, supply.label, (folder,))
        local = median_round(train(net, LocalBackend({"source": place})).history)
        spark = start_session("local[2]")
        try:
            ours = median_round(run_spark(net, on=OnSpark(spark=spark), data_roots=[folder]).history)
            cached = spark.read.parquet(str(path)).repartition(2).persist()
            empty = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                cached.mapInArrow(NoWork(), "rows long").toArrow()
                empty.append(time.perf_counter() - start)
        finally:
            spark.stop()
    floor = statistics.median(empty[5:])
    print(f"a round of one step, median of {ROUNDS - 5}, local[2]\n")
    print(f"SparkNet on Spark       {1000 * ours:7.1f} ms")
    print(f"an empty Spark job      {1000 * floor:7.1f} ms   SparkNet takes {ours / floor:.2f} times as long")
    print(f"SparkNet with --local   {1000 * local:7.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
