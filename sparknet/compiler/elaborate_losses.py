"""Elaboration of the keys of `train` that speak of the outputs: `loss`, `weights`, `class_weights`, `metrics`.

A net with one output that a key can mean gives it a plain value; with several, a map from their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sparknet.compiler.arguments import bind
from sparknet.compiler.criteria import LOSSES, Criterion
from sparknet.compiler.metrics import METRICS, Metric
from sparknet.compiler.net import LayerUse, NetInput, NetOutput
from sparknet.compiler.scope import Scope, Word, describe, evaluate, unknown_word
from sparknet.compiler.translate import word, written
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic, SparkNetError
from sparknet.grammar.suggest import closest

LOSS_KEYS = ("loss", "weights", "class_weights", "metrics")
_MOVES_NUMBERS = frozenset({"flatten", "reshape", "transpose"})
_LARGEST_WEIGHT = 1e6
_FEW = 8
"""Items of a list that a help writes out."""


@dataclass(frozen=True)
class Judged:
    """The outputs of a net, the layers that lead to them, and the inputs where these begin."""

    outputs: Sequence[NetOutput]
    layers: Sequence[LayerUse]
    inputs: Sequence[NetInput]

    def ends_in_sigmoid(self, output: NetOutput) -> bool:
        """Whether the numbers of an output come out of a sigmoid, layers that only move numbers not counted."""
        uses = {use.name: use for use in self.layers}
        use = uses.get(output.value)
        while use is not None and use.layer.name in _MOVES_NUMBERS:
            use = uses.get(use.inputs[0])
        return use is not None and "sigmoid" in (use.layer.name, getattr(use.layer, "activation", None))


def elaborate_losses(
    entries: Mapping[str, syntax.Entry], judged: Judged, scope: Scope, problems: list[Diagnostic]
) -> dict[str, dict[str, Any]]:
    """For each of the keys that is written, its value for each output by name."""
    readers: dict[str, Callable[[syntax.Expr, NetOutput, Judged, Scope], Any]] = {
        "loss": _loss,
        "weights": _weight,
        "class_weights": _class_weights,
        "metrics": _metrics,
    }
    found: dict[str, dict[str, Any]] = {}
    for key, reader in readers.items():
        if key not in entries:
            continue
        found[key] = {}
        try:
            chosen = _by_output(entries[key], judged, scope)
        except SparkNetError as error:
            problems.extend(error.diagnostics)
            continue
        for output, expr in chosen:
            try:
                found[key][output.name] = reader(expr, output, judged, scope)
            except SparkNetError as error:
                problems.extend(error.diagnostics)
    return found


def _by_output(entry: syntax.Entry, judged: Judged, scope: Scope) -> list[tuple[NetOutput, syntax.Expr]]:
    key = entry.key.text
    meant = [o for o in judged.outputs if key != "class_weights" or o.kind == "class"]
    if not meant:
        raise scope.error("E0502", f"`{key}` speaks of `class[...]` outputs, and this net has none", entry.key)
    names = [o.name for o in meant]
    if not isinstance(entry.value, syntax.MapExpr):
        if len(meant) > 1 or key == "weights":
            message = f"`{key}` must say which output it means"
            raise scope.error("E0502", message, entry.value, f"write `{key} = {{{_spread(entry, meant, scope)}}}`")
        return [(meant[0], entry.value)]
    problems: list[Diagnostic] = []
    chosen: dict[str, tuple[NetOutput, syntax.Expr]] = {}
    for item in entry.value.entries:
        name = item.key.text
        if name in chosen:
            problems += scope.error("E0205", f"`{name}` is given twice", item.key).diagnostics
        elif name in names:
            chosen[name] = (meant[names.index(name)], item.value)
        else:
            near = closest(name, names)
            kind = "`class[...]` output" if key == "class_weights" else "output"
            help = f"did you mean `{near}`?" if near else f"it has {', '.join(f'`{n}`' for n in names)}"
            problems += scope.error("E0501", f"the net has no {kind} `{name}`", item.key, help).diagnostics
    if problems:
        raise SparkNetError(problems)
    return list(chosen.values())


def _spread(entry: syntax.Entry, meant: Sequence[NetOutput], scope: Scope) -> str:
    """What was written for no output in particular, for those that it may mean."""
    value = entry.value
    if isinstance(value, syntax.ListExpr) and len(value.items) == len(meant) and entry.key.text == "weights":
        return ", ".join(f"{o.name}: {written(item, scope)}" for o, item in zip(meant, value.items, strict=True))
    tables: dict[str, Mapping[str, type[Criterion] | type[Metric]]] = {"loss": LOSSES, "metrics": METRICS}
    table = tables.get(entry.key.text, {})
    name = value.name.text if isinstance(value, syntax.Call) else value.text if isinstance(value, syntax.Name) else ""
    fitting = [o.name for o in meant if name in table and o.kind in table[name].kinds]
    return ", ".join(f"{o}: {written(value, scope)}" for o in fitting) or ", ".join(f"{o.name}: ..." for o in meant)


def _chosen(
    expr: syntax.Expr,
    noun: str,
    table: Mapping[str, type[Criterion] | type[Metric]],
    output: NetOutput,
    scope: Scope,
) -> syntax.Call:
    """The call of one of a table that can judge the output."""
    call = expr
    if isinstance(expr, syntax.Name):
        call = syntax.Call(span=expr.span, name=syntax.Identifier(span=expr.span, text=expr.text), arguments=None)
    fitting = [name for name, entry in table.items() if output.kind in entry.kinds]
    choices = f"a {noun} for `{output.name}` is {' or '.join(f'`{name}`' for name in fitting)}"
    if not isinstance(call, syntax.Call):
        key = "metrics" if noun == "metric" else noun
        message = f"`{key}` must name a {noun}, found {describe(evaluate(expr, scope))}"
        text = expr.value if isinstance(expr, syntax.String) else ""
        near = text if text in fitting else word(noun, text, fitting)
        raise scope.error("E0502", message, expr, f"write `{near}`, without quotes" if near else choices)
    name = call.name.text
    if name not in table:
        top = re.fullmatch(r"top_?([0-9]+)(_?acc(uracy)?)?", name.lower()) if "top_k" in fitting else None
        near = f"top_k({top[1]})" if top else word(noun, name, fitting) or closest(name, fitting)
        help = f"did you mean `{near}`?" if near else choices
        raise scope.error("E0502", f"unknown {noun} `{name}`", call.name, help)
    if name not in fitting:
        message = f"`{name}` cannot judge `{output.name}`, which is `{output.type}`"
        raise scope.error("E0502", message, call.name, choices)
    return call


def _metrics(expr: syntax.Expr, output: NetOutput, judged: Judged, scope: Scope) -> tuple[Metric, ...]:
    """One metric or a list of them; each once."""
    found: dict[str, Metric] = {}
    problems: list[Diagnostic] = []
    for item in expr.items if isinstance(expr, syntax.ListExpr) else (expr,):
        try:
            metric = _metric(item, output, scope)
            if metric.label in found:
                raise scope.error("E0205", f"`{metric.label}` of `{output.name}` is given twice", item)
            found[metric.label] = metric
        except SparkNetError as error:
            problems += error.diagnostics
    if problems:
        raise SparkNetError(problems)
    return tuple(found.values())


def _metric(expr: syntax.Expr, output: NetOutput, scope: Scope) -> Metric:
    call = _chosen(expr, "metric", METRICS, output, scope)
    metric = bind(METRICS[call.name.text], call, scope)
    misfit = metric.misfit(output.size)
    if misfit is not None:
        raise scope.error("E0502", misfit[0], expr, misfit[1])
    return metric


def _loss(expr: syntax.Expr, output: NetOutput, judged: Judged, scope: Scope) -> Any:
    call = _chosen(expr, "loss", LOSSES, output, scope)
    name = call.name.text
    if name == "binary_cross_entropy" and output.kind == "like" and not judged.ends_in_sigmoid(output):
        message = f"`{name}` needs probabilities, but the chain of `{output.name}` does not end in a sigmoid"
        raise scope.error("E0502", message, call.name, "end it with `sigmoid`")
    return bind(LOSSES[name], call, scope)


def _weight(expr: syntax.Expr, output: NetOutput, judged: Judged, scope: Scope) -> float:
    value = evaluate(expr, scope)
    if isinstance(value, Word):
        raise unknown_word(value.text, expr, scope)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not isfinite(value) or not 0 <= value <= _LARGEST_WEIGHT:
        message = f"a weight is a number from 0 to {_LARGEST_WEIGHT:,.0f}, found {describe(value)}"
        raise scope.error("E0502", message, expr)
    return float(value)


def _class_weights(expr: syntax.Expr, output: NetOutput, judged: Judged, scope: Scope) -> tuple[float, ...]:
    if not isinstance(expr, syntax.ListExpr) or len(expr.items) != output.size:
        found = f"{len(expr.items)} numbers" if isinstance(expr, syntax.ListExpr) else "no list"
        message = f"`{output.name}` has {output.size} classes and needs a weight for each, found {found}"
        more = ", ..." * (output.size > _FEW)
        example = f"[{', '.join(['1'] * min(output.size, _FEW))}{more}]"
        raise scope.error("E0502", message, expr, f"write {output.size} numbers, such as `{example}`")
    return tuple(_weight(item, output, judged, scope) for item in expr.items)
