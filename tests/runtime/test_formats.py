"""Every source gives the same rows here and on Spark, and one message for what it cannot read."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc as arrow_orc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from sparknet.compiler.sources import (
    AudioSource,
    CsvSource,
    DataSource,
    ImagesSource,
    JsonSource,
    LibsvmSource,
    OrcSource,
    ParquetSource,
    TextSource,
)
from sparknet.grammar import SparkNetError
from sparknet.runtime.sources.places import Place, open_table
from sparknet.runtime.spark.sources import open_frame
from tests.runtime.conftest import only

Row = dict[str, Any]
Content = bytes | Callable[[Path], object]

TABLE = pa.table({"a": [1, 2, 3], "b": [[0.5, 1], [2, 3.5], [4, 5]], "c": ["x", None, "ü"]})
ROWS = TABLE.to_pylist()


def vector(size: int, indices: list[int], values: list[float]) -> Row:
    """A sparse vector of pyspark.ml."""
    return {"type": 0, "size": size, "indices": indices, "values": values}


SVM = b"1 1:0.5 3:-2e1\n# a comment\n\n  0\n-1 2:+3 \n"


def svm_rows(size: int) -> list[Row]:
    """The rows of `SVM`."""
    vectors = [vector(size, [0, 2], [0.5, -20.0]), vector(size, [], []), vector(size, [1], [3.0])]
    return [{"label": label, "features": each} for label, each in zip([1.0, 0.0, -1.0], vectors, strict=True)]


CASES: dict[str, tuple[DataSource, dict[str, Content], list[Row]]] = {
    "parquet": (ParquetSource(path="f"), {"f": lambda p: pq.write_table(TABLE, p)}, ROWS),
    "orc": (OrcSource(path="f"), {"f": lambda p: arrow_orc.write_table(TABLE, p)}, ROWS),
    "orc folder": (
        OrcSource(path="d"),
        {"d/x/1.orc": lambda p: arrow_orc.write_table(TABLE, p), "d/_old": b"x", "d/.x/y": b"x"},
        ROWS,
    ),
    "json": (JsonSource(path="f"), {"f": "\n".join(map(json.dumps, ROWS)).encode()}, ROWS),
    "json, types by all rows": (
        JsonSource(path="d"),
        {
            "d/1": b'{"a": 1, "t": "2020-01-01"}\n\n{"a": null, "l": [1]}\n',
            "d/2": b'{"a": 2.5, "l": [0.5], "t": "x"}\n',
        },
        [
            {"a": 1.0, "l": None, "t": "2020-01-01"},
            {"a": None, "l": [1.0], "t": None},
            {"a": 2.5, "l": [0.5], "t": "x"},
        ],
    ),
    "csv": (
        CsvSource(path="f"),
        {"f": b'\xef\xbb\xbfw,x,y,"z,1",e,n\n1,2,true,"a ""b""",,NaN\n 3 ,.5,FALSE,\xc3\xbc,,1e3\n\n,-1,,,"",+2\n'},
        [
            {"w": 1, "x": 2.0, "y": True, "z,1": 'a "b"', "e": None, "n": "nan"},
            {"w": 3, "x": 0.5, "y": False, "z,1": "ü", "e": None, "n": 1000.0},
            {"w": None, "x": -1.0, "y": None, "z,1": None, "e": None, "n": 2.0},
        ],
    ),
    "csv, texts": (
        CsvSource(path="f"),
        {"f": b"a,b,c,d,e\n1,true,0x10,2020-01-01,1_0\ntrue,1,2,2020-01-02,2\n9,0,3,2020-01-03,3\n"},
        [
            {"a": "1", "b": "true", "c": "0x10", "d": "2020-01-01", "e": "1_0"},
            {"a": "true", "b": "1", "c": "2", "d": "2020-01-02", "e": "2"},
            {"a": "9", "b": "0", "c": "3", "d": "2020-01-03", "e": "3"},
        ],
    ),
    "csv, a kind here and another there": (
        CsvSource(path="d"),
        {
            "d/1.csv": b"a,b,c,d,e,f\n1,true,nan,+1,,-nan\n2,FALSE,-inf,2,, NaN\n",
            "d/2.csv": b"a,b,c,d,e,f\n0.5,1,nan(0),3,,1\n,0,1,4,7,2\n",
        },
        [
            {"a": 1.0, "b": "true", "c": "nan", "d": 1.0, "e": None, "f": "-nan"},
            {"a": 2.0, "b": "FALSE", "c": "-inf", "d": 2.0, "e": None, "f": " NaN"},
            {"a": 0.5, "b": "1", "c": "nan(0)", "d": 3.0, "e": None, "f": "1"},
            {"a": None, "b": "0", "c": "1", "d": 4.0, "e": 7, "f": "2"},
        ],
    ),
    "csv, options": (
        CsvSource(path="f", header=False, separator="\t", quote="'", null="NA"),
        {"f": b"1\t'x\ty'\tNA\n\tNA\t99999999999999999999\n"},
        [{"_c0": 1, "_c1": "x\ty", "_c2": None}, {"_c0": None, "_c1": None, "_c2": 1e20}],
    ),
    "csv, no quotes": (CsvSource(path="f", quote=""), {"f": b'a,b\n"x,y"\n'}, [{"a": '"x', "b": 'y"'}]),
    "csv folder": (
        CsvSource(path="d"),
        {"d/1.csv": b",a\n0,1\n", "d/2.csv": b",a\n1,0.5\n", "d/3.csv": b",a\n"},
        [{"_c0": 0, "a": 1.0}, {"_c0": 1, "a": 0.5}],
    ),
    "libsvm": (LibsvmSource(path="f"), {"f": SVM}, svm_rows(3)),
    "libsvm, wider": (LibsvmSource(path="f", features=7), {"f": SVM}, svm_rows(7)),
    "text": (
        TextSource(path="d"),
        {"d/1.txt": b"\xef\xbb\xbfone\r\n\n  two \xc3\xbc", "d/2.txt": b"three\rfour\n", "d/3.txt": b""},
        [{"text": text} for text in ("one", "", "  two ü", "three", "four")],
    ),
    "images": (
        ImagesSource(path="p [1]"),
        {"p [1]/cat/1 %20.PNG": b"c", "p [1]/dog/x/2.jpeg": b"d", "p [1]/notes.txt": b"n", "p [1]/3.bmp": b"e"},
        [
            {"image": b"e", "label": "p [1]", "path": "3.bmp"},
            {"image": b"c", "label": "cat", "path": "cat/1 %20.PNG"},
            {"image": b"d", "label": "x", "path": "dog/x/2.jpeg"},
        ],
    ),
    "audio": (
        AudioSource(path="s"),
        {"s/yes/a.wav": b"w", "s/no/b.flac": b"f"},
        [{"audio": b"f", "label": "no", "path": "no/b.flac"}, {"audio": b"w", "label": "yes", "path": "yes/a.wav"}],
    ),
}


