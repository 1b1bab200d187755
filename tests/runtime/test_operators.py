"""What the compiler writes is what a run folder may hold."""

from __future__ import annotations

import pytest

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.foreign.safety import UnsafeModelError
from sparknet.compiler.optimizers import CLIPS, OPTIMIZERS
from sparknet.runtime.onnx_check import check_model
from tests.compiler.layer_rows import JOINED, ROWS, Row


def accepted(net: CompiledNet) -> None:
    check_model(net.step.SerializeToString(), step=True)
    check_model(net.evaluation.SerializeToString())
    check_model(net.inference(net.initial_parameters()).SerializeToString())


def test_operators_of_the_step_alone() -> None:
    few, many = (
        sparknet.compile(
            f"net N {{\n input x: float[{channels}, 8, 8]\n conv(4, 3x3) -> maxpool(2) -> flatten -> dense(3)\n"
            " output y: class[3]\n}"
        )
        for channels in (1, 8)
    )
    accepted(few)
    accepted(many)
    with pytest.raises(UnsafeModelError, match="MaxUnpool"):
        check_model(many.step.SerializeToString())


@pytest.mark.parametrize("row", ROWS, ids=[row.text for row in ROWS])
def test_every_layer_behind_a_trained_one(row: Row) -> None:
    """So that the gradient of the layer's input is in the graph too."""
    front = {1: f"dense({row.arrives[-1]})", 2: f"dense({row.arrives[-1]})", 3: f"conv({row.arrives[0]}, 1x1)"}
    first = "" if row.vocabulary else front[len(row.arrives)]
    accepted(
        sparknet.compile(
            f"net N {{\n input x: {row.type}\n {first}\n {row.text}\n flatten -> dense(3)\n output y: class[3]\n}}"
        )
    )


def test_joins_optimizers_clips_and_kinds_of_outputs() -> None:
    for text, *_ in JOINED:
        accepted(
            sparknet.compile(
                "net N {\n input x: float[2, 4, 4]\n a = conv(3, 1x1)\n b = x -> conv(3, 1x1)\n"
                f" b -> {text} -> flatten -> dense(4)\n output y: class[4]\n}}"
            )
        )
    body = "net N {\n input x: float[4]\n dense(4, relu, l1: 0.1, l2: 0.1) -> dropout(0.1) -> dense(4)\n"
    for optimizer in OPTIMIZERS:
        for clip in CLIPS:
            train = f"train {{ optimizer = {optimizer}\n clip = {clip}(1)\n }}"
            accepted(sparknet.compile(f"{body} output y: class[4]\n}}\n{train}"))
    for output in ("float[4]", "bool[4]", "like x"):
        accepted(sparknet.compile(f"{body} output y: {output}\n}}"))
        accepted(sparknet.compile(f"{body} sigmoid\n output y: {output}\n}}"))
