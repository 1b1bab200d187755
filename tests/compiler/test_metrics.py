"""Metrics against scikit-learn: of all rows together, from statistics summed batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.metrics import METRICS
from sparknet.runtime.engines.base import Graph as EngineGraph
from sparknet.runtime.engines.base import OnnxRuntimeEngine
from tests.compiler.engine import Array, Graph

ROWS = 37


def net_of(kind: str, metrics: str) -> CompiledNet:
    size = kind[kind.index("[") + 1 : -1]
    return sparknet.compile(
        f"net N {{\n input x: float[4]\n dense({size})\n output y: {kind}\n}}\ntrain {{\n metrics = {metrics}\n}}"
    )


def scores_of(net: CompiledNet, batches: list[dict[str, Array]], flat: Array) -> dict[str, float]:
    graph = EngineGraph("evaluation", net.evaluation.SerializeToString(), net.statistics_size)
    sums = OnnxRuntimeEngine().evaluate(graph, flat, [(feeds, len(feeds["x"])) for feeds in batches])
    return net.scores(sums.mean_metrics)


def macro(score: Any) -> Any:
    return lambda y, p: score(y, (p > 0).astype(int), average="macro", zero_division=0)


def of_classes(score: Any, **options: Any) -> Any:
    return lambda y, p: score(y, p.argmax(1), zero_division=0, **options)


CASES: list[tuple[str, str, str, Any]] = [
    ("class[5]", "accuracy", "accuracy", lambda y, p: sk.accuracy_score(y, p.argmax(1))),
    ("class[5]", "top_k(2)", "top_2", lambda y, p: sk.top_k_accuracy_score(y, p, k=2, labels=range(5))),
    ("class[9]", "top_k", "top_5", lambda y, p: sk.top_k_accuracy_score(y, p, k=5, labels=range(9))),
    *(
        (f"class[{size}]", name, name, of_classes(score, average=average))
        for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score))
        for size, average in ((2, "binary"), (5, "macro"))
    ),
    *(
        (f"bool[{size}]", name, name, macro(score))
        for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score))
        for size in (2, 3)
    ),
    ("bool[3]", "accuracy", "accuracy", lambda y, p: np.mean(y == (p > 0))),
    ("float[3]", "mae", "mae", sk.mean_absolute_error),
    ("float[3]", "mse", "mse", sk.mean_squared_error),
    ("float[3]", "rmse", "rmse", lambda y, p: np.sqrt(np.mean((y - p) ** 2))),
    ("float[1]", "r2", "r2", sk.r2_score),
    ("float[3]", "r2", "r2", sk.r2_score),
]


def draw(kind: str, predicted: Array) -> Array:
    """Targets that are often what is predicted, of which the last class never occurs."""
    random = np.random.default_rng(2)
    size = predicted.shape[1]
    if kind.startswith("class"):
        other = random.integers(0, max(2, size - 1), ROWS)
        return np.where(random.random(ROWS) < 0.5, np.minimum(predicted.argmax(1), max(1, size - 2)), other)
    if kind.startswith("bool"):
        return ((predicted > 0) ^ (random.random(predicted.shape) < 0.3)).astype(np.float32)
    return (predicted + random.normal(size=predicted.shape) * 0.5).astype(np.float32)


@pytest.mark.parametrize(("kind", "metric", "name", "theirs"), CASES, ids=[f"{k} {m}" for k, m, *_ in CASES])
def test_metric_of_all_rows_whatever_the_batches(kind: str, metric: str, name: str, theirs: Any) -> None:
    net = net_of(kind, metric)
    assert net.metrics == (name,)
    random = np.random.default_rng(0)
    flat = random.normal(size=net.parameter_count).astype(np.float32)
    x = random.normal(size=(ROWS, 4)).astype(np.float32)
    width = net.typed.net.outputs[0].size
    predicted = x @ flat[: 4 * width].reshape(4, width) + flat[4 * width :]
    y = draw(kind, predicted)
    expected = theirs(y, predicted)
    for cuts in ([], [20], [1, 5, 6, 30]):
        parts = zip(np.split(x, cuts), np.split(y, cuts), strict=True)
        found = scores_of(net, [{"x": a, "y": b} for a, b in parts], flat)
        np.testing.assert_allclose(found[name], expected, rtol=1e-5)


def test_every_metric_has_a_case_for_every_kind_but_like() -> None:
    cases = {(metric.split("(")[0], kind.split("[")[0]) for kind, metric, *_ in CASES}
    assert cases == {(name, kind) for name, metric in METRICS.items() for kind in metric.kinds - {"like"}}


def test_r2_of_numbers_far_from_zero_keeps_its_digits() -> None:
    net = net_of("float[1]", "[r2, rmse]")
    random = np.random.default_rng(0)
    flat = np.array([3, 1, -2, 0.5, 20_000], np.float32)
    x = random.normal(size=(ROWS, 4)).astype(np.float32)
    y = (x @ flat[:4, None] + flat[4] + random.normal(size=(ROWS, 1))).astype(np.float32)
    expected = sk.r2_score(y.astype(float), x.astype(float) @ flat[:4, None] + flat[4])
    assert 0.8 < expected < 1
    np.testing.assert_allclose(scores_of(net, [{"x": x, "y": y}], flat)["r2"], expected, atol=1e-3)


def test_r2_of_a_target_that_never_changes_is_0_as_its_variance_is_but_for_rounding() -> None:
    net = net_of("float[1]", "r2")
    flat = np.array([0, 0, 0, 0, 0.2], np.float32)
    for target in np.random.default_rng(0).random(20):
        batches = [{"x": np.zeros((n, 4), np.float32), "y": np.full((n, 1), target, np.float32)} for n in (1000, 300)]
        assert scores_of(net, batches, flat)["r2"] == 0


def test_several_outputs_share_what_they_measure_and_take_the_usual_where_none_is_named() -> None:
    net = sparknet.compile(
        "net N {\n input x: float[4]\n a = dense(3)\n b = x -> dense(2)\n c = x -> dense(4)\n"
        " output kind: class[3] = a\n output price: float[2] = b\n output again: like x = c\n}\n"
        "train {\n metrics = {kind: [precision, recall, f1, top_k(2)], again: [rmse, mse]}\n}"
    )
    assert net.metrics == (
        *("kind_precision", "kind_recall", "kind_f1", "kind_top_2"),
        *("price_mae", "again_rmse", "again_mse"),
    )
    names = [s.name for s in net.statistics]
    assert names == ["kind_class_hit", "kind_class_said", "kind_class_true", "kind_top_2", "price_mae", "again_mse"]
    assert [o.name for o in net.evaluation.graph.output] == ["loss", *names]
    random = np.random.default_rng(0)
    flat = random.normal(size=net.parameter_count).astype(np.float32)
    feeds = {"x": random.normal(size=(9, 4)).astype(np.float32), "price": np.ones((9, 2), np.float32)}
    feeds["kind"] = random.integers(0, 3, 9)
    out = Graph(net.evaluation)(parameters=flat, **feeds)
    scores = net.scores(np.concatenate([np.ravel(out[name]) for name in names]).tolist())
    assert scores["again_rmse"] == pytest.approx(np.sqrt(scores["again_mse"]))
    assert tuple(scores) == net.metrics


def test_metrics_are_part_of_the_graphs() -> None:
    with pytest.raises(ValueError, match="`metrics` is part of the step graph"):
        net_of("class[3]", "accuracy").with_train(metrics={})
