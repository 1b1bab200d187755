"""Spark Connect: a server in a process of its own, whose runs and predictions are those of any other Spark."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from socket import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.runtime.runs import OnSpark, predict_to_file, run_local, run_spark
from sparknet.runtime.spark import exchange, messages
from sparknet.runtime.spark.connect import connect, words_for
from sparknet.runtime.training.trainer import TrainedNet
from tests.runtime.conftest import only, rows, small_net
from tests.runtime.servers import ROOT, bare_python, connect_server


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose tasks find no sparknet until a session brings it."""
    folder = tmp_path_factory.mktemp("connect")
    with connect_server(folder, bare_python(folder)) as address:
        yield address


@pytest.fixture(scope="module")
def remote(url: str) -> Iterator[SparkSession]:
    """A session that stands beside the classic one of the suite, if there is one, in the same process."""
    session = connect(url)
    yield session
    session.stop()


def vectors(trained: TrainedNet) -> tuple[bytes, bytes]:
    return trained.parameters.tobytes(), trained.optimizer_state.tobytes()


def test_the_bytes_are_those_of_classic_spark_and_of_none(
    folder: Path, remote: SparkSession, spark: SparkSession
) -> None:
    net = small_net(folder, workers=2, more="\n  schedule = [cosine]\n  sync = average(every: 7)")
    there, classic, here = (
        run_spark(net, on=OnSpark(spark=remote)),
        run_spark(net, on=OnSpark(spark=spark)),
        run_local(net),
    )
    assert vectors(there) == vectors(classic) == vectors(here)
    assert there.scores == classic.scores == here.scores


def test_a_model_of_a_frame(folder: Path, remote: SparkSession) -> None:
    small_net(folder, workers=2)
    frame = remote.createDataFrame(rows().to_pandas())
    assert type(frame).__module__ == "pyspark.sql.connect.dataframe"
    there, here = (sparknet.train(folder / "small.net", each) for each in (frame, rows()))
    assert there.run.parameters.tobytes() == here.run.parameters.tobytes()
    scored = there.transform(frame).toArrow().sort_by("id")
    assert scored.select(["id", "kind_predicted", "kind_probability"]).to_pylist() == (
        here.transform(rows()).select(["id", "kind_predicted", "kind_probability"]).to_pylist()
    )
    assert there.evaluate(frame) == pytest.approx(here.evaluate(rows()), rel=1e-6)


def test_categories_and_moments(folder: Path, remote: SparkSession) -> None:
    """What is learnt from the data goes through windows, groups and jobs of its own."""
    table = rows().append_column("name", pa.array([f"n{kind}" for kind in rows()["y"].to_pylist()]))
    pq.write_table(table, folder / "rows.parquet")
    text = small_net(folder, workers=2).source.text
    (folder / "small.net").write_text(
        text.replace('column("x") / 4', 'standardize(column("x"))').replace('column("y")', 'column("name")'), "utf-8"
    )
    net = sparknet.compile(folder / "small.net")
    assert vectors(run_spark(net, on=OnSpark(spark=remote))) == vectors(run_local(net))


def test_the_commands(folder: Path, url: str) -> None:
    net = small_net(folder, workers=2)
    run_local(net, folder / "here")
    predict_to_file(folder / "here", folder / "rows.parquet", folder / "here.parquet", keep=["id"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAVA_HOME": str(folder)}  # no Java is needed on this side
    for command in (
        ["run", "small.net", "-o", "there", "--master", url],
        ["predict", "there", "--input", "rows.parquet", "--output", "there.parquet", "--keep", "id", "--master", url],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "sparknet.cli.main", *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, "")
    for file in ("inference.onnx", "parameters.safetensors", "optimizer_state.safetensors"):
        assert (folder / "there" / file).read_bytes() == (folder / "here" / file).read_bytes()
    there, here = (pq.read_table(folder / f"{name}.parquet").sort_by("id").to_pylist() for name in ("there", "here"))
    assert there == here


@pytest.mark.parametrize("suffix", [".orc", ".json"])
def test_files_of_predictions(folder: Path, remote: SparkSession, suffix: str) -> None:
    run_local(small_net(folder, workers=2), folder / "run")
    found = predict_to_file(
        folder / "run", folder / "rows.parquet", folder / f"out{suffix}", OnSpark(spark=remote), ["y"]
    )
    assert found.rows == 200
    assert list(found.output.glob(f"*{suffix}"))


# ----- what cannot work -----


def test_a_bad_row_is_named(folder: Path, remote: SparkSession) -> None:
    net = small_net(folder, workers=2)
    with pytest.raises(SparkNetError) as error:
        run_spark(net, on=OnSpark(data=remote.sql("SELECT array(1.0, 2.0, 3.0, NULL) AS x, 1 AS y")))
    assert only(error).startswith("R0010 ")


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ("\n  workers = 2", 1),
        ("\n  workers = 2\n  moments = reset", 0),
        ("\n  workers = 1\n  moments = reset", 1),  # it has nothing to exchange, and keeps its own
        ("\n  workers = 2\n  sync = step", 0),
    ],
)
def test_what_a_round_sends(folder: Path, more: str, state: int) -> None:
    net = small_net(folder, more=more)
    assert net.optimizer_state_size > net.parameter_count
    sent = messages.sent_bytes(net) - net.step.ByteSize()
    assert sent == 4 * (net.parameter_count + state * net.optimizer_state_size)


