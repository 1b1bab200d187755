"""Images and recordings: from the files of a folder to predictions, the same here and on Spark."""

from __future__ import annotations

import tracemalloc
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.compiled import Port
from sparknet.compiler.encoders import Pixels, Spectrogram
from sparknet.compiler.types import TensorType
from sparknet.grammar import SparkNetError
from sparknet.runtime import spool
from sparknet.runtime.encoding import binding, images
from sparknet.runtime.encoding.cells import encode_cells
from sparknet.runtime.encoding.encode import choose_layout
from sparknet.runtime.encoding.images import MOST_PIXELS, MediaError, read_image
from sparknet.runtime.encoding.profile import profile_batches
from sparknet.runtime.encoding.recordings import read_recording
from sparknet.runtime.run_folder import load
from sparknet.runtime.runs import OnSpark, predict_to_file, run_local, run_spark
from sparknet.runtime.sources.builtin import read_built_in
from sparknet.runtime.sources.places import open_table, place_of
from sparknet.runtime.training.trainer import bound_ports, data_section
from tests.runtime.conftest import only
from tests.runtime.test_memory import largest_file

NET = """
net Media {{
  input {input}
  {layers} -> dense(2)
  output label: class[2]
}}
data {{
  source = {source}
  {binding}
  label  = column("label")
}}
train {{
  optimizer = adam(lr: 0.01)
  epochs = {epochs}
  batch = 8
  workers = 2
}}
"""
IMAGES = {"input": "image: float[1, 8, 8]", "layers": "flatten", "source": 'images("files")', "epochs": 15}
SOUNDS = {"input": "audio: float[20, 40]", "layers": "mean", "source": 'audio("files")', "epochs": 30}


def net_of(folder: Path, binding: str, **parts: object) -> CompiledNet:
    (folder / "media.net").write_text(NET.format(binding=binding, **parts), "utf-8")
    return sparknet.compile(folder / "media.net")


