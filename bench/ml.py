"""CNNClassifier against Spark's MultilayerPerceptronClassifier on the digits: seconds of training, and accuracy.

python bench/ml.py

Both train on the same cached rows, in turns, in one session on `local[2]`; the first turn warms both up and does not
count. The seconds are those of `fit`, all jobs included; the accuracy is that of the quarter of the rows that neither
has seen.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from pyspark.ml.classification import MultilayerPerceptronClassifier
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from sklearn.datasets import load_digits

from sparknet.ml import CNNClassifier

TURNS = 5
STAGES: dict[str, Callable[[], Any]] = {
    "CNNClassifier(maxIter=8)": lambda: CNNClassifier(maxIter=8),
    "MultilayerPerceptronClassifier(layers=[64, 128, 64, 10])": lambda: MultilayerPerceptronClassifier(
        layers=[64, 128, 64, 10], seed=1
    ),
}


def main() -> None:
    """Print the medians as a table."""
    # A session as users make it: the JVM of `sparknet run` is set up for short runs, which would slow the peer down.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = SparkSession.builder.master("local[2]").getOrCreate()
    images, kinds = load_digits(return_X_y=True)
    rows = [(i, Vectors.dense(x), float(y)) for i, (x, y) in enumerate(zip(images, kinds, strict=True))]
    digits = spark.createDataFrame(rows, ["id", "features", "label"]).repartition(2)
    training, test = digits.filter("id % 4 != 0").cache(), digits.filter("id % 4 = 0").cache()
    print(f"{training.count():,} rows to train on, {test.count():,} to test")
    evaluator = MulticlassClassificationEvaluator(metricName="accuracy")
    seconds: dict[str, list[float]] = {name: [] for name in STAGES}
    accuracy: dict[str, float] = {}
    for turn in range(TURNS + 1):
        for name, make in STAGES.items():
            began = perf_counter()
            model = make().fit(training)
            taken = perf_counter() - began
            if turn:
                seconds[name].append(taken)
            accuracy[name] = evaluator.evaluate(model.transform(test))
    print("| stage | seconds | accuracy |")
    print("| --- | --- | --- |")
    for name, taken in seconds.items():
        print(f"| `{name}` | {statistics.median(taken):.2f} | {accuracy[name]:.1%} |")
    spark.stop()


if __name__ == "__main__":
    main()
