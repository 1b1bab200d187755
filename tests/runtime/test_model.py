"""`sparknet.train` and what it gives: the same from frames of every kind, and from the folder that it is saved in."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

import sparknet
from sparknet.runtime.training.records import RoundRecord
from tests.runtime.conftest import only, rows, small_net

ROOT = Path(__file__).parents[2]
SETTINGS = ("train.workers=2",)


@pytest.fixture
def net(folder: Path) -> Path:
    """The small net beside its rows."""
    small_net(folder)
    return folder / "small.net"


def in_process(code: str, *arguments: object) -> str:
    """What a new process prints."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def weights(model: sparknet.Model) -> bytes:
    return model.run.parameters.tobytes()


def same_files(one: Path, other: Path, but: Sequence[str] = ()) -> bool:
    names = [sorted(path.name for path in folder.iterdir()) for folder in (one, other)]
    return names[0] == names[1] and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in names[0] if name not in but
    )


# ----- the same from everything -----


def test_every_kind_of_frame_gives_the_same_bytes(net: Path, spark: SparkSession) -> None:
    table = rows()
    frame = spark.createDataFrame(table)
    want = sparknet.train(net, settings=SETTINGS)
    for data in (table, table.to_pandas(), frame):
        model = sparknet.train(str(net), data, settings=SETTINGS)
        assert weights(model) == weights(want)
        assert model.scores == want.scores
    assert weights(sparknet.train(net, spark=spark, settings=SETTINGS)) == weights(want)
    assert weights(sparknet.train(sparknet.compile(net, settings=SETTINGS), table)) == weights(want)


def test_frames_for_each_split(net: Path, spark: SparkSession) -> None:
    table = rows()
    parts = {"data": table.slice(0, 100), "validation": table.slice(100, 60), "test": table.slice(160)}
    here = sparknet.train(net, settings=[*SETTINGS, "train.epochs=5"], **parts)
    assert here.run.manifest.rows == {"train": 100, "validation": 60, "test": 40}
    assert [*here.scores] == ["validation", "test"]
    frames = {name: spark.createDataFrame(part) for name, part in parts.items()}
    there = sparknet.train(net, settings=[*SETTINGS, "train.epochs=5"], **frames)
    assert (weights(there), there.scores) == (weights(here), here.scores)
    for model, test in ((here, parts["test"]), (here, parts["test"].to_pandas()), (there, frames["test"])):
        assert model.evaluate(test) == here.scores["test"]
    few = sparknet.train(net, parts["data"], test=parts["test"], settings=SETTINGS)
    assert few.run.manifest.rows == {"train": 100, "test": 40}


def test_a_frame_takes_the_place_of_sources_apart(net: Path) -> None:
    apart = net.read_text("utf-8").replace("source = ", "train = ").replace("  split  = {train: 0.8, test: 0.2}\n", "")
    model = sparknet.train(apart, rows(), settings=SETTINGS)
    assert (model.run.manifest.rows, model.scores) == ({"train": 200}, {})


def test_a_data_section_without_a_source_is_for_frames(net: Path) -> None:
    with_source = sparknet.train(net, rows(), settings=SETTINGS)
    text = net.read_text("utf-8").replace('source = parquet("rows.parquet")', "")
    net.write_text(text.replace("split = {train: 0.8, test: 0.2}", ""), "utf-8")
    assert weights(sparknet.train(net, rows(), settings=SETTINGS)) == weights(with_source)
    parts = sparknet.train(net, rows(), test=rows(50), settings=SETTINGS)
    assert parts.run.manifest.rows == {"train": 200, "test": 50}
    with pytest.raises(sparknet.SparkNetError) as error:
        sparknet.train(net)
    assert only(error) == "R0004 the `data` section has no `source`, so there is nothing to train on"
    (label,) = error.value.diagnostics[0].labels
    assert label.source.text[label.span.start : label.span.end] == "data"