def file_of(pixels: NDArray[np.generic], kind: str = "PNG") -> bytes:
    """An image file of these pixels."""
    opened = BytesIO()
    Image.fromarray(pixels).save(opened, kind)
    return opened.getvalue()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noughts and ones as PNG files, a folder each, twice as large as they are."""
    folder = tmp_path_factory.mktemp("digits")
    table = read_built_in("digits")
    for index, (pixels, label) in enumerate(zip(table["pixels"].to_pylist(), table["label"].to_pylist(), strict=True)):
        if label < 2 and index < 1000:
            place = folder / "files" / ("nought", "one")[label] / f"{index}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file_of(np.kron(np.reshape(pixels, (8, 8)), np.ones((2, 2))).astype(np.uint8) * 15))
    return folder


def test_images_of_a_folder(digits: Path, tmp_path: Path, spark: SparkSession) -> None:
    net = net_of(digits, 'image  = image(column("image"), size: 8, gray: true)', **IMAGES)
    trained = run_local(net, tmp_path / "run")
    assert trained.scores["test"].metrics["accuracy"] > 0.95
    assert run_spark(net, on=OnSpark(spark=spark)).parameters.tobytes() == trained.parameters.tobytes()
    for written in ('image  = image(column("image"))', "image  = image"):
        short = net_of(digits, written, **IMAGES)
        assert short.step.SerializeToString(deterministic=True) == net.step.SerializeToString(deterministic=True)
    assert load(tmp_path / "run").encoders["image"] == Pixels(channels=1, height=8, width=8)
    source = f'images("{digits / "files"}")'
    for name, on in (("here", None), ("there", OnSpark(spark=spark))):
        predict_to_file(tmp_path / "run", source, tmp_path / f"{name}.parquet", on, keep=["path", "label"])
    here, there = (pq.read_table(tmp_path / f"{name}.parquet").sort_by("path") for name in ("here", "there"))
    assert here.to_pydict() == there.to_pydict()
    assert np.mean(np.equal(here["label"].to_pylist(), here["label_predicted"].to_pylist())) > 0.95


def test_pixels_are_stored_as_bytes_and_scaled_in_the_graph(digits: Path) -> None:
    net = net_of(digits, 'image  = image(column("image"))', **IMAGES)
    supply = data_section(net).supplies["source"]
    table = open_table(place_of(supply.source, supply.label))
    bound = binding.typed(bound_ports(net), table.schema)
    profile = profile_batches(table.batches(binding.all_columns(bound)), bound)
    assert [field.dtype for field in choose_layout(bound, profile).fields] == ["<u1", "<u1"]
    divisors = [node for node in net.step.graph.node if node.op_type in ("Div", "Mul") and node.input[0] == "image"]
    assert len(divisors) == 1


def test_batches_are_decoded_in_parts(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_of(digits, "image  = image", **{**IMAGES, "epochs": 1})
    whole = run_local(net).parameters.tobytes()
    monkeypatch.setattr(binding, "DECODED", 64 * 7)
    assert run_local(net).parameters.tobytes() == whole


def test_images_are_decoded_once(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    once = images.read_image
    monkeypatch.setattr(images, "read_image", lambda data, encoder: (decoded.append(data), once(data, encoder))[1])
    trained = run_local(net_of(digits, "image  = image", **{**IMAGES, "epochs": 1}))
    assert len(decoded) == sum(trained.rows.values())


def test_images_are_not_searched_for_a_bad_one_where_the_disk_is_full(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    once = images.read_image
    monkeypatch.setattr(images, "read_image", lambda data, encoder: (decoded.append(data), once(data, encoder))[1])
    monkeypatch.setattr(spool, "LOCAL_BYTES", 100)
    with largest_file(1000), pytest.raises(SparkNetError) as error:
        run_local(net_of(digits, "image  = image", **IMAGES))
    assert only(error).startswith("R0034 ")
    assert len(decoded) == len(set(decoded)) > 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"no image at all", "is no image of a known format (JPEG, PNG, GIF, BMP, WEBP, TIFF)"),
        (file_of(np.zeros((64, 64), np.uint8))[:-30], "is an image that cannot be read: "),
    ],
)
def test_a_broken_image_names_its_file(tmp_path: Path, spark: SparkSession, data: bytes, why: str) -> None:
    for index in range(30):
        place = tmp_path / "files" / "ab"[index % 2] / f"{index:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file_of(np.full((8, 8), index, np.uint8)) if index != 16 else data)
    net = net_of(tmp_path, "image  = image", **IMAGES)
    for run in (lambda: run_local(net), lambda: run_spark(net, on=OnSpark(spark=spark))):
        with pytest.raises(SparkNetError) as error:
            run()
        assert only(error).startswith("R0028 row ")
        assert f" of column `image` {why}" in only(error)
        assert only(error).endswith(" ('a/16.png'); `image` takes the bytes of an image")


def test_images_that_are_too_large() -> None:
    black = Image.new("1", (10_000, MOST_PIXELS // 10_000 + 1))
    opened = BytesIO()
    black.save(opened, "PNG")
    with pytest.raises(MediaError, match="has 10,000 x 5,001 pixels, more than the 50,000,000 that are read"):
        read_image(opened.getvalue(), Pixels(channels=1, height=8, width=8))
    huge = bytearray(opened.getvalue())
    huge[16:24] = b"\x00\x01\x00\x00\x00\x01\x00\x00"  # 65,536 x 65,536, with a wrong checksum
    with pytest.raises(MediaError):
        read_image(bytes(huge), Pixels(channels=1, height=8, width=8))


def test_what_pixels_become() -> None:
    draw = np.random.Generator(np.random.Philox(1)).integers(0, 256, (6, 4, 3), np.uint8)
    as_it_is = read_image(file_of(draw), Pixels(channels=3, height=6, width=4))
    assert np.array_equal(as_it_is.reshape(3, 6, 4), draw.transpose(2, 0, 1))
    for pixels in (draw[:, :, 0], draw[:, :, 0].astype(np.uint16) * 256 + 7):
        gray = read_image(file_of(pixels), Pixels(channels=1, height=6, width=4))
        assert np.array_equal(gray.reshape(6, 4), draw[:, :, 0])
    halves = np.zeros((4, 4), np.uint8)
    halves[:, 2:] = 200
    assert read_image(file_of(halves), Pixels(channels=1, height=2, width=2)).tolist()[1] > 150
    turned = Image.fromarray(draw)
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera was held upright
    opened = BytesIO()
    turned.save(opened, "PNG", exif=exif)
    found = read_image(opened.getvalue(), Pixels(channels=3, height=4, width=6)).reshape(3, 4, 6)
    assert np.array_equal(found, np.rot90(draw, -1).transpose(2, 0, 1))


def test_what_is_broken_beside_the_pixels_is_passed_over() -> None:
    """Pillow warns of a palette with transparency and of metadata that ends too soon."""
    colors = np.array([[[200, 100, 50, 0], [1, 2, 3, 255]]], np.uint8)
    opened = BytesIO()
    Image.fromarray(colors).quantize(2).save(opened, "PNG")
    assert b"tRNS" in opened.getvalue()
    found = read_image(opened.getvalue(), Pixels(channels=3, height=1, width=2))
    assert found.reshape(3, 2)[:, 1].tolist() == [1, 2, 3]
    exif = Image.new("RGB", (8, 8)).getexif()
    exif[0x0112], exif[0x010F] = 1, "a camera" * 20
    opened = BytesIO()
    Image.new("RGB", (8, 8), (9, 9, 9)).save(opened, "JPEG", exif=exif.tobytes()[:-40], quality=100)
    assert set(read_image(opened.getvalue(), Pixels(channels=3, height=2, width=2)).tolist()) == {9}


def test_a_large_jpeg_is_decoded_at_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.Generator(np.random.Philox(4)).integers(0, 256, (6, 9, 3), np.uint8)
    opened = BytesIO()
    Image.fromarray(draw).resize((1500, 1000), Image.Resampling.BICUBIC).save(opened, "JPEG", quality=95)
    pixels = Pixels(channels=3, height=32, width=48)
    quick = read_image(opened.getvalue(), pixels).astype(int)
    monkeypatch.setattr(images, "_SPARE", 1000)
    whole = read_image(opened.getvalue(), pixels).astype(int)
    assert 1 <= np.abs(quick - whole).max() <= 8


def test_columns_of_other_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": ["a.png"] * 40, "label": ["a", "b"] * 20}), tmp_path / "rows.parquet")
    with pytest.raises(SparkNetError) as error:
        run_local(net_of(tmp_path, "image  = image", **{**IMAGES, "source": 'parquet("rows.parquet")'}))
    assert only(error) == "R0013 column `image` is of type string; `image` takes the bytes of an image"
    cells = pa.array([file_of(np.zeros((2, 2), np.uint8)), None])
    port = Port("image", "float", TensorType("float32", (1, 8, 8)))
    found = encode_cells(cells, Pixels(channels=1, height=8, width=8), port)
    assert found.first is not None
    assert (found.first.code, found.first.row, found.first.text) == ("R0010", 1, "is null")


# ----- recordings -----


def tone(hertz: float, seconds: float, rate: int, channels: int = 1) -> NDArray[np.float64]:
    """A sine of amplitude 0.5."""
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1)


def recording(wave: NDArray[np.float64], rate: int, kind: str = "WAV") -> bytes:
    """A sound file."""
    opened = BytesIO()
    soundfile.write(opened, wave, rate, format=kind)
    return opened.getvalue()


@pytest.mark.parametrize("variable", [False, True])
def test_recordings_of_a_folder(tmp_path: Path, spark: SparkSession, variable: bool) -> None:
    draw = np.random.Generator(np.random.Philox(2))
    for index in range(80):
        low = index % 2 == 0
        hertz = draw.uniform(200, 400) if low else draw.uniform(1500, 3000)
        rate, kind = ((16_000, "WAV"), (22_050, "FLAC"), (44_100, "WAV"))[index % 3]
        place = tmp_path / "files" / ("low" if low else "high") / f"{index}.{kind.lower()}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(recording(tone(hertz, draw.uniform(0.05, 0.4), rate, 1 + index % 2), rate, kind))
    parts = {**SOUNDS, "input": f"audio: float[20, 40{', variable: true' * variable}]"}
    net = net_of(tmp_path, 'audio  = audio(column("audio"), mel: 40, seconds: 0.2) / 10', **parts)
    trained = run_local(net, tmp_path / "run")
    assert trained.scores["test"].metrics["accuracy"] > 0.9
    assert run_spark(net, on=OnSpark(spark=spark)).parameters.tobytes() == trained.parameters.tobytes()
    source = f'audio("{tmp_path / "files"}")'
    predict_to_file(tmp_path / "run", source, tmp_path / "out.parquet", keep=["path", "label"])
    out = pq.read_table(tmp_path / "out.parquet")
    assert np.mean(np.equal(out["label"].to_pylist(), out["label_predicted"].to_pylist())) > 0.9


def spectrogram(data: bytes, frames: int = 50, mel: int = 40) -> tuple[NDArray[np.float32], int]:
    numbers, there = read_recording(data, Spectrogram(frames=frames, mel=mel))
    return numbers.reshape(frames, mel), there


def test_the_rate_does_not_matter() -> None:
    found = [spectrogram(recording(tone(1000, 0.5, rate), rate))[0] for rate in (16_000, 22_050, 48_000)]
    for other in found[1:]:
        assert np.array_equal(found[0].argmax(axis=1)[:-3], other.argmax(axis=1)[:-3])
        np.testing.assert_allclose(found[0][:-3].max(axis=1), other[:-3].max(axis=1), atol=0.05)


def test_the_loudest_band_is_that_of_the_tone() -> None:
    """Bands lie evenly on the mel scale, so the number of the loudest one says the frequency."""
    for hertz in (300.0, 1000.0, 4000.0):
        frames, _ = spectrogram(recording(tone(hertz, 0.5, 16_000), 16_000))
        low, high, here = (2595 * np.log10(1 + f / 700) for f in (20, 8000, hertz))
        assert abs(frames[10].argmax() - ((here - low) / (high - low) * 41 - 1)) <= 1


def test_short_and_long_recordings() -> None:
    frames, there = spectrogram(recording(tone(500, 0.105, 16_000), 16_000))
    assert there == 11
    assert frames[:10].max(axis=1).min() > -10
    assert np.allclose(frames[11:], np.log(1e-10))
    assert spectrogram(recording(tone(500, 3, 16_000), 16_000))[1] == 50
    assert spectrogram(recording(np.zeros((0, 1)), 16_000))[1] == 1


def test_long_recordings_in_little_memory() -> None:
    """Frames are transformed a few at a time, each as it would be in a recording of its own."""
    wave = np.random.Generator(np.random.Philox(3)).normal(size=(20 * 8000, 1)) / 9
    data = recording(wave, 8000)
    tracemalloc.start()
    found, there = spectrogram(data, frames=2000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert there == 2000
    assert peak < 12 << 20
    np.testing.assert_allclose(found[:40], spectrogram(data[: 44 + 2 * 4000], frames=50)[0][:40], atol=1e-4)


def test_a_recording_of_more_samples_than_are_read() -> None:
    with pytest.raises(MediaError, match="of which 1,382,400,000 samples would be read"):
        spectrogram(recording(tone(100, 0.1, 384_000), 384_000), frames=360_000)


def test_recordings_that_are_none() -> None:
    with pytest.raises(MediaError, match="is no recording of a known format"):
        spectrogram(b"RIFF no more")
    with pytest.raises(MediaError, match="500 samples a second"):
        spectrogram(recording(tone(10, 1, 500), 500))
    broken = np.array([[0.0], [np.nan]])
    opened = BytesIO()
    soundfile.write(opened, broken, 16_000, format="WAV", subtype="FLOAT")
    with pytest.raises(MediaError, match="holds NaN or infinity"):
        spectrogram(opened.getvalue())
