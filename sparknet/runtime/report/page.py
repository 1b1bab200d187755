"""The report of a run as one HTML file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib import resources
from logging import getLogger

from jinja2 import Environment, StrictUndefined, Template

from sparknet.compiler.compiled import CompiledNet
from sparknet.compiler.drawing import draw, to_svg
from sparknet.compiler.encoders import AnyEncoder
from sparknet.compiler.summary import amount, short, summarize
from sparknet.grammar.diagnostics import SparkNetError
from sparknet.runtime.evaluation.errors import Errors
from sparknet.runtime.manifest import Manifest
from sparknet.runtime.report.content import Table, curves, loss, metric, outputs, rounds_table, shares
from sparknet.runtime.training.records import RoundRecord

_TEMPLATE = "report.html.jinja"
_DRAWN_BYTES = 300_000
_SOURCE_CHARACTERS = 100_000
_MOST_LAYERS = 200
_FOLDED = 40
"""A net of more layers is drawn with its blocks folded."""


def report(
    net: CompiledNet,
    manifest: Manifest,
    history: Sequence[RoundRecord],
    errors: Errors | None,
    encoders: Mapping[str, AnyEncoder],
) -> bytes:
    """The report, UTF-8, of some hundred kilobytes at most: a function of what it is given and of nothing else.

    All texts of the user's, such as labels and the `.net` source, are escaped by the template. Raises nothing: that a
    report cannot be made must not cost the run that it is of.
    """
    try:
        return _page(net, manifest, history, errors, encoders).encode()
    except Exception as error:
        getLogger("sparknet").warning("the report could not be made: %s", error)
        why = escape(str(error))
        return f"<!DOCTYPE html><title>no report</title><p>The report could not be made: {why}\n".encode()


def _page(
    net: CompiledNet,
    manifest: Manifest,
    history: Sequence[RoundRecord],
    errors: Errors | None,
    encoders: Mapping[str, AnyEncoder],
) -> str:
    source = net.source.text
    return _template().render(
        manifest=manifest,
        title=f"{manifest.net}: report of a run",
        fed=[port for port in (*manifest.inputs, *manifest.targets) if port.kind != "length"],
        curves=curves(history, manifest),
        rounds=rounds_table(history),
        shares=shares(history, manifest),
        outputs=[] if errors is None else outputs(errors, encoders),
        errors=errors,
        drawing=_drawing(net),
        layers=_layers(net),
        source=source[:_SOURCE_CHARACTERS],
        source_cut=len(source) > _SOURCE_CHARACTERS,
        metric=metric,
        loss=loss,
        amount=amount,
        duration=duration,
    )


def duration(seconds: float) -> str:
    """`0.35 s`, `28.1 s`, `12 min 30 s`, `3 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _drawing(net: CompiledNet) -> str | None:
    """The net as a `data:` URI, which keeps the drawing's styles to itself; None where that would be too large."""
    try:
        svg = to_svg(draw(net.typed, fold=len(net.layers) > _FOLDED)).encode()
    except SparkNetError:
        return None
    return f"data:image/svg+xml;base64,{b64encode(svg).decode()}" if len(svg) <= _DRAWN_BYTES else None


def _layers(net: CompiledNet) -> Table:
    summary = summarize(net.typed)
    lines = list(summary.lines())
    rows = [
        (
            "\N{NO-BREAK SPACE}" * 2 * depth + row.text,
            row.output,
            f"{row.parameters:,}" if row.parameters else "",
            short(row.multiply_adds) if row.multiply_adds else "",
            amount(row.bytes) if row.bytes else "",
        )
        for depth, row in lines[:_MOST_LAYERS]
    ]
    total = summary.total
    rows.append(("total", "", f"{total.parameters:,}", short(total.multiply_adds), amount(total.bytes)))
    left = f"the first {_MOST_LAYERS} of {len(lines):,} lines" if len(lines) > _MOST_LAYERS else ""
    heads = ("layer", "output", "parameters", "multiply-adds", "activations")
    return Table("Layers, for one row of data", heads, tuple(rows), left, wide=True)


@cache
def _template() -> Template:
    text = resources.files("sparknet.runtime.report").joinpath(_TEMPLATE).read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)