def test_transform_gives_the_kind_that_it_gets(net: Path, spark: SparkSession) -> None:
    model = sparknet.train(net, rows(), settings=["train.epochs=20"])
    table = rows(50).drop_columns("y")
    scored = model.transform(table)
    assert scored.column_names == ["x", "id", "kind_predicted", "kind_probability"]
    assert np.mean(scored["kind_predicted"].to_numpy() == rows(50)["y"].to_numpy()) > 0.9
    frame = table.to_pandas().set_index(pd.Index(range(50, 0, -1), name="back"))
    beside = model.transform(frame)
    assert isinstance(beside, pd.DataFrame)
    assert beside.index.equals(frame.index)
    assert [*frame.columns] == ["x", "id"], "what is handed over is left as it is"
    assert pa.table(beside.reset_index(drop=True)).to_pydict() == scored.to_pydict()
    assert model.transform(spark.createDataFrame(table)).toArrow().to_pydict() == scored.to_pydict()
    assert model.transform(table.slice(0, 0)).num_rows == 0


def test_texts_that_are_labels(tmp_path: Path, spark: SparkSession) -> None:
    small_net(tmp_path)
    table = rows()
    names = pa.array(np.array(["ant", "bee", "cat"])[table["y"].to_numpy()])
    frame = table.set_column(1, "y", names).to_pandas()
    model = sparknet.train(tmp_path / "small.net", frame, settings=["train.epochs=20"])
    assert set(model.transform(frame)["kind_predicted"]) == {"ant", "bee", "cat"}
    assert model.evaluate(frame)["accuracy"] > 0.9
    assert model.evaluate(spark.createDataFrame(frame)) == model.evaluate(frame)


def test_without_a_data_section_columns_go_by_their_names(tmp_path: Path, spark: SparkSession) -> None:
    net = "net N { input point: float[4]\n dense(3)\n output kind: class[3] }\ntrain { workers = 2 }"
    table = rows().rename_columns(["point", "kind", "id"])
    model = sparknet.train(net, table)
    assert weights(sparknet.train(net, spark.createDataFrame(table))) == weights(model)
    assert sum(model.run.manifest.rows.values()) == 200
    assert [*model.scores] == ["test"]
    model.save(tmp_path / "run")
    loaded = sparknet.load(tmp_path / "run")
    assert loaded.evaluate(table.to_pandas()) == model.evaluate(table)
    with pytest.raises(sparknet.SparkNetError) as error:
        sparknet.train(net, rows())
    assert [d.message for d in error.value.diagnostics] == [f"the data has no column `{n}`" for n in ("point", "kind")]
    assert "input point: float[4]" in str(error.value), "shown at the input"
    with pytest.raises(sparknet.SparkNetError) as error:
        sparknet.train(model.net)
    assert only(error).startswith("R0004 ")


def test_a_net_that_stops_by_validation_needs_such_rows(net: Path) -> None:
    text = net.read_text("utf-8").replace("{train: 0.8, test: 0.2}", "{train: 0.8, validation: 0.2}")
    text = text.replace("  batch =", "  early_stop = patience(3)\n  batch =")
    assert [*sparknet.train(text, rows(), settings=SETTINGS).scores] == ["validation"]
    assert [*sparknet.train(text, rows(), validation=rows(20), settings=SETTINGS).scores] == ["validation"]
    with pytest.raises(sparknet.SparkNetError) as error:
        sparknet.train(text, rows(), test=rows(20))
    assert only(error) == "R0008 `early_stop` goes by validation rows, but the frames have none"


def test_columns_of_pandas_hold_arrays_of_any_shape_and_others_anything(net: Path) -> None:
    frame = rows().to_pandas()
    odd = frame.assign(
        x=[np.reshape(cell, (2, 2)) for cell in frame["x"]],
        y=pd.array(frame["y"], dtype="Int64"),
        id=[object(), 1, "a", None] * 50,
    )
    model = sparknet.train(net, odd, settings=SETTINGS)
    assert weights(model) == weights(sparknet.train(net, frame, settings=SETTINGS))
    assert model.evaluate(odd) == model.evaluate(frame)
    scored = model.transform(odd)
    assert scored["id"].tolist() == odd["id"].tolist()
    assert scored["kind_predicted"].tolist() == model.transform(frame)["kind_predicted"].tolist()


