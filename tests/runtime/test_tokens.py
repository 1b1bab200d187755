"""A net that reads tokens, from the table to predictions, and the messages about tokens that it cannot use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError
from sparknet.runtime.encoding.encode import choose_layout
from sparknet.runtime.encoding.profile import profile_batches
from sparknet.runtime.runs import predict_to_file, run_local
from sparknet.runtime.training.trainer import bound_ports
from tests.runtime.conftest import only

NET = """
net Words {
  input words: token[5, vocabulary: 300]
  embedding(8) -> flatten -> dense(2)
  output kind: class[2]
}
data {
  source = parquet("rows.parquet")
  words  = column("w")
  kind   = column("y")
}
train {
  optimizer = adam(lr: 0.02)
  epochs = 40
  batch = 16
  workers = 1
}
"""


def net_of(folder: Path, words: Any, kind: pa.DataType | None = None) -> CompiledNet:
    """Rows whose class says whether token 7 is in front."""
    labels = [int(w[0] == 7) if w else 0 for w in words]
    pq.write_table(pa.table({"w": pa.array(words, kind), "y": labels}), folder / "rows.parquet")
    (folder / "words.net").write_text(NET, "utf-8")
    return sparknet.compile(folder / "words.net")


def sentences(count: int = 320) -> list[list[int]]:
    draw = np.random.Generator(np.random.Philox(3))
    words = draw.integers(0, 300, (count, 5))
    words[::2, 0] = 7
    return [[int(w) for w in row] for row in words]


def test_tokens_train(tmp_path: Path) -> None:
    net = net_of(tmp_path, sentences())
    run = run_local(net, tmp_path / "run")
    assert run.scores["test"].metrics["accuracy"] > 0.95
    assert predict_to_file(tmp_path / "run", str(tmp_path / "rows.parquet"), tmp_path / "out.parquet").rows == 320
    out = pq.read_table(tmp_path / "out.parquet")
    assert np.mean(np.equal(out["kind_predicted"], out["y"])) > 0.95


def test_tokens_are_stored_in_the_smallest_type(tmp_path: Path) -> None:
    net = net_of(tmp_path, sentences())
    bound = bound_ports(net)
    profile = profile_batches(pq.read_table(tmp_path / "rows.parquet").to_batches(), bound)
    assert [field.dtype for field in choose_layout(bound, profile).fields] == ["<u2", "<u1"]


TAKES = "`words` takes 5 tokens, whole numbers from 0 to 299"


@pytest.mark.parametrize(
    ("last", "kind", "message", "help"),
    [
        ([1, 2, 300, 4, 5], None, f"R0014 row 320 of column `w` holds 300; {TAKES}", "check the number in `vocabulary"),
        ([1, -1, 3, 4, 5], None, f"R0014 row 320 of column `w` holds -1; {TAKES}", "map rare tokens"),
        ([1, 2.5, 3, 4, 5], pa.list_(pa.float32()), f"R0015 row 320 of column `w` holds 2.5; {TAKES}", "whole numbers"),
        ([1, 2, 3], None, f"R0012 row 320 of column `w` has 3 numbers; {TAKES}", "fill up short ones"),
        (None, None, f"R0010 row 320 of column `w` is null; {TAKES}", "fill in or drop"),
    ],
)
def test_bad_tokens(tmp_path: Path, last: Any, kind: pa.DataType | None, message: str, help: str) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, [*sentences(319), last], kind))
    assert only(error) == message
    assert help in error.value.diagnostics[0].helps[0]


def test_texts_are_no_tokens(tmp_path: Path) -> None:
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, [["a", "b", "c", "d", "e"]] * 40))
    assert only(error) == f"R0013 column `w` is of type list of string; {TAKES}"
    assert error.value.diagnostics[0].helps == ("tokens are whole numbers from 0; give each text a number first",)
