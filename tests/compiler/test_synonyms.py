"""What a person writes who knows Keras, PyTorch or Caffe, and what the message says to write: `synonyms.txt`.

To add a row, write it under its heading and run with SPARKNET_UPDATE=1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sparknet
from sparknet.compiler import synonyms
from sparknet.compiler.augmentations import AUGMENTATIONS
from sparknet.compiler.choices import Range
from sparknet.compiler.criteria import LOSSES
from sparknet.compiler.elaborate_sections import CALLS
from sparknet.compiler.forms import EXAMPLES, form_of
from sparknet.compiler.layers import JOINS, LAYERS
from sparknet.compiler.layers.activation import ACTIVATIONS
from sparknet.compiler.metrics import METRICS
from sparknet.compiler.sections import PredictSection, TrainSection
from sparknet.compiler.sources import SOURCES
from sparknet.grammar import SparkNetError
from tests.catalogue import check_text

FILE = Path(__file__).parent / "synonyms.txt"


def _net(taken: str, body: str, given: str = "float[1]", sections: str = "") -> str:
    return f"net N {{\n input x: {taken}\n {body}\n output y: {given}\n}}\n{sections}"


_NUMBER = "float[1] = x -> flatten -> dense(1)"

CONTEXTS = {
    "a layer on an image": _net("float[64, 32, 32]", "@", _NUMBER),
    "a layer on a vector": _net("float[8]", "@", _NUMBER),
    "a layer on a sequence": _net("float[40, 8]", "@", _NUMBER),
    "a layer on tokens": _net("token[40, vocabulary: 100]", "@\n flatten -> dense(1)"),
    "the type of an input": _net("@", "flatten -> dense(1)"),
    "the type of an input of tokens": _net("@", "embedding(3) -> flatten -> dense(1)"),
    "the type of an output": _net("float[3]", "dense(10)", "@"),
    "a key of train": _net("float[3]", "dense(3)", "float[3]", "train {\n @\n}"),
    "a key of train, of classes": _net("float[3]", "dense(3)", "class[3]", "train {\n @\n}"),
    "a key of train, of images": _net("float[1, 8, 8]", "flatten -> dense(3)", "class[3]", "train {\n @\n}"),
    "a key of data": _net("float[1]", "dense(3)", "class[3]", 'data {\n @\n y = column("b")\n}'),
}
ADDED = ("source = iris()", 'x = column("a")')
"""What `data` needs, where the row does not say it."""


def rows() -> Iterator[tuple[str, str, str]]:
    """Heading, what is written, and what is expected, or nothing in a row that is new."""
    heading = ""
    for line in FILE.read_text().splitlines():
        if line.startswith("["):
            heading = line[1:-1]
        elif line:
            written, _, expected = line.partition(" => ")
            yield heading, written.rstrip(), expected


ROWS = tuple(rows())


def text(heading: str, written: str) -> str:
    net = CONTEXTS[heading]
    if heading == "a key of data":
        keys = [line.partition(" = ")[0] for line in written.splitlines()]
        means = ("source", "path") if "source" in keys or "path" in keys else ()
        lines = [line for line in ADDED if line.partition(" = ")[0] not in (*keys, *means)]
        written = "\n ".join([*lines, written])
    return net.replace("@", written)


def helps(heading: str, written: str) -> str:
    with pytest.raises(SparkNetError) as raised:
        sparknet.check(text(heading, written))
    return " / ".join("; ".join(d.helps) for d in raised.value.diagnostics)


def test_the_help_says_what_to_write() -> None:
    found, last = "", ""
    for heading, written, _ in ROWS:
        found += "" if heading == last else f"{chr(10) * bool(last)}[{heading}]\n"
        found += f"{written:<48} => {helps(heading, written)}\n"
        last = heading
    check_text(FILE, found)


WHOLE = [
    (heading, written, match[1])
    for heading, written, expected in ROWS
    if (match := re.fullmatch(r"write `([^`]+)`(?:, without quotes|;.*)?", expected)) and " / " not in expected
    if written != "embedding(100, 32)"  # what is pointed at there is the argument too many, not the layer
]


@pytest.mark.parametrize(("heading", "written", "said"), WHOLE, ids=[f"{w} => {s}" for _, w, s in WHOLE])
def test_what_the_help_says_compiles(heading: str, written: str, said: str) -> None:
    """What a message says to write stands for the whole row, or for the value or the argument that it points at."""
    with pytest.raises(SparkNetError) as raised:
        sparknet.check(text(heading, written))
    label = raised.value.diagnostics[0].labels[0]
    before, pointed, after = (
        label.source.text[: label.span.start],
        label.source.text[label.span.start : label.span.end],
        label.source.text[label.span.end :],
    )
    key = re.match(r"\s*[:=] *(?:\([^)]*\)|\[[^]]*\]|\"[^\"]*\"|[^] ,)\n])+(?:\([^)]*\))?", after)
    call = re.match(r"\((?:[^()]|\([^)]*\))*\)|\[[^]]*\]", after)
    if key and re.match(r"\w+( =|:) ", said):
        after = after[key.end() :]
    elif call and pointed.isidentifier():
        after = after[call.end() :]
    sparknet.check(before + said + after)


def test_most_of_them_can_be_tried() -> None:
    assert len(WHOLE) > 120


def test_every_word_leads_to_something_that_is_there() -> None:
    forms = {name: form_of(each) for name, each in (*LAYERS.items(), *JOINS.items())}
    for pattern in synonyms.FOREIGN_LAYERS.values():
        for form in pattern.split(" | "):
            ours, _, arguments = form.rstrip(")").partition("(")
            assert set(re.findall(r"\w+", arguments)) - {"_"} <= set(forms[ours].names), form
    assert set(synonyms.NEAREST.values()) | set(synonyms.NOTES) <= set(forms)
    sections = {"train": set(TrainSection.model_fields), "predict": set(PredictSection.model_fields)}
    for name, keys in sections.items():
        assert {line.partition(" = ")[0] for line in synonyms.KEYS[name].values()} <= keys
    every = {name for form in forms.values() for name in form.names}
    every |= {*form_of(Range).names}
    every |= {
        name for table in (*CALLS.values(), LOSSES, METRICS) for each in table.values() for name in form_of(each).names
    }
    assert {name for names in synonyms.ARGUMENTS.values() for name in names.split()} <= every | {"vocabulary"}
    assert set(EXAMPLES) <= every
    tables = {"activation": ACTIVATIONS, "optimizer": CALLS["optimizer"], "schedule": CALLS["schedule"]}
    for key, table in (
        tables | {"source": SOURCES, "augmentation": AUGMENTATIONS, "loss": LOSSES, "metric": METRICS}
    ).items():
        assert {word.partition("(")[0] for word in synonyms.WORDS[key].values()} <= set(table)


def test_no_word_of_ours_is_a_synonym() -> None:
    """What is a layer here never gets a help that leads elsewhere."""
    leading = {word: pattern.partition("(")[0] for word, pattern in synonyms.FOREIGN_LAYERS.items()}
    assert all(leading.get(name, name) == name for name in (*LAYERS, *JOINS))
    assert not {*LAYERS, *JOINS} & {*synonyms.ADVICE, *synonyms.NEAREST}
    assert not {*TrainSection.model_fields} & {*synonyms.KEYS["train"], *synonyms.NEEDLESS}