# ----- what a model is -----


def test_a_model_shows_what_it_is(net: Path) -> None:
    model = sparknet.train(net, rows(), settings=SETTINGS)
    assert repr(model) == "<sparknet.Model Small, round 2 of 2>"
    assert list(model.metrics["round"]) == [1, 2]
    assert model.metrics["train.loss"].iloc[-1] == model.run.history[-1].train.loss
    assert model.metrics["score.metrics.accuracy"].iloc[-1] == model.scores["test"]["accuracy"]
    assert model.net.parameter_count == len(model.run.parameters)
    session = onnxruntime.InferenceSession(model.onnx.SerializeToString(), providers=["CPUExecutionProvider"])
    kinds, _ = session.run(None, {"point": np.array(rows()["x"].to_pylist(), np.float32)})
    assert kinds.tolist() == model.transform(rows())["kind_predicted"].to_pylist()


def test_a_saved_model_is_the_same_in_a_new_process(net: Path, tmp_path: Path) -> None:
    model = sparknet.train(net, rows(), output=tmp_path / "left", settings=SETTINGS)
    model.save(tmp_path / "saved")
    assert same_files(tmp_path / "left", tmp_path / "saved")
    pq.write_table(rows(), tmp_path / "some.parquet")
    code = (
        "import sys, pandas, sparknet\n"
        "frame = pandas.read_parquet(sys.argv[2])\n"
        "model = sparknet.load(sys.argv[1])\n"
        "model.save(sys.argv[3])\n"
        "print(model.evaluate(frame), model.transform(frame)['kind_predicted'].tolist())\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('pyspark', 'py4j')]\n"
    )
    printed = in_process(code, tmp_path / "saved", tmp_path / "some.parquet", tmp_path / "again")
    predicted = model.transform(rows())["kind_predicted"].to_pylist()
    assert printed == f"{model.evaluate(rows())} {predicted}\n"
    assert same_files(tmp_path / "saved", tmp_path / "again")
    with pytest.raises(sparknet.SparkNetError) as error:
        model.save(tmp_path / "saved")
    assert only(error) == f"E0601 `{tmp_path / 'saved'}` exists already"


def test_loading_checks_the_folder(tmp_path: Path) -> None:
    with pytest.raises(sparknet.SparkNetError) as error:
        sparknet.load(str(tmp_path / "none"))
    assert only(error) == f"R0041 there is no run folder at `{tmp_path / 'none'}`"


def test_importing_is_light() -> None:
    heavy = "{'numpy', 'onnx', 'onnxruntime', 'pyspark', 'pandas', 'pyarrow', 'pydantic'}"
    assert in_process(f"import sparknet, sys; print({heavy} & set(sys.modules))") == "set()\n"
    assert (
        in_process("import sparknet, sys; sparknet.train; print({'pyspark', 'pandas'} & set(sys.modules))") == "set()\n"
    )


@pytest.mark.parametrize(("page", "start"), [("README.md", "## Embed it"), ("docs/tools.md", "## From Python")])
def test_the_pages_run(page: str, start: str, tmp_path: Path) -> None:
    """On the rows of `digits()` as a program would have them."""
    section = (ROOT / page).read_text("utf-8").partition(f"\n{start}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    rows_as_given = (
        "import sklearn.datasets as sets, pandas, os, sys\n"
        "os.chdir(sys.argv[1])\n"
        "digits = sets.load_digits()\n"
        "df = pandas.DataFrame({'pixels': list(digits.data), 'label': digits.target})\n"
        "df, held_out = df[:1400], df[1400:]\n"
    )
    in_process(rows_as_given + "".join(blocks), tmp_path)
    assert sparknet.load(tmp_path / "runs" / "mine").metrics["train.loss"].iloc[-1] < 0.6


