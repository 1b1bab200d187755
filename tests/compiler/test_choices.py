"""What choices are where nothing is wrong; what is wrong with them stands in the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

import sparknet
from sparknet.compiler.choices import Choices, Range

NET = """\
let width = {width}
let act = choose(relu, gelu)

net N {{
  input x: float[4]
  dense(width, act) -> dense(1) -> act
  output y: float[1]
}}

train {{
  optimizer = adam(lr: {lr}, beta1: choose(0.8, 0.9))
  batch     = choose(16, 32)
}}
"""


def choices(width: str = "choose(8, 16)", lr: str = "0.1", *settings: str) -> Choices:
    return sparknet.check(NET.format(width=width, lr=lr), settings=settings).net.choices


def test_the_file_runs_with_the_first_of_everything() -> None:
    typed = sparknet.check(NET.format(width="choose(8, 16)", lr="range(0.001, 0.1, log: true)"))
    assert [use.text for use in typed.net.layers] == ["dense(8, relu)", "dense(1)", "relu"]
    assert (typed.net.train.optimizer.lr, typed.net.train.batch) == (0.01, 16)
    assert typed.net.choices.defaults() == {
        "width": "8",
        "act": "relu",
        "train.optimizer.lr": "0.01",
        "train.optimizer.beta1": "0.8",
        "train.batch": "16",
    }


def test_settings_fix_every_choice_and_the_source_says_what_was_chosen() -> None:
    found = choices()
    values = {**found.defaults(), "act": "gelu", "train.optimizer.beta1": "0.9", "width": "16"}
    settings = found.settings(values)
    assert settings == [
        "width=16",
        "act=gelu",
        "train.optimizer=adam(lr: 0.1, beta1: 0.9)",
        "train.batch=16",
    ]
    net = sparknet.compile(NET.format(width="choose(8, 16)", lr="0.1"), settings=settings)
    assert "choose" not in net.source.text
    assert "let act = gelu" in net.source.text
    assert not net.typed.net.choices.every
    assert sparknet.compile(net.source).step == net.step


def test_a_setting_fixes_a_choice_or_is_one() -> None:
    assert [c.name for c in choices("choose(8, 16)", "0.1", "width=4", "train.batch=8").every] == [
        "act",
        "train.optimizer.beta1",
    ]
    assert "train.optimizer.beta1" not in choices("8", "0.1", "train.optimizer.beta1=0.5").defaults()
    (choice,) = [c for c in choices("8", "0.1", "width=choose(2, 4, 6)").every if c.name == "width"]
    assert choice.options == ("2", "4", "6")


def test_choices_of_a_file_that_is_imported(tmp_path: Path) -> None:
    (tmp_path / "sizes.net").write_text("let width = choose(8, 16)\n")
    main = tmp_path / "main.net"
    main.write_text(
        'import "sizes.net"\nnet N {\n input x: float[4]\n dense(width) -> dense(1)\n output y: float[1]\n}\n'
    )
    found = sparknet.check(main).net.choices
    assert found.defaults() == {"width": "8"}
    assert "let width = 16" in sparknet.compile(main, settings=found.settings({"width": "16"})).source.text


def test_options_may_use_lets_and_options_in_a_section_are_whole_operands() -> None:
    text = NET.format(width="choose(base, base * 2)", lr="0.1 * choose(1 + 1, 3)")
    typed = sparknet.check("let base = 8\n" + text)
    assert typed.net.train.optimizer.lr == 0.2
    (setting,) = [s for s in typed.net.choices.settings(typed.net.choices.defaults()) if "lr" in s]
    assert setting == "train.optimizer=adam(lr: 0.1 * (1 + 1), beta1: 0.8)"
    assert sparknet.check("let base = 8\n" + text, settings=["width=base * 2"]).net.layers[0].text == "dense(16, relu)"


@pytest.mark.parametrize(
    ("numbers", "middle", "count"),
    [
        (Range(low=16, high=256, log=True), 64, 241),
        (Range(low=1, high=8), 5, 8),
        (Range(low=16, high=64, step=16), 48, 4),
        (Range(low=-1, high=1), 0, 3),
        (Range(low=0.0001, high=0.1, log=True), 0.003162, None),
        (Range(low=0, high=1.0), 0.5, None),
        (Range(low=0.1, high=0.5, step=0.1), 0.3, 5),
        (Range(low=1000.0, high=1001.0, step=0.1), 1000.5, 11),
    ],
    ids=str,
)
def test_the_middle_of_a_range_and_how_many_numbers_it_has(numbers: Range, middle: float, count: int | None) -> None:
    assert (numbers.middle, numbers.count) == (middle, count)
    assert isinstance(numbers.middle, int) == numbers.whole
    if count is not None:
        assert (numbers.at(0), numbers.at(count - 1)) == (numbers.low, numbers.high)


def test_a_let_holds_a_word_of_layers() -> None:
    text = "let pad = valid\nnet N {\n input x: float[1, 8, 8]\n conv(2, 3x3, pad: pad)\n output y: float[72]\n}\n"
    assert sparknet.check(
        text.replace("float[72]", "like x").replace("pad = valid", "pad = same").replace("conv(2", "conv(1")
    )
    assert sparknet.check(text.replace("conv(2, 3x3, pad: pad)", "conv(2, 3x3, pad: pad) -> flatten"))
