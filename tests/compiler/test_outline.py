"""Blocks that no net uses are checked, and nothing is said about what depends on their parameters."""

from __future__ import annotations

import pytest

from sparknet.compiler.checking import diagnose
from sparknet.grammar import Source, parse

RIGHT = {
    "sizes": "block B(n, k = n * 2, s = [n, k]) {\n conv(n, [k, k], stride: s, pad: same) -> dense(k // n, gelu)\n}",
    "division": "block B(n) { dense(8 / n) -> dense(8 % n) -> dense(n / (n - n)) }",
    "conditions": "block B(n, on = true) {\n if on or n > 3 { x = relu } else if n == 1 { x = in }\n add(x)\n}",
    "repeats": "block B(n) { repeat n { repeat n * 2 - 1 { dense(n) } } }",
    "values of one argument": "block B(n) { lstm(4, layers: n, dropout: 0.2) -> reshape(n, -1 + n) }",
    "tuples": 'block B(n, a) { (n, 3, 3, n, a) -> (n + 1, 1, 1, 3, "RELU") }',
    "words": "block B(act, how) { conv(3, 3x3, act, pad: how, init: he) -> dense(2, act) }",
    "blocks in blocks": "block A(n, m = 2) { dense(n + m) }\nblock B(n) { A(n) -> A(n, m: 3) -> A(m: n, n: 1) }",
    "a branch for one case": "block B(n) {\n if n > 1 { short = dense(n) }\n if n > 1 { add(short) }\n}",
    "what lets rule out": "let deep = false\nblock B {\n if deep { nothing(here) }\n repeat 0 { not_even(here) }\n}",
    "parts": "block B(n) {\n encoder { dense(n) }\n decoder { dense(n + 1) }\n}",
}


def messages(text: str) -> list[str]:
    source = Source("text", text)
    return [d.message for d in diagnose(parse(source), source)[1]]


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_wrong(name: str) -> None:
    assert messages(RIGHT[name]) == ["this file has no net"]


def test_a_mistake_is_reported_once_however_often_the_block_is_used() -> None:
    block = "block B(n) { dense(n, rellu) -> dense(n + m) }\n"
    assert messages(f"{block}net N {{\n input x: float[2]\n B(3)\n B(4)\n output y: float[2]\n}}") == [
        "`activation` of `dense` must be an activation, found `rellu`",
        "unknown name `m`",
    ]


def test_a_value_that_is_lost_leaves_the_others_to_be_checked() -> None:
    head = "net N {\n input x: float[3, 8, 8]\n short = conv(3, 3x3, rellu)\n"
    wrong = "`activation` of `conv` must be an activation, found `rellu`"
    assert messages(f"{head} repeat 2 {{ maxpool(2) }}\n add(short)\n conv(4, 3)\n output y: float[2]\n}}") == [wrong]
    assert messages(f"{head} repeat 2 {{ maxpool(2) }}\n maxpool(3)\n output y: float[2]\n}}") == [
        wrong,
        "a window of 3x3 does not fit into an image of 2x2",
    ]
