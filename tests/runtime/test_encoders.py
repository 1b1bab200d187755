"""Texts as labels, categories and tokens: learnt from the training rows, kept with the run, used again in scoring."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import sparknet
from sparknet.compiler import CompiledNet
from sparknet.compiler.compiled import Port
from sparknet.compiler.encoders import Categories, Tokens
from sparknet.compiler.types import TensorType
from sparknet.grammar import SparkNetError
from sparknet.runtime.encoding.cells import accepts, encode_cells
from sparknet.runtime.encoding.terms import pieces_of
from sparknet.runtime.run_folder import load
from sparknet.runtime.runs import OnSpark, predict_to_file, run_local, run_spark
from sparknet.runtime.sources.builtin import read_built_in
from tests.deadline import deadline
from tests.runtime.conftest import only

SPECIES = ("setosa", "versicolor", "virginica")

IRIS = """
net Iris {{
  input flower: float[4]
  dense(16, relu) -> dense({classes})
  output kind: class[{classes}]
}}
data {{
  source = parquet("rows.parquet")
  flower = columns("sepal_*", "petal_*")
  kind   = {kind}
  split  = {{train: 0.7, test: 0.3}}
}}
train {{
  optimizer = adam(lr: 0.02)
  epochs = 20
  batch = 16
  workers = 2
}}
"""


def iris() -> pa.Table:
    """The flowers, each with the name of its species."""
    table = read_built_in("iris")
    return table.set_column(4, "species", pa.array([SPECIES[k] for k in table["species"].to_pylist()]))


def iris_net(folder: Path, table: pa.Table, kind: str = 'column("species")', classes: int = 3) -> CompiledNet:
    pq.write_table(table, folder / "rows.parquet")
    (folder / "iris.net").write_text(IRIS.format(kind=kind, classes=classes), "utf-8")
    return sparknet.compile(folder / "iris.net")


def test_labels_are_learnt_and_predicted(tmp_path: Path, spark: SparkSession) -> None:
    net = iris_net(tmp_path, iris())
    trained = run_local(net, tmp_path / "run")
    assert trained.scores["test"].metrics["accuracy"] > 0.9
    for partitions in (1, 5):
        frame = spark.createDataFrame(iris()).repartition(partitions, "sepal_width")
        assert run_spark(net, on=OnSpark(data=frame)).parameters.tobytes() == trained.parameters.tobytes()
    for name, on in (("here", None), ("there", OnSpark(spark=spark))):
        predict_to_file(tmp_path / "run", str(tmp_path / "rows.parquet"), tmp_path / f"{name}.parquet", on)
        table = pq.read_table(tmp_path / f"{name}.parquet")
        assert table.schema.field("kind_predicted").type == pa.string()
        same = np.equal(table["kind_predicted"].to_pylist(), table["species"].to_pylist())
        assert np.mean(same) > 0.9


def test_what_was_learnt_is_kept(tmp_path: Path) -> None:
    run_local(iris_net(tmp_path, iris()), tmp_path / "run")
    encoder = Categories(size=3, one_hot=False, terms=SPECIES)
    assert load(tmp_path / "run").encoders == {"kind": encoder}
    saved = json.loads((tmp_path / "run" / "bindings.json").read_text("utf-8"))
    assert saved == {"encoders": {"kind": json.loads(encoder.model_dump_json())}}
    model = onnx.load(tmp_path / "run" / "inference.onnx")
    assert json.loads({p.key: p.value for p in model.metadata_props}["sparknet.bindings"]) == saved


def test_labels_that_are_given(tmp_path: Path) -> None:
    kind = 'column("species", labels: ["virginica", "setosa", "versicolor"])'
    run_local(iris_net(tmp_path, iris(), kind), tmp_path / "run")
    predict_to_file(tmp_path / "run", str(tmp_path / "rows.parquet"), tmp_path / "out.parquet")
    out = pq.read_table(tmp_path / "out.parquet")
    assert np.mean(np.equal(out["kind_predicted"].to_pylist(), out["species"].to_pylist())) > 0.9
    assert load(tmp_path / "run").encoders["kind"].terms == ("virginica", "setosa", "versicolor")


def test_whole_numbers_as_labels(tmp_path: Path) -> None:
    table = iris().set_column(4, "species", pa.array([10, -3, 7] * 50))
    run_local(iris_net(tmp_path, table, 'column("species", labels: [7, 10, -3])'), tmp_path / "run")
    predict_to_file(tmp_path / "run", str(tmp_path / "rows.parquet"), tmp_path / "out.parquet")
    assert {*pq.read_table(tmp_path / "out.parquet")["kind_predicted"].to_pylist()} <= {7, 10, -3}


@pytest.mark.parametrize(
    ("classes", "kind", "message"),
    [
        (
            2,
            'column("species")',
            "R0026 column `species` has more than 2 labels in the training rows, but `kind` takes 2",
        ),
        (4, 'column("species")', "R0026 column `species` has 3 labels in the training rows, but `kind` takes 4"),
        (
            2,
            'column("species", labels: ["setosa", "virginica"])',
            "R0019 row 51 of column `species` is 'versicolor'; `kind` takes one of `setosa`, `virginica`",
        ),
        (
            3,
            'column("species", labels: [0, 1, 2])',
            "R0013 column `species` is of type string; `kind` takes one of `0`, `1`, `2`",
        ),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, classes: int, kind: str, message: str, spark: SparkSession) -> None:
    net = iris_net(tmp_path, iris(), kind, classes)
    for run in (lambda: run_local(net), lambda: run_spark(net, on=OnSpark(spark=spark))):
        with pytest.raises(SparkNetError) as error:
            run()
        assert only(error) == message


def test_a_label_that_no_training_row_has(tmp_path: Path) -> None:
    """Which rows are for training depends on what they hold, so one is looked for that is not."""
    for row in range(0, 150, 7):
        names = iris()["species"].to_pylist()
        names[row] = "rosa"
        with pytest.raises(SparkNetError) as error:
            run_local(iris_net(tmp_path, iris().set_column(4, "species", pa.array(names))))
        if only(error).startswith("R0019"):
            assert only(error).startswith(f"R0019 row {row + 1} of column `species` is 'rosa'; `kind` takes one of")
            return
        assert only(error).startswith("R0026 ")
    pytest.fail("every row was for training: take others")


def test_null_labels(tmp_path: Path) -> None:
    names = iris()["species"].to_pylist()
    names[3] = None
    with pytest.raises(SparkNetError) as error:
        run_local(iris_net(tmp_path, iris().set_column(4, "species", pa.array(names))))
    assert only(error) == "R0010 row 4 of column `species` is null; `kind` takes a category"


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"setosa"', '"virginica"'),
        ('"setosa",', ""),
        ('"size": 3', '"size": 4'),
        ('"one_hot": false', '"one_hot": true'),
        ('"kind":', '"other":'),
        ('"kind": "categories"', '"kind": "pickle"'),
        ('"setosa"', "null"),
    ],
)
def test_damaged_bindings(tmp_path: Path, was: str, becomes: str) -> None:
    from hashlib import sha256

    run_local(iris_net(tmp_path, iris()), tmp_path / "run")
    path, manifest = tmp_path / "run" / "bindings.json", tmp_path / "run" / "manifest.json"
    path.write_text(path.read_text("utf-8").replace(was, becomes, 1), "utf-8")
    found = json.loads(manifest.read_text("utf-8"))
    data = path.read_bytes()
    found["files"]["bindings.json"] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    manifest.write_text(json.dumps(found), "utf-8")
    with pytest.raises(SparkNetError) as error:
        load(tmp_path / "run")
    assert only(error).startswith(f"R0042 `{path}` is damaged")


# ----- categories of inputs -----


def test_categories_train_as_the_numbers_that_they_stand_for(tmp_path: Path, spark: SparkSession) -> None:
    text = (
        "net N {\n input color: float[3]\n dense(2)\n output y: class[2]\n}\n"
        'data {\n source = parquet("rows.parquet")\n color = BINDING\n y = column("y")\n split = {train: 1}\n}\n'
        "train {\n epochs = 3\n batch = 8\n workers = 1\n}\n"
    )
    names = ["red", "green", "blue", "green", "red"] * 20
    kinds = [int(name == "red") for name in names]
    pq.write_table(pa.table({"color": names, "number": [len(n) for n in names], "y": kinds}), tmp_path / "rows.parquet")
    path = tmp_path / "n.net"
    found = []
    for binding in (
        "onehot",
        'onehot(column("color"))',
        'onehot(column("color"), categories: ["blue", "green", "red"])',
    ):
        path.write_text(text.replace("BINDING", binding), "utf-8")
        found.append(run_local(sparknet.compile(path), tmp_path / f"run{len(found)}").parameters.tobytes())
        found.append(run_spark(sparknet.compile(path), on=OnSpark(spark=spark)).parameters.tobytes())
    assert {*found} == {found[0]}
    assert load(tmp_path / "run0").encoders["color"].terms == ("blue", "green", "red")
    path.write_text(text.replace("BINDING", 'onehot(column("number"))'), "utf-8")
    run_local(sparknet.compile(path), tmp_path / "numbers")
    assert load(tmp_path / "numbers").encoders["color"].terms == (3, 4, 5)


def test_one_hot_rows() -> None:
    encoder = Categories(size=3, one_hot=True, terms=("a", "b", "c"))
    port = Port("x", "float", TensorType("float32", (3,)))
    column = encode_cells(pa.array(["c", "a"]).dictionary_encode(), encoder, port)
    assert column.numbers is not None
    assert column.numbers.tolist() == [[0, 0, 1], [1, 0, 0]]


# ----- texts -----

TEXTS = """
net Texts {{
  input words: token[{length}, vocabulary: {vocabulary}{variable}]
  embedding(16) -> {middle} -> dense(2)
  output name: class[2]
}}
data {{
  source = parquet("rows.parquet")
  words  = {binding}
  name   = column("name")
}}
train {{
  optimizer = adam(lr: 0.02)
  epochs = 12
  batch = 16
  workers = 2
}}
"""


def descriptions() -> pa.Table:
    """Lines of scikit-learn's descriptions of two of its sets, and which set."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.submodule_search_locations is not None
    folder = Path(package.submodule_search_locations[0], "datasets", "descr")
    lines: list[tuple[str, str]] = []
    for name in ("breast_cancer", "kddcup99"):
        text = (folder / f"{name}.rst").read_text("utf-8")
        lines += [(line, name) for line in text.splitlines() if len(line.split()) > 2]
    return pa.table({"text": [line for line, _ in lines] * 2, "name": [name for _, name in lines] * 2})