def test_more_than_a_message_holds(folder: Path, remote: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small_net(folder, workers=2)
    sent = messages.sent_bytes(net)
    assert messages.most_bytes(remote) == 128 << 20
    monkeypatch.setattr(exchange, "INLINE_BYTES", 0)
    for known in (messages.sent_bytes, lambda net: 0):  # before any data is read, and before the job itself
        monkeypatch.setattr(messages, "sent_bytes", known)
        monkeypatch.setattr(messages, "most_bytes", lambda session: sent - 1)
        with pytest.raises(SparkNetError) as error:
            run_spark(net, on=OnSpark(spark=remote))
        assert only(error).startswith("R0069 a round sends 0.0 MiB in a message")
        assert error.value.diagnostics[0].helps[0].startswith("train where this process is the driver")


def test_nobody_listens() -> None:
    with pytest.raises(SparkNetError) as error:
        connect("sc://127.0.0.1:1")
    assert only(error) == "R0061 no Spark Connect server listens at `127.0.0.1:1`: Connection refused"


def test_who_listens_does_not_answer(tmp_path: Path) -> None:
    """In a process of its own, which must come to its end, too."""
    with socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"sc://127.0.0.1:{mute.getsockname()[1]}"
        script = "import sys; from sparknet.runtime.spark.connect import connect; connect(sys.argv[1], 1)"
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            [*command, url],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"error[R0061]: Spark Connect at `{url}` takes a connection, but does not answer in 1 s" in done.stderr


@pytest.mark.parametrize("url", ["sc://", "sc://:15002", "sc://host:port", "sc://[host"])
def test_no_address(url: str) -> None:
    with pytest.raises(SparkNetError) as error:
        connect(url)
    assert only(error) == f"R0063 `{url}` is no address of a Spark Connect server"


def test_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {"grpc", "google.rpc"}
    monkeypatch.setattr("sparknet.runtime.spark.connect.find_spec", lambda name: None if name in lacking else name)
    with pytest.raises(SparkNetError) as error:
        connect("sc://127.0.0.1:1")
    assert only(error) == ("R0062 Spark Connect needs `grpcio`, `googleapis-common-protos`, which this Python lacks")
    assert error.value.diagnostics[0].helps == ("pip install 'sparknet[connect]'",)


def test_words_of_two_sessions_in_one_process(remote: SparkSession, spark: SparkSession) -> None:
    for session in (spark, remote, spark):
        with words_for(session):
            assert session.range(3).agg(sf.sum("id").alias("all")).toArrow().to_pylist() == [{"all": 3}]
    assert "SPARK_CONNECT_MODE_ENABLED" not in os.environ


def test_words_are_those_of_all_threads_until_the_last_is_done(remote: SparkSession, spark: SparkSession) -> None:
    with ThreadPoolExecutor(1) as other, ExitStack() as held:
        with words_for(remote):
            with words_for(spark):  # in a callback, perhaps
                assert "SPARK_CONNECT_MODE_ENABLED" not in os.environ
            other.submit(held.enter_context, words_for(remote)).result()
        assert remote.range(1).select(sf.col("id")).toArrow().num_rows == 1
        with pytest.raises(SparkNetError) as error, words_for(spark):
            pass
        assert only(error) == "R0068 another thread uses Spark Connect, or Spark without it, at this moment"
        other.submit(held.close).result()
    assert "SPARK_CONNECT_MODE_ENABLED" not in os.environ
