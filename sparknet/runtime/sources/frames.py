"""Tables that a program hands over: Spark DataFrames, pandas DataFrames and Arrow tables."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.sections import SPLITS, Binding, DataSection, Supply
from sparknet.compiler.supplies import DEFAULT_SPLIT
from sparknet.runtime.encoding.binding import BoundPort, ambiguous
from sparknet.runtime.problems import problem

if TYPE_CHECKING:
    import pandas as pd

FrameType = TypeVar("FrameType")
"""One of the three kinds; neither pandas nor pyarrow has types of its own."""


def is_spark(frame: object) -> bool:
    """Whether this is a DataFrame of Spark; costs no import, since whoever has one has imported it."""
    return _is(frame, "pyspark.sql", "DataFrame")


def is_pandas(frame: object) -> bool:
    """Whether this is a DataFrame of pandas."""
    return _is(frame, "pandas", "DataFrame")


def _is(frame: object, module: str, name: str) -> bool:
    return module in sys.modules and isinstance(frame, getattr(sys.modules[module], name))


def check_frame(frame: object, what: str) -> None:
    """Raise SparkNetError where `what`, the name of an argument, is no table."""
    if not isinstance(frame, pa.Table) and not is_pandas(frame) and not is_spark(frame):
        kind = type(frame).__name__
        helps = ["pandas.DataFrame(...) or pyarrow.table(...) makes one of lists, arrays and other frames"]
        message = f"`{what}` must be a DataFrame of Spark or pandas, or an Arrow table, found a {kind}"
        raise problem("R0054", message, helps=helps)


def check_alike(frames: Mapping[str, object]) -> None:
    """Raise SparkNetError where some frames are Spark's and others are in this process."""
    on_spark = [key for key, frame in frames.items() if is_spark(frame)]
    here = [key for key in frames if key not in on_spark]
    if on_spark and here:
        message = f"the rows for `{on_spark[0]}` are on Spark, those for `{here[0]}` in this process"
        helps = ["give all of them as Spark DataFrames: `spark.createDataFrame(...)` makes one"]
        raise problem("R0008", message, helps=helps)


def as_arrow(frame: pd.DataFrame | pa.Table, columns: Collection[str]) -> pa.Table:
    """A frame of this process as an Arrow table; raises SparkNetError for a column that Arrow cannot hold.

    Those of pandas that are not among `columns`, names or patterns, are there without what they hold, which may be
    anything. NaN stands for a value that is missing, and becomes null. The index is no column.
    """
    if isinstance(frame, pa.Table):
        return frame
    names = [str(name) for name in frame.columns]
    for name, count in Counter(names).items():
        if count > 1:
            raise ambiguous(name, [name] * count)
    patterns = [column.replace("[", "[[]") for column in columns]
    found = {}
    for at, name in enumerate(names):
        read = name in columns or any(fnmatchcase(name, pattern) for pattern in patterns)
        found[name] = _column(name, frame.iloc[:, at]) if read else pa.nulls(len(frame))
    return pa.table(found)


def _column(name: str, column: pd.Series) -> pa.Array | pa.ChunkedArray:
    if any(isinstance(cell, np.ndarray) and cell.ndim > 1 for cell in column.iloc[:1]):
        column = column.map(np.ravel)  # Arrow takes flat arrays, and a port takes the numbers of a row in any shape
    try:
        return pa.Array.from_pandas(column)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        first = str(error).splitlines()[0]
        message = f"column `{name}` of the DataFrame cannot be used: {first}"
        raise problem(
            "R0003", message, helps=["give all its rows one type: numbers, texts, bytes or arrays"]
        ) from error


def with_columns(frame: pd.DataFrame | pa.Table, added: pa.Table) -> pd.DataFrame | pa.Table:
    """The frame with the columns of a table of as many rows beside its own, one of pandas under its own index."""
    if isinstance(frame, pa.Table):
        for name in added.column_names:
            frame = frame.append_column(added.schema.field(name), added[name])
        return frame
    return frame.assign(**{name: added[name].to_pandas().to_numpy() for name in added.column_names})


def fed_by(net: CompiledNet, given: Collection[str]) -> tuple[CompiledNet, dict[str, str]]:
    """The net with frames in the place of its sources, and the key that each of the `given` frames has in it.

    Of `train` alone the rows are split as the file says, where it gives shares; else each frame is its split. Without a
    `data` section each input and output is fed by the column of its name. Raises SparkNetError where the net stops by
    validation rows and gets none. Messages do not name the sources of the file, which are not read.
    """
    data = net.data or _by_names(net)
    first = next(iter(data.supplies.values()))
    if set(given) == {"train"} and "source" in data.supplies:
        supplies, keys = {"source": first.model_copy(update={"source": None})}, {"train": "source"}
    else:
        keys = {key: key for key in given}
        supplies = {
            key: Supply(source=None, label=data.supplies.get(key, first).label, split={key: 1.0})
            for key in SPLITS
            if key in given
        }
    if net.train.early_stop is not None and not any("validation" in supply.split for supply in supplies.values()):
        message = "`early_stop` goes by validation rows, but the frames have none"
        helps = ["give some as `validation=`", 'or turn it off: `settings=["train.early_stop=none"]`']
        raise problem("R0008", message, helps=helps)
    typed = replace(net.typed, net=replace(net.typed.net, data=data.model_copy(update={"supplies": supplies})))
    return replace(net, typed=typed), keys


def columns_of(bound: Iterable[BoundPort | Binding]) -> set[str]:
    """The columns, or the patterns for them, that are read of a frame; `path` says in messages which file a cell is."""
    return {"path", *(name for each in bound for name in each.columns)}


def _by_names(net: CompiledNet) -> DataSection:
    """What a `data` section would say that binds each port to the column of its name."""
    labels = {each.name: each.label for each in net.typed.net.inputs}
    labels |= {each.name: each.label for each in net.typed.net.outputs}
    ports = [port.name for port in (*net.inputs, *net.targets) if port.measures is None]
    bindings = tuple(Binding(port=name, columns=(name,), label=labels[name]) for name in ports)
    supply = Supply(source=None, label=net.typed.net.label, split=DEFAULT_SPLIT)
    return DataSection(supplies={"source": supply}, bindings=bindings)