@pytest.mark.parametrize(
    ("binding", "variable", "middle"),
    [
        ('words(column("text"), length: 12, vocabulary: 200)', "", "flatten"),
        ('words(column("text"))', ", variable: true", "mean"),
        ('chars(column("text"))', ", variable: true", "gru(8)"),
    ],
)
def test_texts_train(tmp_path: Path, spark: SparkSession, binding: str, variable: str, middle: str) -> None:
    pq.write_table(descriptions(), tmp_path / "rows.parquet")
    text = TEXTS.format(length=12, vocabulary=200, variable=variable, middle=middle, binding=binding)
    (tmp_path / "texts.net").write_text(text, "utf-8")
    net = sparknet.compile(tmp_path / "texts.net")
    trained = run_local(net, tmp_path / "run")
    assert trained.scores["test"].metrics["accuracy"] > 0.7
    frame = spark.createDataFrame(descriptions()).repartition(3)
    on_spark = run_spark(net, tmp_path / "spark", on=OnSpark(data=frame))
    assert on_spark.parameters.tobytes() == trained.parameters.tobytes()
    assert load(tmp_path / "spark").encoders == load(tmp_path / "run").encoders
    source = str(tmp_path / "rows.parquet")
    predict_to_file(tmp_path / "run", source, tmp_path / "here.parquet")
    predict_to_file(tmp_path / "run", source, tmp_path / "there.parquet", OnSpark(spark=spark))
    here, there = (pq.read_table(tmp_path / f"{name}.parquet").sort_by("text") for name in ("here", "there"))
    assert here.to_pydict() == there.to_pydict()
    assert np.mean(np.equal(here["name_predicted"].to_pylist(), here["name"].to_pylist())) > 0.7


