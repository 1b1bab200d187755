"""Where the rows of a run come from: one `source` and its `split`, a source for each split, or a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from sparknet.compiler.arguments import explain_entries, plain
from sparknet.compiler.key_helps import means_source
from sparknet.compiler.scope import Scope, describe
from sparknet.compiler.sections import SPLITS, SplitName, Supply
from sparknet.compiler.synonyms import KEYS, plain_name
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic
from sparknet.grammar.suggest import closest

DEFAULT_SPLIT: dict[SplitName, float] = {"train": 0.8, "test": 0.2}
_EITHER = "write either `source` and `split`, or `train`, `validation` and `test`, each a source"


def elaborate_supplies(
    section: syntax.Section,
    entries: Mapping[str, syntax.Entry],
    values: Mapping[str, Any],
    scope: Scope,
    problems: list[Diagnostic],
) -> dict[str, Supply] | None:
    """The sources by their keys; None where anything is wrong with them. A value that is a problem already is None."""
    apart = [key for key in SPLITS if key in entries]
    mixed = [key for key in ("source", "split") if key in entries]
    if apart and mixed:
        labels = scope.label(entries[mixed[0]].key), scope.label(entries[apart[0]].key, "a source of its own")
        message = f"`{mixed[0]}` and `{apart[0]}` exclude each other"
        problems.append(Diagnostic("E0504", message, labels, (), (_EITHER,)))
        return None
    if "train" not in entries and "source" not in entries:
        if any(e.key.text not in entries and means_source(e) for e in section.entries):
            return None
        if apart:
            help = 'write for instance `train = parquet("data.parquet")`'
            problems += scope.error("E0504", "the `data` section has no `train`", section.name, help).diagnostics
            return None
    shares: dict[str, Any] = {key: {key: 1.0} for key in apart} or {"source": plain(values.get("split", DEFAULT_SPLIT))}
    if None in values.values():
        return None
    if "split" in values and (wrong := list(_wrong_shares(entries["split"].value, values["split"], scope))):
        problems.extend(wrong)
        return None
    try:
        supplies = {
            key: Supply(
                source=values.get(key),
                label=scope.label(entries[key].value if key in entries else section.name),
                split=split,
            )
            for key, split in shares.items()
        }
    except ValidationError as error:
        problems.extend(explain_entries(error, entries, values, scope))
        return None
    if not any("train" in supply.split for supply in supplies.values()):
        problems += scope.error("E0502", "`split` has no share for `train`", entries["split"].value).diagnostics
        return None
    return supplies


def _wrong_shares(expr: syntax.Expr, split: Any, scope: Scope) -> Iterator[Diagnostic]:
    """What is wrong with the shares of a `split`."""
    if not isinstance(split, dict) or not isinstance(expr, syntax.MapExpr):
        number = isinstance(split, int | float) and 0 < split < 1
        help = f"write `{_written({'train': split, 'test': 1 - split} if number else DEFAULT_SPLIT)}`"
        message = f"`split` must be a map with the shares of `train`, `validation` and `test`, found {describe(split)}"
        yield from scope.error("E0502", message, expr, help).diagnostics
        return
    for entry in expr.entries:
        key, value = entry.key.text, split[entry.key.text]
        if key not in SPLITS:
            other = KEYS["data"].get(plain_name(key), "").partition(" = ")[0]
            near = other if other in SPLITS else closest(key, SPLITS)
            help = f"did you mean `{near}`?" if near else "shares are `train`, `validation` and `test`"
            yield from scope.error("E0501", f"`split` has no share `{key}`", entry.key, help).diagnostics
        elif isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            message = f"a share is a number above 0, found {describe(value)}"
            yield from scope.error("E0502", message, entry.value).diagnostics
    numbers = {k: v for k, v in split.items() if k in SPLITS and isinstance(v, int | float) and v > 0}
    total = sum(numbers.values())
    if len(numbers) == len(split) and abs(total - 1) > 1e-6:
        help = f"write `{_written({k: v / total for k, v in numbers.items()} or DEFAULT_SPLIT)}`"
        message = f"the shares of `split` must sum to 1, found {total:.6g}"
        yield from scope.error("E0502", message, expr, help).diagnostics


def _written(split: Mapping[Any, float]) -> str:
    return f"{{{', '.join(f'{key}: {value:.3g}' for key, value in split.items())}}}"
