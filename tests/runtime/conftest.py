"""One Spark session for all tests of this folder, and a small net that trains in a blink."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.grammar import SparkNetError

NET = """
net Small {{
  input point: float[4]
  dense(8, relu)
  dropout(0.2)
  dense(3)
  output kind: class[3]
}}
data {{
  source = {source}
  point  = column("x") / 4
  kind   = column("y")
  split  = {split}
}}
train {{
  optimizer = adam(lr: 0.01)
  {length}
  batch = {batch}
  seed = 3{more}
}}
"""

DIGITS = """\
data {
  source = digits()
  image  = column("pixels") / 16
  digit  = column("label")
}
"""
"""The data of nets that read digits: an input `image`, an output `digit`."""


def small_net(folder: Path, source: str = 'parquet("rows.parquet")', **settings: object) -> CompiledNet:
    """The net of `NET`, its data beside it in `folder`."""
    given = {"split": "{train: 0.8, test: 0.2}", "epochs": 2, "batch": 8, "more": "", **settings}
    workers = given.pop("workers", None)
    given["length"] = f"steps = {given['steps']}" if "steps" in given else f"epochs = {given['epochs']}"
    if workers:
        given["more"] = f"{given['more']}\n  workers = {workers}"
    path = folder / "small.net"
    path.write_text(NET.format(source=source, **given), "utf-8")
    return sparknet.compile(path)


def rows(count: int = 200, duplicates: bool = True) -> pa.Table:
    """Points in three clouds; one row in four is the copy of an earlier one."""
    draw = np.random.Generator(np.random.Philox(7))
    kind = draw.integers(0, 3, count)
    points = np.round(draw.normal(size=(count, 4)) + 3 * kind[:, None], 3)
    if duplicates:
        points[count // 2 : count * 3 // 4] = points[: count * 3 // 4 - count // 2]
        kind[count // 2 : count * 3 // 4] = kind[: count * 3 // 4 - count // 2]
    return pa.table({"x": list(points), "y": kind, "id": np.arange(count)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `rows.parquet` in it."""
    pq.write_table(rows(), tmp_path / "rows.parquet")
    return tmp_path


def only(error: pytest.ExceptionInfo[SparkNetError]) -> str:
    """The one diagnostic of an error, as code and message."""
    (diagnostic,) = error.value.diagnostics
    return f"{diagnostic.code} {diagnostic.message}"
