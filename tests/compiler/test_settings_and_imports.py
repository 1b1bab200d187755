"""What `--set` and `import` change where nothing is wrong; what is wrong stands in the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

import sparknet
from sparknet.compiler import check
from sparknet.compiler.describe import describe_train
from sparknet.compiler.sources import ParquetSink, ParquetSource
from sparknet.grammar import SparkNetError

NET = """\
let width = 8
let twice = width * 2

net N {
  input x: float[4]
  dense(width) -> dense(twice)
  output y: float[twice]
}
"""


def units(net: str | Path, *settings: str, root: Path | None = None) -> list[int]:
    typed = check(net, settings=settings, root=root)
    return [typed.types[use.name].shape[0] for use in typed.net.layers]


def test_a_let_that_is_set_changes_those_that_use_it() -> None:
    assert units(NET) == [8, 16]
    assert units(NET, "width=3") == [3, 6]
    assert units(NET, "twice = width + 1", "width=5") == [5, 6]


def test_keys_are_set_with_and_without_their_section() -> None:
    assert check(NET, settings=["train.epochs=3"]).net.train.epochs == 3
    net = NET + "train {\n  epochs = 4\n  batch = 5\n}\n"
    train = check(net, settings=["train.epochs=width", "train.optimizer=sgd(lr: 0.5)"]).net.train
    assert (train.epochs, train.batch, train.optimizer.name, train.optimizer.lr) == (8, 5, "sgd", 0.5)


def test_arguments_in_a_key_are_set_by_their_names() -> None:
    net = NET + "train {\n  optimizer = sgd(lr: 0.5, momentum: 0.1)\n  sync = average\n}\n"
    settings = ["train.optimizer.lr=0.25", "train . optimizer . nesterov = true", "train.sync.every=width"]
    compiled = sparknet.compile(net, settings=settings)
    optimizer = compiled.train.optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.nesterov, compiled.train.sync.every) == (0.25, 0.1, True, 8)
    assert "optimizer = sgd(lr: 0.25, momentum: 0.1, nesterov: true)" in compiled.source.text


def test_the_predict_section() -> None:
    section = 'predict {\n  input = parquet("new")\n  output = parquet("scored.parquet")\n  keep = ["id"]\n}\n'
    predict = check(NET + section).net.predict
    assert (predict.input, predict.output) == (ParquetSource(path="new"), ParquetSink(path="scored.parquet"))
    assert predict.keep == ("id",)
    assert check(NET).net.predict.keep is None


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "sizes.net").write_text("let width = 6\n")
    (tmp_path / "lib" / "blocks.net").write_text(
        'import "sizes.net"\nlet more = width + 1\nblock Wide(a, b = a + more) { dense(a) -> dense(b) }\n'
        "net Ignored { input x: float[1]\n output x: float[1]\n }\n"
    )
    (tmp_path / "main.net").write_text(
        'import "lib/blocks.net"\nimport "lib/sizes.net"\nnet N {\n  input x: float[4]\n  Wide(width)\n'
        "  output y: float[width + more + 0 * width]\n}\n"
    )
    return tmp_path


def test_imports_bring_blocks_and_lets_of_files_and_of_what_these_import(library: Path) -> None:
    assert units(library / "main.net") == [6, 13]
    assert units(library / "main.net", "width=2") == [2, 5]


def test_a_root_lets_files_outside_of_the_folder_in(library: Path) -> None:
    (library / "nets").mkdir()
    moved = library / "nets" / "main.net"
    moved.write_text((library / "main.net").read_text())
    with pytest.raises(SparkNetError, match="E0210"):
        check(moved)
    assert units(moved, root=library) == [6, 13]
    moved.write_text(moved.read_text().replace('"lib', '"../lib'))
    with pytest.raises(SparkNetError, match="E0212"):
        check(moved)
    assert units(moved, root=library) == [6, 13]


def test_a_link_does_not_lead_out(library: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "sizes.net"
    outside.write_text("let width = 6\n")
    (library / "lib" / "sizes.net").unlink()
    (library / "lib" / "sizes.net").symlink_to(outside)
    with pytest.raises(SparkNetError, match="E0212"):
        check(library / "main.net")


def test_a_text_that_is_no_file_imports_below_a_root_only(library: Path) -> None:
    text = (library / "main.net").read_text()
    with pytest.raises(SparkNetError, match="E0210"):
        check(text)
    assert units(text, root=library) == [6, 13]


def test_many_files_are_refused(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"f{number}.net").write_text(f'import "f{number + 1}.net"\nlet a{number} = 1\n')
    with pytest.raises(SparkNetError, match="more than 64 files are imported"):
        check(tmp_path / "f0.net")


def test_a_block_sees_its_own_parameters_and_not_those_of_its_user() -> None:
    inner = "block Inner { dense(n) }\nblock Outer(n) { Inner }\n"
    with pytest.raises(SparkNetError, match="`units` of `dense` must be a whole number, found `n`"):
        check(inner + NET.replace("dense(width)", "Outer(3)"))


def test_a_compiled_net_keeps_a_source_that_stands_alone(library: Path) -> None:
    settings = ["width=3", "train.epochs=width"]
    net = sparknet.compile(library / "main.net", settings=settings)
    again = sparknet.compile(net.source.text)
    assert "import" not in net.source.text
    assert (again.layers, again.train.epochs) == (net.layers, 3)
    assert again.source.text == net.source.text
    plain = sparknet.compile(NET)
    assert plain.source.text == NET


def test_a_word_for_a_number() -> None:
    with pytest.raises(SparkNetError, match="unknown name `banana`") as error:
        check(NET, settings=["width=banana"])
    assert error.value.diagnostics[0].helps == ("`width` is a number: write `--set width=32`",)


def test_settings_are_texts_and_not_one_text() -> None:
    with pytest.raises(TypeError, match=r"found one text: write \['train.epochs=2'\]"):
        sparknet.compile(NET, settings="train.epochs=2")


def test_a_net_says_how_it_trains_in_a_line() -> None:
    text = (
        "net N {\n  input x: float[1, 8, 8]\n  flatten -> dense(2)\n  output y: class[2]\n}\n"
        "train {\n  augment = [flip, shift(2)]\n  balance = y\n  checkpoint = rounds(5)\n}\n"
    )
    said = describe_train(sparknet.compile(text).train)
    assert said.endswith(", seed 0, augment x [flip, shift(2)], balance y, checkpoint rounds(5)")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("early_stop = patience(3, metric: accuracy)", "early_stop patience(3, metric: accuracy)"),
        ("early_stop = patience", "early_stop patience(5)"),
        ("checkpoint = minutes(10)", "checkpoint minutes(10)"),
        ("clip = norm(0.5)", "clip norm(0.5)"),
        ("loss = cross_entropy(label_smoothing: 0.1)", "loss y cross_entropy(label_smoothing: 0.1)"),
        ("metrics = [accuracy, top_k(k: 1)]", "metrics y [accuracy, top_k(k: 1)]"),
        ("class_weights = [1, 2.5]", "class_weights y [1, 2.5]"),
        ("sync = outer(lr: 1.0, every: 80)", "sync outer(lr: 1, every: 80)"),
        ("engine = onnxruntime", ""),
    ],
)
def test_what_is_given_is_said_as_it_is_written(line: str, said: str) -> None:
    text = "net N {\n  input x: float[4]\n  dense(2)\n  output y: class[2]\n}\n"
    data = (
        'data {\n  source = parquet("r")\n  x = column("x")\n  y = column("y")\n'
        "  split = {train: 0.5, validation: 0.5}\n}\n"
    )
    train = sparknet.compile(f"{text}{data}train {{\n  optimizer = adam(eps: 0.00000001)\n  {line}\n}}\n").train
    assert describe_train(train) == ", ".join(filter(None, ["adam, 10 epochs, batch 32, seed 0", said]))


def test_a_long_setting_is_only_named() -> None:
    text = "net N {\n  input x: float[4]\n  dense(50)\n  output y: class[50]\n}\n"
    train = sparknet.compile(f"{text}train {{\n  class_weights = [{', '.join(['1.25'] * 50)}]\n}}\n").train
    assert describe_train(train).endswith("seed 0, class_weights y")