def test_lists_of_words_train(tmp_path: Path, spark: SparkSession) -> None:
    """What Spark's `Tokenizer` makes, which splits at every blank; words of such a list stay as they are."""
    rows = descriptions()
    lines = (f" {line.replace(' ', '  ', 1)}" for line in rows["text"].to_pylist())
    rows = rows.set_column(0, "text", pa.array([line.split(" ") for line in lines]))
    pq.write_table(rows, tmp_path / "rows.parquet")
    binding = 'words(column("text"))'
    text = TEXTS.format(length=12, vocabulary=200, variable=", variable: true", middle="mean", binding=binding)
    (tmp_path / "texts.net").write_text(text, "utf-8")
    net = sparknet.compile(tmp_path / "texts.net", settings=["train.epochs=2"])
    trained = run_local(net, tmp_path / "run")
    terms = load(tmp_path / "run").encoders["words"].terms
    assert terms is not None
    assert {"The", "the"} <= {*terms}
    on_spark = run_spark(net, on=OnSpark(data=spark.createDataFrame(rows)))
    assert on_spark.parameters.tobytes() == trained.parameters.tobytes()
    predict_to_file(tmp_path / "run", str(tmp_path / "rows.parquet"), tmp_path / "scored.parquet")
    assert pq.read_table(tmp_path / "scored.parquet").num_rows == rows.num_rows


