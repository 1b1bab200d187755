"""What `sparknet compile -o` leaves."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from safetensors.numpy import load_file

import sparknet
from sparknet.compiler import folder
from sparknet.grammar import SparkNetError

SPEC = Path(__file__).parents[2] / "specs" / "digits.net"


def test_a_folder_says_all_that_is_needed_to_train_without_this_project(tmp_path: Path) -> None:
    folder.write_compiled(sparknet.compile(SPEC), tmp_path / "out" / "digits")
    out = tmp_path / "out" / "digits"
    assert sorted(p.name for p in out.parent.iterdir()) == ["digits"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["net"] == "Digits"
    assert manifest["inputs"] == [
        {
            "name": "image",
            "kind": "float",
            "dtype": "float32",
            "shape": [1, 8, 8],
            "classes": None,
            "columns": ["pixels"],
        }
    ]
    for name, file in manifest["files"].items():
        data = (out / name).read_bytes()
        assert (len(data), sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
    tensors = load_file(out / "parameters.safetensors")
    flat = np.concatenate([tensors[slot["name"]].ravel() for slot in manifest["parameters"]])
    state = np.zeros(sum(slot["size"] for slot in manifest["optimizer_state"]), np.float32)
    feeds = {
        "image": np.zeros((2, 1, 8, 8), np.float32),
        "digit": np.array([3, 4]),
        "parameters": flat,
        "optimizer_state": state,
        "learning_rate": np.array(manifest["learning_rate"], np.float32),
        "seed": np.array(0),
    }
    loss, accuracy, parameters, state = ort.InferenceSession(out / "step.onnx").run(None, feeds)
    assert np.isfinite(loss)
    assert 0 <= accuracy <= 1
    assert (parameters.shape, state.shape) == (flat.shape, (2 * flat.size + 1,))


def test_two_compilations_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder.write_compiled(sparknet.compile(SPEC), tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(SparkNetError, match=r"error\[E0601\]: `.*mine` exists already"):
        folder.write_compiled(sparknet.compile(SPEC), tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SparkNetError, match="cannot be written: No space left on device"):
        folder.write_compiled(sparknet.compile(SPEC), tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SparkNetError) as error:
        folder.check_output(tmp_path / "file" / "runs" / "mine")
    (diagnostic,) = error.value.diagnostics
    where, file = tmp_path / "file" / "runs" / "mine", tmp_path / "file"
    assert diagnostic.message == f"`{where}` cannot be written: `{file}` is a file, not a folder"
    assert diagnostic.helps == ("name another folder",)
