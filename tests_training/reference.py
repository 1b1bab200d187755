"""What the engine `onnxruntime` computes, for the tests of the other engine, which has no room beside it.

.venv/bin/python -m tests_training.reference reference.json
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.grammar.source import Source
from sparknet.runtime.engines.base import OnnxRuntimeEngine
from sparknet.runtime.runs import run_local
from tests.compiler.layer_rows import JOINED, ROWS
from tests.compiler.test_engines import row_net
from tests_training.batches import train

SPECS = Path(__file__).parents[1] / "specs"
FIFTY_ROUNDS = ("train.steps=50", "train.workers=1", "train.sync=average(every: 1)")
"""A spec on its own data, a step a round, so that the loss of each is seen."""
GENTLY = {"residual.net": ("train.optimizer=adamw(lr: 0.0003)",)}
"""At its own rate this one turns rounding into differences of 1e-3 within fifty steps, also between two versions of
stock ONNX Runtime that run one step graph."""
SMALL = " input x: float[6]\n"
OTHERS = {
    "batchnorm": " input x: float[3, 5, 5]\n conv(4, 3x3) -> batchnorm -> relu -> flatten -> dense(3)",
    "batchnorm of features": f"{SMALL} dense(5) -> batchnorm(momentum: 0.3) -> tanh -> dense(3)",
    "dropout": f"{SMALL} dense(8, relu) -> dropout(0.3) -> dense(3)",
    "variable rnn": " input x: float[5, 6, variable: true]\n rnn(4, bidirectional: true) -> dense(3)",
    "variable lstm": " input x: float[5, 6, variable: true]\n lstm(4, layers: 2, dropout: 0.3) -> dense(3)",
    "variable gru": " input x: float[5, 6, variable: true]\n gru(4, bidirectional: true, layers: 2) -> dense(3)",
    "variable attention": " input x: float[5, 6, variable: true]\n attention(2) -> mean -> dense(3)",
    "penalties": f"{SMALL} dense(4, l1: 0.1) -> dense(3, l2: 0.1)",
    "frozen": f"{SMALL} dense(4, frozen: true) -> batchnorm(frozen: true) -> dense(3)",
}
"""What rows of layer_rows.py cannot show; each ends in three numbers."""
OUTPUTS = {
    "class": " dense(3)\n output y: class[3]",
    "softmax": " dense(3, softmax)\n output y: class[3]",
    "bool": " dense(3)\n output y: bool[3]",
    "like": " dense(6)\n output y: like x",
    "several": " output a: class[3] = dense(3)\n output b: float[2] = x -> dense(2)",
}
TRAINS = {
    "sgd": "optimizer = sgd(lr: 0.05)",
    "sgd with decay": "optimizer = sgd(lr: 0.05, weight_decay: 0.1)",
    "adam": "optimizer = adam(lr: 0.01, beta1: 0.8, beta2: 0.99, eps: 0.001)",
    "adam with decay": "optimizer = adam(lr: 0.01, weight_decay: 0.1)",
    "adamw": "optimizer = adamw(lr: 0.01, weight_decay: 0.1)",
    "clip": "optimizer = adam(lr: 0.01)\n clip = norm(0.1)",
    "clip of sgd": "optimizer = sgd(lr: 0.5)\n clip = norm(0.2)",
    "accumulate": "optimizer = adam(lr: 0.01)\n accumulate = 3",
    "smoothing": "loss = cross_entropy(label_smoothing: 0.1)\n class_weights = [1, 2, 5]",
}
WEIGHED = 'data {\n source = parquet("rows")\n x = column("x")\n y = column("y")\n row_weight = column("w")\n}\n'
LOSSES = ("mean_squared", "mean_absolute", "huber(delta: 0.5)")


def cases() -> Iterator[tuple[str, str]]:
    """Names and texts of nets."""
    for row in ROWS:
        yield f"{row.text} on {row.type}", row_net(row)
    for text, _, _ in JOINED:
        tail = f"b -> {text}\n flatten -> dense(2)\n output y: float[2]"
        yield text, f"net N {{\n input x: float[3, 4, 4]\n a = conv(3, 1x1)\n b = x -> tanh\n {tail}\n}}\n"
    for name, layers in OTHERS.items():
        yield name, f"net N {{\n{layers}\n output y: float[3]\n}}\n"
    for name, outputs in OUTPUTS.items():
        yield f"output {name}", f"net N {{\n{SMALL} dense(5, tanh)\n{outputs}\n}}\n"
    deep = f"net N {{\n{SMALL} dense(5, relu) -> batchnorm -> dropout(0.2) -> dense(3)\n output y: class[3]\n}}\n"
    for name, train_section in TRAINS.items():
        yield f"train {name}", f"{deep}train {{\n {train_section}\n}}\n"
    yield "weights of rows", f"{deep}{WEIGHED}"
    yield "weights of rows of several numbers", f"net N {{\n{SMALL} dense(3)\n output y: float[3]\n}}\n{WEIGHED}"
    for loss in LOSSES:
        yield f"loss {loss}", f"net N {{\n{SMALL} dense(3)\n output y: float[3]\n}}\ntrain {{ loss = {loss} }}\n"


def specs() -> Iterator[tuple[str, str]]:
    """Names and texts of the specs that name their data."""
    for spec in sorted(SPECS.glob("*.net")):
        source = Source(spec.name, re.sub(r"\bepochs\s*=.*", "", spec.read_text(encoding="utf-8")))
        net = sparknet.compile(source, settings=FIFTY_ROUNDS + GENTLY.get(spec.name, ()))
        if net.data is not None:
            yield f"specs/{spec.name}", net.source.text


def taken(named: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Those that the compiler does not refuse to the other engine."""
    for name, text in named:
        with suppress(SparkNetError):
            sparknet.compile(text).with_train(engine="onnxruntime-training")
            yield name, text


def main(path: Path) -> None:
    """Write the texts of the nets that the other engine takes, and of each step the loss and what the metrics say."""
    found: dict[str, list[dict[str, Any]]] = {"steps": [], "runs": []}
    for name, text in taken(cases()):
        sums, _, _ = train(OnnxRuntimeEngine(), sparknet.compile(text))
        losses, metrics = [s.mean_loss for s in sums], [s.mean_metrics for s in sums]
        found["steps"].append({"name": name, "text": text, "losses": losses, "metrics": metrics})
    for name, text in taken(specs()):
        scores = [asdict(record.train) for record in run_local(sparknet.compile(text)).history]
        found["runs"].append({"name": name, "text": text, "scores": scores})
    path.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
