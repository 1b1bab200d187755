"""What `early_stop` asks of the other sections: a score that the net has, and rows to measure it on."""

from __future__ import annotations

from collections.abc import Iterator

from sparknet.compiler.arguments import place
from sparknet.compiler.net import ElaboratedNet
from sparknet.compiler.outputs import metric_names
from sparknet.compiler.scope import Scope
from sparknet.compiler.stopping import Patience
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic
from sparknet.grammar.suggest import closest


def check_early_stop(net: ElaboratedNet, section: syntax.Section | None, scope: Scope) -> Iterator[Diagnostic]:
    """What is wrong with the `early_stop` of a net; nothing is said of parts that are broken themselves."""
    early_stop = net.train.early_stop
    if section is None or early_stop is None:
        return
    entry = next(e for e in section.entries if e.key.text == "early_stop")
    scores = ["loss", *metric_names(net)]
    if net.outputs and early_stop.metric not in scores:
        near = closest(early_stop.metric, scores)
        help = f"did you mean `{near}`?" if near else f"scores are {', '.join(f'`{s}`' for s in scores)}"
        message = f"nothing called `{early_stop.metric}` is measured"
        note = "`metrics` says what is measured" if near is None else None
        yield from scope.error("E0502", message, _metric(entry.value, scope), help, note).diagnostics
    if net.data is not None and not any("validation" in supply.split for supply in net.data.supplies.values()):
        help = 'add a source for them, such as `validation = parquet("validation.parquet")`'
        if "source" in net.data.supplies:
            help = "give them a share in `data`: `split = {train: 0.7, validation: 0.15, test: 0.15}`"
        message = "`early_stop` needs rows for `validation`, and the `data` section has none"
        yield from scope.error("E0502", message, entry.key, help).diagnostics


def _metric(value: syntax.Expr, scope: Scope) -> syntax.Expr:
    """Where the metric is named."""
    assert isinstance(value, syntax.Call)  # noqa: S101 - what names no metric is judged by the loss
    placed, _ = place(value, tuple(Patience.model_fields), scope)
    return placed["metric"].value
