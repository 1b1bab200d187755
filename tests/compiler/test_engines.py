"""What the compiler gives the engine `onnxruntime-training`, run on stock ONNX Runtime, and `docs/engines.md`.

That the package trains it, and to the same losses, is checked by `tests_training`.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import sparknet
from sparknet.compiler import CompiledNet, objective
from sparknet.compiler.differentiate import path
from sparknet.compiler.engines import missing_settings
from sparknet.compiler.expand import expand
from sparknet.compiler.lower import NEW, OBJECTIVE
from sparknet.compiler.optimizers import OPTIMIZERS, ClipNorm, ClipValue, Sgd
from sparknet.compiler.sections import AverageSync, StepSync, TrainSection
from sparknet.grammar import SparkNetError
from tests.catalogue import check_text
from tests.compiler.engine import Graph
from tests.compiler.layer_rows import ROWS, Row

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
NET = """
net N {{
  input x: float[4]
  dense(8) -> batchnorm -> elu -> dropout(0.3)
  dense(3)
  output y: bool[3]
}}
train {{
  optimizer = {optimizer}
}}
"""


def row_net(row: Row) -> str:
    """The layer of a row with weights before it, if that can be, so that its gradient has to go on."""
    before = ""
    if row.vocabulary is None:
        is_vector = len(row.arrives) == 1 or row.arrives[-1] == 6
        kernel = "1" if len(row.arrives) == 2 else "1x1"
        before = f"dense({row.arrives[-1]})" if is_vector else f"conv({row.arrives[0]}, {kernel})"
    flatten = "flatten" if len(row.leaves) > 1 else ""
    size = prod(row.leaves)
    return f"net N {{\n input x: {row.type}\n {before}\n {row.text}\n {flatten}\n output y: float[{size}]\n}}\n"


def refused(text: str) -> str | None:
    """What is said against the second engine."""
    try:
        sparknet.compile(text).with_train(engine="onnxruntime-training")
    except SparkNetError as error:
        return error.diagnostics[0].message
    return None


TAKEN = [row for row in ROWS if refused(row_net(row)) is None]


def scores(net: CompiledNet, feeds: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the step graph says of a batch, and what the graph for the second engine does."""
    flat = np.random.default_rng(1).normal(size=net.parameter_count).astype(np.float32)
    model = objective.training_model(net.typed)
    slots = {slot.name: slot for slot in net.parameters}
    for tensor in model.graph.initializer:
        if tensor.name in slots:
            slot = slots[tensor.name]
            piece = flat[slot.offset : slot.offset + slot.size].reshape(slot.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(piece, slot.name))
    given = {**feeds, "parameters": flat, "optimizer_state": net.initial_optimizer_state()}
    given |= {"learning_rate": np.float32(0.1), "seed": np.int64(7)}
    graphs = Graph(net.step), Graph(model)
    first, second = (g(**{i.name: given[i.name] for i in g.session.get_inputs()}) for g in graphs)
    return first, second


