"""`checkpointDir`: a training that was cut off goes on with the next fit."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pyspark.sql import DataFrame

import sparknet
from sparknet.grammar import SparkNetError
from sparknet.ml import CNNClassifier, NetClassifier
from sparknet.runtime.training.records import RoundRecord
from tests.runtime.conftest import only

NET = "net Mine {\n  input x: float[64]\n  dense(10)\n  output y: class[10]\n}\ntrain {\n  checkpoint = minutes(5)\n}\n"


def stop_at_three(record: RoundRecord) -> None:
    if record.round == 3:
        raise KeyboardInterrupt


def test_the_next_fit_goes_on(digits: DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = str(tmp_path / "checkpoints")
    stage = CNNClassifier(
        layers="flatten -> dense(16, relu)", maxIter=4, checkpointInterval=1, checkpointDir=place, numWorkers=2
    )
    spec = stage.specFor(digits)
    assert "checkpoint = rounds(1)" in spec
    with pytest.raises(KeyboardInterrupt):
        sparknet.train(spec, digits, checkpoints=place, callback=stop_at_three)
    with pytest.raises(SparkNetError) as error:
        stage.copy({stage.numFilters: 8, stage.maxIter: 5}).fit(digits)
    assert only(error) == "R0047 the run cannot be resumed: `epochs` of the `train` section was 4 and is 5"
    with caplog.at_level(logging.INFO, "sparknet"):
        model = stage.fit(digits)
    assert any(record.message.startswith("resuming after round ") for record in caplog.records)
    assert not any(Path(place).iterdir())
    whole = stage.copy()
    whole.clear(whole.checkpointDir)
    whole.clear(whole.checkpointInterval)
    assert whole.fit(digits).trained.run.parameters.tobytes() == model.trained.run.parameters.tobytes()


def test_what_is_asked_for(digits: DataFrame) -> None:
    with pytest.raises(SparkNetError) as error:
        CNNClassifier(checkpointInterval=2).fit(digits)
    assert only(error) == "M0001 `checkpointInterval` is set, but `checkpointDir`, where the checkpoints go, is not"
    own = NetClassifier(spec=NET, checkpointDir="there")
    assert "checkpoint = minutes(5)" in own.specFor(digits), "that of the text stays"
    assert "checkpoint = rounds(7)" in own.setCheckpointInterval(7).specFor(digits)
