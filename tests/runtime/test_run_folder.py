"""Run folders: whole or not at all, and read back as if an enemy had made them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from pyspark.sql import SparkSession
from safetensors.numpy import save as save_tensors

import sparknet
from sparknet.compiler.folder import check_output, write_compiled
from sparknet.compiler.foreign.safety import UnsafeModelError
from sparknet.grammar import SparkNetError
from sparknet.runtime.onnx_check import check_model
from sparknet.runtime.run_folder import finished, load, save
from sparknet.runtime.runs import OnSpark, run_local, run_spark
from tests.runtime.conftest import only, rows, small_net


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, `run`, beside its `.net` file and data."""
    folder = tmp_path_factory.mktemp("made")
    pq.write_table(rows(), folder / "rows.parquet")
    run_local(small_net(folder, workers=2), folder / "run")
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


def refused(run: Path, file: str) -> str:
    """The message with which the folder is refused, which must name the file."""
    with pytest.raises(SparkNetError) as error:
        load(run)
    message = only(error)
    assert message.startswith(f"R0042 `{run / file}` is damaged: ")
    return message.split("is damaged: ")[1]


def resign(run: Path, file: str, data: bytes) -> None:
    """Replace a file and list the new one in the manifest, as an enemy would."""
    (run / file).write_bytes(data)
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    manifest["files"][file] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    (run / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def test_a_run_reads_back(made: Path) -> None:
    trained = run_local(small_net(made, workers=2))
    run = load(made / "run")
    assert run.parameters.tobytes() == trained.parameters.tobytes()
    assert run.optimizer_state.tobytes() == trained.optimizer_state.tobytes()
    assert run.net == (made / "small.net").read_text("utf-8")
    assert [record.score for record in run.history] == [record.score for record in trained.history]
    assert run.manifest.workers == 2
    assert not [path for path in made.iterdir() if "partial" in path.name]


def test_an_output_that_exists_is_left_alone(made: Path) -> None:
    before = sorted(p.name for p in (made / "run").iterdir())
    with pytest.raises(SparkNetError) as error:
        run_local(small_net(made), made / "run")
    assert only(error) == f"E0601 `{made / 'run'}` exists already"
    assert sorted(p.name for p in (made / "run").iterdir()) == before


def test_an_output_below_a_file_is_refused(made: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        check_output(made / "small.net" / "run")
    assert only(error).startswith("E0601 ")


def test_a_failed_write_leaves_nothing(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small_net(made, workers=2)
    trained = run_local(net)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SparkNetError) as error:
        save(tmp_path / "run", finished(net, trained), net)
    assert only(error) == f"E0601 `{tmp_path / 'run'}` cannot be written: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        load(tmp_path / "run")
    assert only(error) == f"R0041 there is no run folder at `{tmp_path / 'run'}`"
    with pytest.raises(SparkNetError) as error:
        load(tmp_path)
    assert only(error) == f"R0041 `{tmp_path}` is no run folder: there is no `manifest.json` in it"


FILES = [
    "net.net",
    "metrics.jsonl",
    "inference.onnx",
    "step.onnx",
    "evaluation.onnx",
    "parameters.safetensors",
    "optimizer_state.safetensors",
]


@pytest.mark.parametrize("file", FILES)
def test_a_changed_file(run: Path, file: str) -> None:
    data = bytearray((run / file).read_bytes())
    data[len(data) // 2] ^= 1
    (run / file).write_bytes(data)
    assert refused(run, file) == "its contents are not those that the manifest lists"
    (run / file).write_bytes(data[:-1])
    assert "the manifest says" in refused(run, file)
    (run / file).unlink()
    assert refused(run, file) == "it is missing"


@pytest.mark.parametrize("file", [*FILES, "manifest.json"])
def test_a_link(run: Path, tmp_path: Path, file: str) -> None:
    shutil.move(run / file, tmp_path / file)
    (run / file).symlink_to(tmp_path / file)
    assert refused(run, file) == "it is a link"


def test_a_pipe_is_not_waited_for(run: Path) -> None:
    (run / "net.net").unlink()
    os.mkfifo(run / "net.net")
    assert refused(run, "net.net") == "it is not a regular file"


MANIFESTS: dict[str, Callable[[dict[str, object]], object]] = {
    "extra key": lambda m: m | {"more": 1},
    "missing key": lambda m: {k: v for k, v in m.items() if k != "seed"},
    "wrong type": lambda m: m | {"seed": "0"},
    "negative": lambda m: m | {"workers": -1},
    "a file outside": lambda m: m | {"files": {"../../etc/passwd": {"bytes": 1, "sha256": "0" * 64}}},
    "no files": lambda m: m | {"files": {}},
    "not a map": lambda m: [m],
}


@pytest.mark.parametrize("change", MANIFESTS)
def test_a_changed_manifest(run: Path, change: str) -> None:
    path = run / "manifest.json"
    path.write_text(json.dumps(MANIFESTS[change](json.loads(path.read_text("utf-8")))), "utf-8")
    refused(run, "manifest.json")


def test_another_format(run: Path) -> None:
    path = run / "manifest.json"
    path.write_text(path.read_text("utf-8").replace('"format": 1', '"format": 2'), "utf-8")
    with pytest.raises(SparkNetError) as error:
        load(run)
    assert only(error) == f"R0043 `{path}` is of another format than 1"


def test_deep_json(run: Path) -> None:
    (run / "manifest.json").write_text("[" * 100_000, "utf-8")
    refused(run, "manifest.json")


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"other": np.zeros(3, np.float32)}, "its tensors are not those that the manifest lists"),
        ({"dense1.weight": np.zeros((8, 4), np.float32)}, "tensor `dense1.weight` is not float32[4, 8] at 0"),
        ({"dense1.weight": np.zeros((4, 8), np.float64)}, "tensor `dense1.weight` is not float32[4, 8] at 0"),
        ({"dense1.weight": np.full((4, 8), np.nan, np.float32)}, "tensor `dense1.weight` holds NaN or infinity"),
    ],
)
def test_other_weights(run: Path, tensors: dict[str, np.ndarray], why: str) -> None:
    shapes = {slot.name: slot.shape for slot in load(run).manifest.parameters}
    known = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    resign(run, "parameters.safetensors", save_tensors(tensors if "other" in tensors else known | tensors))
    assert refused(run, "parameters.safetensors") == why


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x08" + bytes(7) + b"[[[[[[[[", b"\x02" + bytes(7) + b"{}"])
def test_broken_safetensors(run: Path, data: bytes) -> None:
    resign(run, "parameters.safetensors", data)
    refused(run, "parameters.safetensors")


@pytest.mark.parametrize(("file", "data"), [("net.net", b"\xff\xfe"), ("metrics.jsonl", b"{}\n"), ("step.onnx", b"x")])
def test_other_contents(run: Path, file: str, data: bytes) -> None:
    resign(run, file, data)
    refused(run, file)


def test_another_graph(run: Path) -> None:
    resign(run, "inference.onnx", (run / "evaluation.onnx").read_bytes())
    assert refused(run, "inference.onnx") == "its inputs and outputs are not those that the manifest lists"


@pytest.mark.parametrize("change", ["type", "rank", "more"])
def test_another_interface(run: Path, change: str) -> None:
    graph = onnx.load_model(run / "inference.onnx")
    if change == "type":
        cast = graph.graph.node.add()
        cast.CopyFrom(helper.make_node("Cast", ["kind"], ["kind_cast"], to=TensorProto.INT32))
        graph.graph.output[0].name = "kind_cast"
        graph.graph.output[0].type.tensor_type.elem_type = TensorProto.INT32
        for node in graph.graph.node:
            names = {"kind": "kind_long", "kind_cast": "kind"}
            node.output[:] = [names.get(o, o) for o in node.output]
            node.input[:] = [names.get(i, i) for i in node.input]
        graph.graph.output[0].name = "kind"
    elif change == "rank":
        graph.graph.output[0].type.tensor_type.ClearField("shape")
    else:
        graph.graph.node.append(helper.make_node("Identity", ["kind"], ["more"]))
        graph.graph.output.append(helper.make_tensor_value_info("more", TensorProto.INT64, ["N"]))
    resign(run, "inference.onnx", graph.SerializeToString())
    refused(run, "inference.onnx")


def test_a_compiled_net_is_no_run(made: Path, tmp_path: Path) -> None:
    write_compiled(small_net(made), tmp_path / "build")
    with pytest.raises(SparkNetError) as error:
        load(tmp_path / "build")
    assert only(error) == f"R0044 `{tmp_path / 'build'}` was compiled, not trained"
    assert error.value.diagnostics[0].helps == ("`sparknet run` trains it",)


@pytest.mark.parametrize("layer", ["rnn", "gru", "lstm"])
def test_recurrent_runs_read_back(tmp_path: Path, layer: str) -> None:
    pq.write_table(rows(), tmp_path / "rows.parquet")
    small_net(tmp_path, epochs=1)
    path = tmp_path / "small.net"
    text = path.read_text("utf-8").replace("  dense(8, relu)", f"  reshape(2, 2)\n  {layer}(3)")
    path.write_text(text, "utf-8")
    run_local(sparknet.compile(path), tmp_path / "run")
    assert load(tmp_path / "run").manifest.rounds == 1


# ----- hostile graphs -----


def model(**changes: object) -> onnx.ModelProto:
    node = helper.make_node("Add", ["x", "w"], ["y"])
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    weights = numpy_helper.from_array(np.ones(2, np.float32), "w")
    graph = helper.make_graph([node], "g", [value], [out], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def external(m: onnx.ModelProto) -> None:
    tensor = m.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"


def other_domain(m: onnx.ModelProto) -> None:
    m.graph.node[0].domain = "com.microsoft"
    m.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def own_function(m: onnx.ModelProto) -> None:
    m.functions.append(helper.make_function("", "F", ["a"], ["a"], [], [helper.make_opsetid("", 20)]))


def nested(m: onnx.ModelProto) -> None:
    inner = m.graph
    for _ in range(12):
        node = inner.node.add()
        node.op_type = "If"
        attribute = node.attribute.add()
        attribute.name, attribute.type = "then_branch", onnx.AttributeProto.GRAPH
        inner = attribute.g


def unknown_operator(m: onnx.ModelProto) -> None:
    m.graph.node[0].op_type = "Adder"


def loop(m: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["u"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [2]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("u", TensorProto.FLOAT, [2]),
        ],
    )
    m.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    m.graph.node[0].CopyFrom(helper.make_node("Loop", ["", "always", "x"], ["y"], body=body))


def other_opset(m: onnx.ModelProto) -> None:
    m.opset_import[0].version = 19


def training_graphs(m: onnx.ModelProto) -> None:
    m.training_info.add()


def default_input(m: onnx.ModelProto) -> None:
    m.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "x"))


HOSTILE = [
    external,
    other_domain,
    own_function,
    nested,
    unknown_operator,
    loop,
    other_opset,
    training_graphs,
    default_input,
]


@pytest.mark.parametrize("change", HOSTILE)
def test_a_hostile_graph_is_refused(change: Callable[[onnx.ModelProto], None]) -> None:
    made = model()
    assert check_model(made.SerializeToString()).inputs == {"x": ("float32", (2,))}
    change(made)
    with pytest.raises(UnsafeModelError):
        check_model(made.SerializeToString())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_do_no_more_than_raise_our_own_error(made: Path, tmp_path: Path, data: st.DataObject) -> None:
    run = tmp_path / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(made / "run", run)
    file = data.draw(st.sampled_from(FILES))
    content = bytearray((run / file).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    resign(run, file, bytes(content))
    with suppress(SparkNetError):  # a change that keeps the file valid, such as another weight, is not seen
        load(run)


def test_scores_made_of_vectors_are_saved_and_the_same_on_spark(folder: Path, spark: SparkSession) -> None:
    net = small_net(folder, more="\n  metrics = [f1, accuracy, top_k(2)]\n  workers = 2")
    local = run_local(net, folder / "run")
    assert local.scores == run_spark(net, on=OnSpark(spark=spark)).scores
    saved = load(folder / "run").manifest
    assert list(saved.scores["test"].metrics) == ["f1", "accuracy", "top_2"]
    assert [(s.name, s.shape) for s in saved.statistics] == [
        *(("class_hit", (3,)), ("class_said", (3,)), ("class_true", (3,))),
        *(("accuracy", ()), ("top_2", ())),
    ]