@pytest.mark.parametrize("row", TAKEN, ids=[row.text for row in TAKEN])
def test_both_graphs_say_the_same_of_a_batch(row: Row) -> None:
    net = sparknet.compile(row_net(row))
    random = np.random.default_rng(0)
    feeds = {"x": row.batch(random), "y": random.normal(size=(5, prod(row.leaves))).astype(np.float32)}
    step, other = scores(net, feeds)
    for name in ("loss", "mae"):
        np.testing.assert_allclose(other[name], step[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(other[OBJECTIVE], other["loss"], rtol=1e-6)


@pytest.mark.parametrize("row", TAKEN, ids=[row.text for row in TAKEN])
def test_expansions_consist_of_operators_with_a_gradient(row: Row) -> None:
    made = objective.lower_objective(sparknet.compile(row_net(row)).typed)
    objective.unroll(made.graph)
    made.graph.infer()
    way = path(made.graph, [made.value], made.trained)
    expand(made.graph, {node.output for node in way})
    cut = {"Equal", "ReduceMax"}  # where the largest number is, which no gradient goes through
    assert {n.op for n in path(made.graph, [made.value], made.trained)} - cut <= objective.OPERATORS


def test_buffers_and_decay_are_outputs_of_their_own() -> None:
    net = sparknet.compile(NET.format(optimizer="adam(weight_decay: 0.5)"))
    random = np.random.default_rng(0)
    feeds = {"x": random.normal(size=(6, 4)).astype(np.float32), "y": np.ones((6, 3), np.float32)}
    step, other = scores(net, feeds)
    flat = np.random.default_rng(1).normal(size=net.parameter_count)[: net.trained_count]
    np.testing.assert_allclose(other["loss"], step["loss"], rtol=1e-5)
    np.testing.assert_allclose(other[OBJECTIVE], step["loss"] + 0.25 * np.sum(flat**2), rtol=1e-5)
    new = step["new_parameters"]
    for slot in net.parameters:
        assert (slot.name + NEW in other) is (slot.kind == "buffer")
        if slot.kind == "buffer":
            piece = new[slot.offset : slot.offset + slot.size]
            np.testing.assert_allclose(other[slot.name + NEW], piece, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["class[3]", "bool[3]", "float[3]"])
def test_rows_have_the_same_weights_in_both_graphs(kind: str) -> None:
    data = 'source = parquet("rows")\n x = column("x")\n y = column("y")\n row_weight = column("w")'
    net = sparknet.compile(f"net N {{\n input x: float[4]\n dense(3)\n output y: {kind}\n}}\ndata {{\n {data}\n}}\n")
    assert refused(net.source.text) is None
    random = np.random.default_rng(0)
    answers = random.integers(0, 2, 6 if kind == "class[3]" else (6, 3))
    feeds: dict[str, Any] = {"y": answers.astype(np.int64 if kind == "class[3]" else np.float32)}
    feeds |= {"x": random.normal(size=(6, 4)).astype(np.float32), "row_weight": np.arange(6, dtype=np.float32)}
    step, other = scores(net, feeds)
    np.testing.assert_allclose(other[OBJECTIVE], step["loss"], rtol=1e-5)


def test_an_engine_that_cannot_train_the_net_is_refused_from_python_too() -> None:
    net = sparknet.compile(NET.format(optimizer="lamb"))
    with pytest.raises(SparkNetError, match="the engine `onnxruntime-training` has no optimizer `lamb`"):
        net.with_train(engine="onnxruntime-training")
    assert sparknet.compile(NET.format(optimizer="adam")).with_train(engine="onnxruntime-training").train.epochs == 10


# ----- the page -----

INTRODUCTION = """\
# The two engines

`engine = onnxruntime`, the default, trains on stock ONNX Runtime: the gradients and the optimizer are part of the graph
that the compiler writes. `engine = onnxruntime-training` gives the package of that name the forward pass and the loss,
and trains with its artifacts, `Module`, `Optimizer` and `CheckpointState`; evaluation and inference are the same.

```net
net Line {
  input x: float[1]
  dense(1)
  output y: float[1]
}

train {
  optimizer = adamw(lr: 0.01)
  engine    = onnxruntime-training
}
```

Both find the same losses to 1e-4 over fifty steps, start from the same weights, average, resume and repeat in the same
way, and leave the same files. The package has been given up by its makers; its last version, 1.19.2, is for Python 3.9
to 3.12. It and `onnxruntime` are one module, so an environment holds one of them, and a run says so where it is the
wrong one. On a cluster the executors need it too:

```sh
python3.11 -m venv .venv-training && .venv-training/bin/pip install -e .
.venv-training/bin/pip uninstall -y onnxruntime
.venv-training/bin/pip install onnxruntime-training-cpu==1.19.2
```

What it cannot train is refused before a run starts, at the characters that ask for it. Operators that it has no
gradient for are put in terms of others, and loops written out, so what is left is little.
`tests/compiler/test_engines.py` writes this table, and `tests_training` holds it against the package.

| | `onnxruntime` | `onnxruntime-training` |
| --- | --- | --- |
"""


def lines() -> Iterator[str]:
    for name, optimizer in OPTIMIZERS.items():
        yield line(f"`optimizer = {name}`", TrainSection(optimizer=optimizer()))
    yield line("`optimizer = sgd(momentum: 0.9)`", TrainSection(optimizer=Sgd(momentum=0.9)))
    yield line("`weight_decay` of `sgd` and `adam`", TrainSection(optimizer=Sgd(weight_decay=0.1)))
    yield line("`clip = norm(1)`", TrainSection(clip=ClipNorm(limit=1)))
    yield line(
        "the same with such a `weight_decay`", TrainSection(optimizer=Sgd(weight_decay=0.1), clip=ClipNorm(limit=1))
    )
    yield line("`clip = value(1)`", TrainSection(clip=ClipValue(limit=1)))
    yield line("`sync = step`", TrainSection(sync=StepSync()))
    yield line("`sync = average(after: 500)`", TrainSection(sync=AverageSync(after=500)))
    yield line("`accumulate`, schedules, losses, metrics", TrainSection(accumulate=2))
    lacking = {}
    for row in ROWS:
        message = refused(row_net(row))
        if message:
            lacking[row.text.partition("(")[0]] = message.partition(" has ")[2].partition(",")[0]
    for layer, what in lacking.items():
        yield f"| `{layer}` | yes | {what} |"
    yield "| all other layers | yes | yes |"


def line(what: str, train: TrainSection) -> str:
    missing = missing_settings(train)
    return f"| {what} | yes | {'no' if missing else 'yes'} |"


def test_the_page_says_what_each_engine_takes() -> None:
    check_text(PAGE, INTRODUCTION + "\n".join(lines()) + "\n")