# ----- callbacks -----


def test_a_callback_gets_every_round_and_ends_the_run(net: Path) -> None:
    seen: list[RoundRecord] = []

    def third(record: RoundRecord) -> bool | None:
        seen.append(record)
        return True if record.round == 3 else None

    settings = [*SETTINGS, "train.epochs=9"]
    model = sparknet.train(net, rows(), settings=settings, callback=third)
    assert tuple(seen) == model.run.history
    assert [record.round for record in seen] == [1, 2, 3]
    assert seen[0].score is not None
    assert (seen[0].score.split, set(seen[0].score.metrics)) == ("test", {"accuracy"})
    assert model.run.manifest.stopped_early
    whole = sparknet.train(net, rows(), settings=settings)
    assert [r.train for r in whole.run.history[:3]] == [r.train for r in seen]


def test_a_callback_on_spark(net: Path, spark: SparkSession) -> None:
    def second(record: RoundRecord) -> bool:
        return record.round == 2

    frame = spark.createDataFrame(rows())
    there = sparknet.train(net, frame, settings=[*SETTINGS, "train.epochs=5"], callback=second)
    here = sparknet.train(net, rows(), settings=[*SETTINGS, "train.epochs=5"], callback=second)
    assert len(there.run.history) == 2
    assert weights(there) == weights(here)


@pytest.mark.parametrize("raised", [KeyError("mine"), pa.ArrowInvalid("mine"), KeyboardInterrupt()], ids=repr)
def test_what_a_callback_raises_is_raised(net: Path, raised: BaseException) -> None:
    def fails(record: RoundRecord) -> None:
        raise raised

    with pytest.raises(type(raised)) as error:
        sparknet.train(net, rows(), callback=fails)
    assert error.value is raised


def test_an_answer_that_is_none(net: Path) -> None:
    answers: Callable[[RoundRecord], Any] = lambda record: "stop"  # noqa: E731
    with pytest.raises(TypeError, match="`callback` returns True to end the run, else None or False, not 'stop'"):
        sparknet.train(net, rows(), callback=answers)


def test_a_run_that_broke_off_is_resumed(net: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sparknet")
    settings = [*SETTINGS, "train.epochs=4", "train.checkpoint=rounds(1)"]

    def breaks(record: RoundRecord) -> None:
        if record.round == 3:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        sparknet.train(net, rows(), settings=settings, output=tmp_path / "run", callback=breaks)
    model = sparknet.train(net, rows(), settings=settings, output=tmp_path / "run", resume=True)
    assert weights(model) == weights(sparknet.train(net, rows(), settings=[*SETTINGS, "train.epochs=4"]))
    assert sparknet.load(tmp_path / "run").scores == model.scores
    assert f"resuming after round 3, from `{tmp_path / 'run.checkpoints' / 'round-3'}`" in caplog.messages


# ----- mistakes -----

ODD = pd.DataFrame({"x": [[1.0] * 4] * 9, "y": ["a", 1, 2] * 3})
LARGE = pd.DataFrame({"x": [[1.0] * 4] * 9, "y": [2**70] * 9})
TWICE = pd.DataFrame(np.zeros((9, 3)), columns=["x", "y", "x"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (rows().rename_columns(["x", "z", "id"]), "R0002 the data has no column `y`"),
        (rows().rename_columns(["x", "z", "id"]).to_pandas(), "R0002 the data has no column `y`"),
        (pd.DataFrame({"x": [[1.0] * 4, None], "y": [1, 1]}), "R0010 row 2 of column `x` is null; `point` takes 4"),
        (ODD, "R0003 column `y` of the DataFrame cannot be used: "),
        (LARGE, "R0003 column `y` of the DataFrame cannot be used: "),
        (TWICE, "R0006 the data has 2 columns `x`"),
        ([1, 2], "R0054 `data` must be a DataFrame of Spark or pandas, or an Arrow table, found a list"),
        (rows().slice(0, 0), "R0020 the DataFrame given as `data` holds no rows"),
    ],
)
def test_frames_that_cannot_be_trained_on(net: Path, data: Any, message: str) -> None:
    with pytest.raises(sparknet.SparkNetError) as error:
        sparknet.train(net, data)
    assert only(error).startswith(message)


@pytest.mark.parametrize("key", ["data", "validation", "test"])
def test_a_frame_without_rows_is_named_and_not_the_source_of_the_file(net: Path, key: str) -> None:
    with pytest.raises(sparknet.SparkNetError) as error:
        sparknet.train(net, **{"data": rows(), key: rows().slice(0, 0).to_pandas()})
    assert only(error) == f"R0020 the DataFrame given as `{key}` holds no rows"
    assert error.value.diagnostics[0].labels == ()


def test_frames_that_do_not_go_together(net: Path, spark: SparkSession) -> None:
    frame = spark.createDataFrame(rows(20))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"data": frame, "test": rows(20)}, "the rows for `train` are on Spark, those for `test` in this process"),
        ({"test": rows(20)}, "`test` is given without `data`, the rows to train on"),
        (
            {"data": frame, "spark": spark},
            "`spark` reads the sources of the `data` section, whose place `data` takes",
        ),
    ]
    for given, message in cases:
        with pytest.raises(sparknet.SparkNetError) as error:
            sparknet.train(net, **given)
        assert only(error) == f"R0008 {message}"