def tokens_of(texts: list[str] | list[list[str]], encoder: Tokens, variable: bool = False) -> list[list[int]]:
    kind = TensorType("int64", (encoder.length,), encoder.vocabulary, "x_length" if variable else None)
    port = Port("x", "token", kind, encoder.vocabulary)
    lengths = Port("x_length", "length", TensorType("int64", ()), measures=port)
    found = encode_cells(pa.array(texts), encoder, lengths if variable else port).numbers
    assert found is not None
    return [[int(n) for n in row] for row in found]


def test_words_are_folded_cut_and_filled_up() -> None:
    encoder = Tokens(unit="words", length=4, vocabulary=6, terms=("the", "caf\u00e9", "don't"))
    texts = ["The Cafe\u0301, the CAF\u00c9 is", "don\u2019t  don't", "", "\uff34\uff28\uff25 stra\u00dfe"]
    assert pieces_of(texts[3], encoder) == ["the", "strasse"]
    assert tokens_of(texts, encoder) == [[2, 3, 2, 3], [1, 4, 0, 0], [0, 0, 0, 0], [2, 1, 0, 0]]
    assert tokens_of(texts, encoder, variable=True) == [[4], [2], [1], [2]]


def test_words_of_a_list_stay_as_they_are() -> None:
    encoder = Tokens(unit="words", length=3, vocabulary=4, terms=("New York", "the"))
    lists = [["New York", "The", "the", "the"], []]
    assert tokens_of(lists, encoder) == [[2, 1, 3], [0, 0, 0]]
    assert tokens_of(lists, encoder, variable=True) == [[3], [1]]
    port = Port("x", "token", TensorType("int64", (3,), 4), 4)
    first = encode_cells(pa.array([["the"], ["the", None]]), encoder, port).first
    assert first is not None
    assert (first.code, first.row, first.text) == ("R0010", 1, "has a null among its words")
    assert not accepts(Tokens(unit="chars", length=3, vocabulary=4), pa.list_(pa.string()))


def test_characters_keep_their_case() -> None:
    encoder = Tokens(unit="chars", length=3, vocabulary=5, terms=("a", "\u00e9", "A"))
    assert tokens_of(["aA", "e\u0301a!x", " "], encoder) == [[2, 4, 0], [3, 2, 1], [1, 0, 0]]


def test_marks_in_endless_rows() -> None:
    """To bring two rows of marks into order takes as many steps as the product of their lengths."""
    endless = "a" + "\u0315" * 60_000 + "\u0300" * 60_000 + " b"
    with deadline():
        for unit in ("words", "chars"):
            encoder = Tokens(unit=unit, length=100, vocabulary=9)
            assert pieces_of(endless, encoder) == pieces_of("a" + "\u0315" * 30 + " b", encoder)
    assert pieces_of("e" + "\u0301" * 30, encoder) == ["\u00e9", *["\u0301"] * 29]


def test_texts_for_tokens_without_a_function(tmp_path: Path) -> None:
    pq.write_table(descriptions(), tmp_path / "rows.parquet")
    text = TEXTS.format(length=12, vocabulary=200, variable="", middle="flatten", binding='column("text")')
    (tmp_path / "texts.net").write_text(text, "utf-8")
    with pytest.raises(SparkNetError) as error:
        run_local(sparknet.compile(tmp_path / "texts.net"))
    assert only(error).startswith("R0013 column `text` is of type string; `words` takes 12 tokens")
    assert error.value.diagnostics[0].helps == ('write `words(column("text"))`, or `chars(column("text"))`',)
