"""`sparknet plot`: what is drawn, that it is valid and that nothing lies on top of anything else."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import sparknet
from sparknet.cli.main import cli
from sparknet.compiler import check
from sparknet.compiler.drawing import draw, to_mermaid, to_svg
from sparknet.compiler.drawing.layered import lay_out
from sparknet.compiler.summary import summarize
from sparknet.grammar import SparkNetError
from tests.catalogue import check_text
from tests.deadline import deadline

NETS = Path(__file__).parent / "nets"
SVG = "{http://www.w3.org/2000/svg}"
FILES = sorted(NETS.glob("*.net"))


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    groups = ElementTree.fromstring(svg).findall(f"{SVG}g")  # noqa: S314 - our own text
    rects = [group.find(f"{SVG}rect") for group in groups]
    return [tuple(float(rect.get(key)) for key in ("x", "y", "width", "height")) for rect in rects]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("fold", [False, True])
def test_no_box_lies_on_another(file: Path, fold: bool) -> None:
    drawing = draw(check(file), fold)
    svg = to_svg(drawing)
    found = boxes(svg)
    assert len(found) == len(drawing.boxes)
    for (x, y, w, h), (u, v, p, q) in combinations(found, 2):
        assert x + w < u or u + p < x or y + h < v or v + q < y
    for a, b in drawing.edges:
        assert found[a][1] < found[b][1], "edges lead down"
    width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in found)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_mermaid(file: Path) -> None:
    text = to_mermaid(draw(check(file)))
    check_text(file.with_suffix(".mmd"), text)
    assert text.count("subgraph") == len(re.findall(r"^ *end$", text, re.MULTILINE))


def test_the_way_through_a_residual_block_is_straight() -> None:
    svg = to_svg(draw(check(NETS / "residual.net", settings=["width=4"])))
    centres = {round(x + w / 2) for x, _, w, _ in boxes(svg)}
    assert len(centres) == 2, "one line for the net, one for the shortcut with a convolution"


def test_two_inputs_stand_side_by_side() -> None:
    drawing = draw(check(NETS / "two_inputs.net"))
    first, second = boxes(to_svg(drawing))[:2]
    assert first[1] == second[1]


def test_a_fold_is_as_long_as_the_summary() -> None:
    typed = check(NETS / "residual.net")
    folded = [box.text for box in draw(typed, fold=True).boxes]
    assert folded == [row.text for _, row in summarize(typed).lines()]
    assert any(text.startswith("3 x ") for text in folded)


def test_lets_and_parameters_show_as_their_values() -> None:
    block = "let w = 4\nblock B(n, s = 1, bias = true) {\n dense(n * 2, bias: bias)\n (n * 2, s, 1, w, relu)\n}\n"
    net = "net N {\n input x: float[4]\n B(w + 1)\n dense(w)\n output y: float[4]\n}"
    texts = [box.text for box in draw(check(block + net)).boxes]
    assert texts == ["input x", "dense(10, bias: true)", "(10, 1, 1, 4, relu)", "dense(4)", "output y"]
    assert draw(check(block + net)).frames.popitem()[1] == "B(5)"


def test_texts_are_escaped() -> None:
    net = 'net N {\n  input x: float[4]\n  (4, 1, 1, 4, "RELU")\n  output y: float[4]\n}'
    assert "(4, 1, 1, 4, &quot;RELU&quot;)" in to_svg(draw(check(net)))
    assert "(4, 1, 1, 4, #quot;RELU#quot;)" in to_mermaid(draw(check(net)))


def test_the_command_writes_by_the_name_of_the_output(tmp_path: Path) -> None:
    for name, begin in (("a.svg", "<svg"), ("a.mmd", "flowchart")):
        arguments = ["plot", str(NETS / "two_inputs.net"), "-o", str(tmp_path / name)]
        CliRunner().invoke(cli, arguments, standalone_mode=False, catch_exceptions=False)
        assert (tmp_path / name).read_text().startswith(begin)
    shown = CliRunner().invoke(
        cli, ["plot", str(NETS / "two_inputs.net"), "--format", "mermaid"], standalone_mode=False
    )
    assert shown.output.startswith("flowchart")


def test_a_net_that_is_too_large_to_read_is_refused() -> None:
    with pytest.raises(SparkNetError, match="too many to draw"):
        draw(check("net N {\n  input x: float[4]\n  repeat 1001 { relu }\n  output y: float[4]\n}"))


def test_a_tangle_is_laid_out_soon() -> None:
    edges = [(a, b) for b in range(300) for a in range(max(0, b - 25), b)]
    with deadline():
        layout = lay_out([50.0] * 300, edges, 10.0, 5.0)
    assert all(layout.layer[a] < layout.layer[b] for a, b in edges)


def test_a_notebook_shows_drawing_and_table() -> None:
    shown = sparknet.compile(NETS / "two_inputs.net")._repr_html_()
    assert "<svg" in shown
    assert "<table>" in shown