def test_frames_that_cannot_be_scored(net: Path, spark: SparkSession) -> None:
    model = sparknet.train(net, rows(), settings=SETTINGS)
    lacking = rows(9).select(["x"])
    for data in (lacking, lacking.to_pandas(), spark.createDataFrame(lacking)):
        with pytest.raises(sparknet.SparkNetError) as error:
            model.evaluate(data)
        assert only(error) == "R0002 the data has no column `y`"
        with pytest.raises(sparknet.SparkNetError) as error:
            model.transform(data.rename(columns={"x": "z"}) if isinstance(data, pd.DataFrame) else _renamed(data))
        assert only(error) == "R0002 the data has no column `x`"
    with pytest.raises(sparknet.SparkNetError) as error:
        model.evaluate(rows(9).slice(0, 0))
    assert only(error) == "R0020 the DataFrame given as `data` holds no rows"
    with pytest.raises(sparknet.SparkNetError) as error:
        model.transform(model.transform(rows(9)))
    assert only(error).startswith("R0051 the data has a column `kind_pr")
    bad = pd.DataFrame({"x": [[1.0] * 4, [1.0] * 3], "y": [0, 1]})
    for use in (model.transform, model.evaluate):
        with pytest.raises(sparknet.SparkNetError) as error:
            use(bad)
        assert only(error).startswith("R0012 row 2 of column `x` ")


def test_a_bad_row_of_a_frame_on_spark_is_told_where_it_is_met(net: Path, spark: SparkSession) -> None:
    """Where it stands in its partition, and by what the user may know it; of how it was found there is no trace."""
    model = sparknet.train(net, rows(), settings=SETTINGS)
    data = rows(20).to_pandas()
    data.at[12, "x"] = None
    frame = spark.createDataFrame(pa.Table.from_pandas(data)).coalesce(1)
    with pytest.raises(PySparkException) as error:
        model.transform(frame).collect()
    text = str(error.value)
    assert "error[R0010]: row 13 of partition 0 of column `x` is null; `point` takes 4 numbers" in text
    assert "this one has `y` " in text
    assert "`id` 12" in text
    assert text.count('  File "') <= 1


def _renamed(data: Any) -> Any:
    return data.rename_columns(["z"]) if isinstance(data, pa.Table) else data.withColumnRenamed("x", "z")