def made(folder: Path, files: dict[str, Content]) -> None:
    """Write the files of a case."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content(path)


def alike(rows: list[Row]) -> list[str]:
    """The rows as texts, in an order of their own; NaN as `nan`, which is equal to itself."""
    return sorted(
        repr({k: "nan" if isinstance(v, float) and isnan(v) else v for k, v in sorted(row.items())}) for row in rows
    )


@pytest.mark.parametrize("name", CASES)
def test_rows(tmp_path: Path, spark: SparkSession, name: str) -> None:
    source, files, rows = CASES[name]
    made(tmp_path, files)
    place = Place(source, tmp_path)
    table = open_table(place)
    here = [row for batch in table.batches(table.schema.names) for row in batch.to_pylist()]
    assert alike(here) == alike(rows)
    frame = open_frame(spark, place)
    found = frame.toArrow().to_pylist()
    assert alike(found) == alike(rows)


def test_columns_in_the_order_asked_for(tmp_path: Path) -> None:
    for name, (source, files, rows) in CASES.items():
        made(tmp_path / name, files)
        table = open_table(Place(source, tmp_path / name))
        names = table.schema.names[::-1]
        assert names, name
        for batch in table.batches(names):
            assert batch.schema.names == names, name
        assert sum(batch.num_rows for batch in table.batches(names[:1])) == len(rows), name


LIBSVM_FAULTS = {
    "-1 3:1\nnan 1:2": "line 2: the label `nan` is no number",
    "# of\n\n1 1:2 2=3": "line 3: `2=3` is not `index:value`",
    "1 0:2": "line 1: index 0: indices count from 1",
    "0 1:1\n1 3:1 2:1": "line 2: index 2: it comes after 3, and indices rise",
    "1 1:1 1:1": "line 1: index 1: it comes after 1, and indices rise",
    "1 5:1\n1 2147483648:1": "line 2: index 2147483648: the largest is 2,147,483,647",
    "1" * 1_000_000 + "x 1:1": f"line 1: the label `{'1' * 40}` is no number",
    "1 1:" + "1" * 1_000_000 + "x": f"line 1: `1:{'1' * 38}` is not `index:value`",
    "1" + " " * 1_000_000 + "x": "line 1: `x` is not `index:value`",
}


@pytest.mark.parametrize("text", LIBSVM_FAULTS, ids=LIBSVM_FAULTS.values())
def test_faults_of_libsvm_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "f").write_text(text)
    table = open_table(Place(LibsvmSource(path="f"), tmp_path))
    with pytest.raises(SparkNetError) as caught:
        list(table.batches(["features"]))
    assert only(caught) == f"R0003 `{tmp_path / 'f'}` cannot be read as libsvm: {LIBSVM_FAULTS[text]}"


HOSTILE: dict[str, tuple[DataSource, bytes, str]] = {
    "csv of many columns": (
        CsvSource(path="f"),
        b",".join(b"%d" % i for i in range(200_000)),
        "its 200,000 columns are more than the 10,000 that are read",
    ),
    "csv with a name twice at its end": (
        CsvSource(path="f"),
        b",".join(b"%d" % i for i in [*range(9_999), 9_998]) + b"\n",
        "the header names the column `9998` twice",
    ),
    "json with a key of its own in each line": (
        JsonSource(path="f"),
        b"\n".join(b'{"%d": 0}' % i for i in range(20_000)),
        "its lines have more than 10,000 different keys",
    ),
    "json with a text without an end": (
        JsonSource(path="f"),
        b'{"a": "' + b"[" * 101 + b'\\"' * 1_000_000,
        "JSON parse error",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_before_they_take_time_or_memory(tmp_path: Path, name: str) -> None:
    source, content, message = HOSTILE[name]
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(SparkNetError) as caught:
        open_table(Place(source, tmp_path))
    assert f"cannot be read as {source.name}: {message}" in only(caught)


def test_json_lines_of_many_keys_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\n".join(b'{"k%d": %d}' % (i % 1_000, i) for i in range(17_000)))
    table = open_table(Place(JsonSource(path="f"), tmp_path))
    assert len(table.schema) == 1_000
    assert sum(batch.num_rows for batch in table.batches(["k7"])) == 17_000
