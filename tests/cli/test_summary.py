"""`sparknet summary` and the table in a notebook."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from sparknet.cli.main import cli
from sparknet.compiler import check
from sparknet.compiler.summary import amount, short, summarize
from tests.catalogue import check_text

HERE = Path(__file__).parent
RESIDUAL = HERE / "nets" / "residual.net"


def run(*arguments: object) -> str:
    return (
        CliRunner().invoke(cli, ["summary", *map(str, arguments)], standalone_mode=False, catch_exceptions=False).output
    )


def test_blocks_are_folded() -> None:
    check_text(HERE / "nets" / "residual.folded.txt", run(RESIDUAL))


def test_blocks_are_unfolded() -> None:
    check_text(HERE / "nets" / "residual.unfolded.txt", run(RESIDUAL, "--unfold"))


def test_a_repeat_inside_a_block_is_no_repeat_of_the_block() -> None:
    block, head = "block B { repeat 3 { dense(4) } }\n", "net N {\n input x: float[4]\n"
    net = f"{block}{head} B\n B\n repeat 2 {{ B }}\n output y: float[4]\n}}"
    assert [row.text for row in summarize(check(net)).layers] == ["B", "B", "2 x B"]


def test_json_has_the_same_numbers() -> None:
    found = json.loads(run(RESIDUAL, "--format", "json"))
    summary = summarize(check(RESIDUAL))
    assert found["total"]["parameters"] == summary.total.parameters == 66_122
    assert found["layers"][2]["times"] == 3
    assert len(found["layers"][2]["rows"]) == 12


def test_multiply_adds() -> None:
    net = "net N {\n input x: float[3, 8, 8]\n conv(4, 3x3, stride: 2) -> flatten -> dense(5)\n output y: float[5]\n}"
    assert [row.multiply_adds for row in summarize(check(net)).layers] == [4 * 4 * 4 * 3 * 9, 0, 64 * 5]


def test_a_notebook_shows_a_table() -> None:
    shown = summarize(check("net N {\n input x: float[4]\n relu # <b>\n output y: float[4]\n}"))._repr_html_()
    assert shown.startswith("<table>")
    assert "<td" in shown


def test_numbers_as_people_read_them() -> None:
    assert [short(n) for n in (0, 999, 1000, 12_345, 2.5e9)] == ["0", "999", "1 k", "12.3 k", "2.5 G"]
    assert [amount(n) for n in (0, 1023, 1024, 10_240, 3 << 30)] == ["0 B", "1023 B", "1.0 KiB", "10 KiB", "3.0 GiB"]


def test_running_numbers_and_frozen_weights_are_no_parameters() -> None:
    body = "net N {\n input x: float[4]\n dense(4, frozen: true) -> batchnorm -> dense(4)\n output y: float[4]\n}"
    assert [row.parameters for row in summarize(check(body)).layers] == [0, 8, 20]
