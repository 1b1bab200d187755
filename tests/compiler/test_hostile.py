"""Nets that would take for ever end in a diagnostic soon."""

from __future__ import annotations

import pytest

from sparknet.compiler import check
from sparknet.grammar import SparkNetError
from tests.deadline import deadline


def net(body: str) -> str:
    return f"net N {{\n input x: float[4]\n {body}\n output y: float[4]\n}}\n"


def doubling(innermost: str) -> str:
    blocks = [f"block B0 {{ {innermost} }}\n"]
    blocks += [f"block B{k} {{ B{k - 1} -> B{k - 1} }}\n" for k in range(1, 31)]
    return "".join(blocks) + net("B30")


HOSTILE = {
    "layers in repeats": net("repeat 9999 { repeat 9999 { relu } }"),
    "repeats of nothing": net("repeat 9999 { repeat 9999 { repeat 9999 { if true { } } } }"),
    "a large repeat": net("repeat 1e9 { relu }"),
    "blocks that double": doubling("relu"),
    "blocks that double nothing": doubling("in"),
    "a block that uses itself": "block A { A -> A }\n" + net("A"),
    "long arguments again and again": "block A(a) { in }\n" + net(f"repeat 9999 {{ A([{'1,' * 50_000}]) }}"),
    "many joins": net(f"repeat 9999 {{ add({','.join('x' * 1000)}) }}"),
    "a mistake repeated": net("repeat 9999 { x -> conv(3, 3x3) }"),
    "unknown layers": net("\n".join(f"lay{k}(3)" for k in range(5000))),
    "unknown arguments": net(f"dense({','.join(f'k{k}: 1' for k in range(5000))})"),
    "lets that nothing defines": "".join(f"let a{k} = b{k}\n" for k in range(5000)) + net("relu"),
    "lets that grow": "".join(f"let a{k} = {f'a{k - 1} * 10' if k else 1}\n" for k in range(2000)) + net("relu"),
    "lets of one name": "let a = 1\n" * 5000 + net("relu"),
    "inputs": net("\n".join(f"input x{k}: float[4]" for k in range(5000))),
    "values that grow": f"block G {{ y = in\n concat({', '.join('y' * 8)}) }}\n" + net("repeat 9999 { G }"),
    "numbers that grow": net("dense(999999999999 * 999999999999)"),
    "keys": net("relu") + "train {\n" + "".join(f"k{k} = 1\n" for k in range(5000)) + "}\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_net_is_refused_soon(name: str) -> None:
    with deadline(), pytest.raises(SparkNetError) as caught:
        check(HOSTILE[name])
    assert len(str(caught.value)) < 20_000
    assert len(caught.value.diagnostics) <= 20
