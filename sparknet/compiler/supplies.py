"""Where the rows of a run come from: one `source` and its `split`, or a source for each split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sparknet.compiler.arguments import explain_entries, plain
from sparknet.compiler.scope import Scope
from sparknet.compiler.sections import SPLITS, Supply
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic

_DEFAULT_SPLIT = {"train": 0.8, "test": 0.2}
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
        lacks = "no `source`" if not apart else "no `train`"
        help = f'write for instance `{"train" if apart else "source"} = parquet("data.parquet")`'
        problems += scope.error("E0504", f"the `data` section has {lacks}", section.name, help).diagnostics
        return None
    shares: dict[str, Any] = {key: {key: 1.0} for key in apart} or {
        "source": plain(values.get("split", _DEFAULT_SPLIT))
    }
    if None in values.values():
        return None
    try:
        supplies = {
            key: Supply(source=values[key], label=scope.label(entries[key].value), split=split)
            for key, split in shares.items()
        }
    except ValidationError as error:
        problems.extend(explain_entries(error, entries, values, scope))
        return None
    if not any("train" in supply.split for supply in supplies.values()):
        problems += scope.error("E0502", "`split` has no share for `train`", entries["split"].value).diagnostics
        return None
    return supplies
