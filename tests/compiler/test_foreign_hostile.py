"""Hostile ONNX files as layers end in a message soon, and never in anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from sparknet.compiler import check
from sparknet.compiler.checking import diagnose
from sparknet.compiler.foreign import reading
from sparknet.compiler.foreign.wire import structure
from sparknet.grammar import SparkNetError, load, parse
from tests.compiler.foreign_models import MODELS, model
from tests.deadline import deadline

GOOD = MODELS["dense"].SerializeToString()


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def nested(depth: int) -> onnx.ModelProto:
    graph = helper.make_graph([], "innermost", [], [])
    for _ in range(depth):
        graph = helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=graph)], "g", [], [])
    return helper.make_model(graph)


def bomb() -> onnx.ModelProto:
    """Each step expands what the one before it made."""
    doubled = " \n ".join(f"a{k} = Concat <axis = 1> (a{k - 1}, a{k - 1})" for k in range(1, 60))
    return model(
        f"a0 = Identity (x) \n {doubled} \n y = ReduceSum <keepdims = 1> (a59, one)", weights="int64[1] one = {1}"
    )


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a file of nothing": lambda: b"",
    "millions of empty nodes": lambda: message(7, b"\x0a\x00" * 5_000_000),
    "thousands of empty nodes": lambda: message(7, b"\x0a\x00" * 30_000),
    "structure without end": lambda: message(7, message(10, b"x" * (40 << 20))),
    "a length beyond the end": lambda: b"\x3a\xff\xff\xff\xff\x07",
    "a number that never ends": lambda: b"\xff" * 1000,
    "groups": lambda: b"\x3b" * 1000,
    "graphs in graphs": lambda: nested(12).SerializeToString(),
    "sizes that multiply": lambda: bomb().SerializeToString(),
    "a window wider than all": lambda: model(  # asked for the shapes of these three together, onnx ends the process
        "a = Unsqueeze (x, one) \n b = MaxPool <kernel_shape = [9]> (a) \n y = Slice (b, zero, one, two)",
        weights="int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}",
    ).SerializeToString(),
    "a convolution of no groups": lambda: model(
        "a = Unsqueeze (x, one) \n y = Conv <group = 0> (a, k)", weights="int64[1] one = {1}, float[1, 1, 1] k = {1}"
    ).SerializeToString(),
    "a window of another rank": lambda: model(
        "a = Unsqueeze (x, one) \n y = Conv (a, k)", weights="int64[1] one = {1}, float[1, 1, 1, 1] k = {1}"
    ).SerializeToString(),
    "a constant without a value": lambda: model("a = Constant () \n y = Add (x, a)").SerializeToString(),
    "a tensor of fewer numbers": lambda: MODELS["dense"].SerializeToString().replace(
        np.float32(1).tobytes() * 3, np.float32(1).tobytes() * 2, 1
    ),
    "a circle": lambda: model("a = Add (x, b) \n b = Add (a, x) \n y = MatMul (b, w)").SerializeToString(),
    "names that are no text": lambda: GOOD.replace(b"Relu", b"R\xff\xfeu"),
    "sparse weights": lambda: message(7, message(15, b"")) + GOOD,
    "graphs for training": lambda: GOOD + message(20, b""),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_soon(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(HOSTILE[name]())
    net = tmp_path / "net.net"
    net.write_text('net N {\n input x: float[4]\n onnx("model.onnx")\n output y: float[3]\n}\n')
    with pytest.raises(SparkNetError, match="E0213") as caught, deadline():
        check(net)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("at", range(0, len(GOOD), 3))
def test_a_changed_byte_ends_in_a_message_or_a_model(at: int, tmp_path: Path) -> None:
    net = tmp_path / "net.net"
    net.write_text('net N {\n input x: float[4]\n onnx("model.onnx")\n output y: float[3]\n}\n')
    for bit in (1, 0x80):
        data = bytearray(GOOD)
        data[at] ^= bit
        (tmp_path / "model.onnx").write_bytes(bytes(data))
        _, problems = diagnose(parse(load(net)), load(net))
        assert {d.code for d in problems} <= {"E0213", "E0403", "E0405"}


def test_numbers_are_no_structure() -> None:
    tensor = onnx.numpy_helper.from_array(np.zeros(10_000, np.float32), "w")
    proto = onnx.ModelProto()
    proto.graph.initializer.append(tensor)
    assert structure(proto.SerializeToString(), 100) < 100
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 10_000)
    proto.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    assert structure(proto.SerializeToString(), 100) < 100 + 100


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "model.onnx").open("wb") as file:
        file.truncate(reading.MOST_BYTES + 1)  # a hole, which takes no room
    (tmp_path / "net.net").write_text(
        'net N {\n input x: float[4]\n onnx("model.onnx")\n output y: float[3]\n}\n', "utf-8"
    )
    with pytest.raises(SparkNetError, match="larger than 1,024 MiB"):
        check(tmp_path / "net.net")
