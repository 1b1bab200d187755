"""`docs/layers.md` lists every layer and option with the tests that check it.

`SPARKNET_UPDATE=1 pytest tests/compiler/test_layer_table.py` writes the table anew. An option without a test fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from textwrap import fill
from typing import Any, get_args

from sparknet.compiler.checking import check
from sparknet.compiler.layers import JOINS, LAYERS, Join, Layer, LayerTuple
from sparknet.compiler.layers.activation import ACTIVATIONS
from tests.catalogue import check_text
from tests.compiler.layer_rows import JOINED, ROWS

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "layers.md"
SHOWN = 3
"""Rows that the table names for an option."""
BATCHNORM = "test_batchnorm.py::test_three_steps_give_pytorchs_parameters_and_running_numbers"
FOREIGN = "test_foreign.py"
SHARED = "test_shared_options.py"
SHARED_OPTIONS = {
    "init": f"{SHARED}::test_the_weights_start_as_init_says_and_the_biases_as_they_would",
    "l1": f"{SHARED}::test_a_penalty_on_the_weights_is_part_of_the_training_loss_only",
    "l2": f"{SHARED}::test_a_penalty_on_the_weights_is_part_of_the_training_loss_only",
    "frozen": f"{SHARED}::test_a_frozen_layer_keeps_its_numbers_and_the_others_train",
}
ELSEWHERE: dict[tuple[str, str], str] = {
    ("onnx", ""): f"{FOREIGN}::test_a_net_of_pytorch_infers_and_trains_as_there",
    ("onnx", "file"): f"{FOREIGN}::test_a_compiled_folder_keeps_the_model_and_its_net_compiles_there",
    ("onnx", "output"): f"{FOREIGN}::test_a_frozen_net_keeps_its_numbers_and_trains_what_is_before_and_behind_it",
    ("batchnorm", ""): BATCHNORM,
    ("batchnorm", "momentum"): BATCHNORM,
    ("batchnorm", "eps"): BATCHNORM,
    (
        "dropout",
        "rate",
    ): "test_training.py::test_dropout_keeps_its_share_scales_the_rest_and_varies_by_layer_seed_and_place",
    **{
        (layer, "dropout"): "test_recurrent.py::test_dropout_acts_between_the_layers_in_training_only"
        for layer in ("rnn", "lstm", "gru")
    },
}
"""Tests of what a row cannot show, by layer and option; an option of no name is the layer itself."""
INTRODUCTION = """\
# Layers and their tests

Every layer, every option, and the tests in `tests/compiler` that check it. `test_layer_table.py` there holds this page
against the compiler and its tests.

A row of `layer_rows.py` is one layer as written. `test_layers.py` checks the shape that leaves, the forward pass and
the loss against PyTorch, the gradients of the layer's own parameters and of what arrives against PyTorch, and the
inference graph against the evaluation graph. The rule of every operator behind it is checked by `test_gradients.py`,
against PyTorch and by finite differences in float64.

| layer | option | default | rows of `layer_rows.py`, and other tests |
| --- | --- | --- | --- |
"""
SHARING = """
## Options that layers share

| option | layers | test |
| --- | --- | --- |
"""
VARIABLE = """
## Sequences of variable length

`test_variable.py` checks that a padded batch gives what each of its rows gives alone, for
"""


def layer_of(text: str, type_: str, leaves: tuple[int, ...], before: str = "") -> Layer | Join:
    """The layer that a row of layer_rows.py is about, the last but for `flatten`."""
    net = check(
        f"net N {{\n input x: {type_}\n {before}{text}\n{' flatten' * (len(leaves) > 1)}\n"
        f" output y: float[{prod(leaves)}]\n}}"
    ).net
    return net.layers[-2 if len(leaves) > 1 else -1].layer


def rows() -> dict[str, list[tuple[str, Layer | Join, str]]]:
    """Texts of rows, their layers and what arrives, by the names of the layers."""
    found: dict[str, list[tuple[str, Layer | Join, str]]] = {}
    for row in ROWS:
        layer = layer_of(row.text, row.type, row.leaves)
        found.setdefault(layer.name, []).append((row.text, layer, row.type))
    for text, leaves, _ in JOINED:
        layer = layer_of(text, "float[3, 4, 4]", leaves, "a = relu\n b = x -> tanh\n b -> ")
        found.setdefault(layer.name, []).append((text, layer, "float[3, 4, 4]"))
    return found


def shown(texts: list[str], most: int) -> str:
    """Each text once, the first few of them."""
    texts = [f"`{text}`" for text in dict.fromkeys(texts)]
    more = [f"{len(texts) - most} more"] if len(texts) > most else []
    return ", ".join([*texts[:most], *more])


def table() -> Iterator[str]:
    known = rows()
    for name, layer in {**LAYERS, "tuple": LayerTuple, **JOINS}.items():
        uses = known.get(name, [])
        types = shown([type_ for _, _, type_ in uses], 9)
        tests = [f"{len(uses)} row{'s' * (len(uses) > 1)}, on {types}"] if uses else []
        yield line(f"`{name}`", "", "", [*tests, *elsewhere(name, "")])
        for key, field in layer.model_fields.items():
            if key in SHARED_OPTIONS:
                continue
            option = field.alias or key
            only = len(get_args(field.annotation)) == 1  # a choice of one cannot differ from its default
            given = [
                text
                for text, use, _ in uses
                if getattr(use, key) != field.default or (only and key in use.model_fields_set)
            ]
            default = "" if field.is_required() else f"`{written(field.default)}`"
            yield line(
                "", f"`{option}`", default, [*([shown(given, SHOWN)] if given else []), *elsewhere(name, option)]
            )


def shared() -> Iterator[str]:
    for option, test in SHARED_OPTIONS.items():
        takers = ", ".join(f"`{name}`" for name, layer in LAYERS.items() if option in layer.model_fields)
        yield f"| `{option}` | {takers} | `{test}` |"


def elsewhere(layer: str, option: str) -> list[str]:
    test = ELSEWHERE.get((layer, option))
    return [f"`{test}`"] if test else []


def line(layer: str, option: str, default: str, tests: list[str]) -> str:
    return f"| {layer} | {option} | {default} | {'; '.join(tests)} |"


def written(default: Any) -> str:
    """A default as a `.net` file would have it."""
    match default:
        case None:
            return "none"
        case bool():
            return str(default).lower()
        case tuple():
            return "x".join(map(str, default))
        case _:
            return str(default)


def test_the_page_lists_every_layer_and_option_with_its_tests() -> None:
    lines = [*table()]
    assert [line for line in lines if line.endswith("|  |")] == [], "layers or options without a test"
    variable = [f"`{name}`" for name, layer in {**LAYERS, **JOINS}.items() if layer.takes_variable]
    check_text(
        PAGE,
        "\n".join(
            [
                INTRODUCTION + "\n".join(lines),
                SHARING + "\n".join(shared()),
                f"{VARIABLE}{fill(', '.join(variable), 119)}.\n",
            ]
        ),
    )


def test_the_tests_that_the_page_names_exist() -> None:
    for test in (*ELSEWHERE.values(), *SHARED_OPTIONS.values()):
        file, name = test.split("::")
        assert f"\ndef {name}(" in (HERE / file).read_text(encoding="utf-8"), test


def test_every_layer_of_variable_length_is_tested_as_such() -> None:
    text = (HERE / "test_variable.py").read_text(encoding="utf-8")
    takers = {name for name, layer in {**LAYERS, **JOINS}.items() if layer.takes_variable}
    assert [name for name in takers - set(ACTIVATIONS) if not re.search(rf"\b{name}\b", text)] == []
