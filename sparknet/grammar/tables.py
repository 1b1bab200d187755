"""The parser of `net.lark`, from tables that are kept beside it.

To work the grammar out takes Lark about 0.1 s, ten times as long as parsing a usual file, so the result lies in
`net.tables.json`. It holds for one grammar and one version of Lark; with any other the tables are worked out anew.

    SPARKNET_UPDATE=1 pytest tests/grammar/test_tables.py       # writes them, after a change to net.lark
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any

import lark
from lark import Lark, Token
from lark.grammar import Rule
from lark.lark import PostLex
from lark.lexer import TerminalDef

GRAMMAR = Path(__file__).with_name("net.lark")
TABLES = Path(__file__).with_name("net.tables.json")

_ENDLESS = (1 << 32) - 1
"""The longest width that is written for a terminal, as releases of Python put no end differently."""

_GIVEN_ANEW = ("postlex",)
"""Options of the parser that are code."""


class _KeepNewlines(PostLex):
    """Tells Lark that a line end may come in any state; the driver drops those that mean nothing."""

    always_accept = ("_NEWLINE",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


@cache
def grammar() -> Lark:
    """The parser, made once in a process."""
    text = GRAMMAR.read_text(encoding="utf-8")
    try:
        saved = json.loads(TABLES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        saved = {}
    if saved.get("made_for") != _made_for(text):
        return work_out(text)
    return Lark.__new__(Lark)._load(_with_numbers(saved["tables"]), postlex=_KeepNewlines())


def work_out(text: str) -> Lark:
    """The parser of a grammar, without tables."""
    return Lark(
        text,
        start="file",
        parser="lalr",
        lexer="contextual",
        postlex=_KeepNewlines(),
        maybe_placeholders=False,
    )


def tables_text() -> str:
    """What `net.tables.json` is to hold."""
    text = GRAMMAR.read_text(encoding="utf-8")
    data, memo = work_out(text).memo_serialize([TerminalDef, Rule])
    data["options"] = {key: value for key, value in data["options"].items() if key not in _GIVEN_ANEW}
    _number_anew(data["parser"]["parser"])
    for entry in memo.values():
        if "_width" in entry.get("pattern", {}):  # that of an endless pattern differs between releases of Python
            entry["pattern"]["_width"] = [min(width, _ENDLESS) for width in entry["pattern"]["_width"]]
    tables = {"data": data, "memo": memo}
    return json.dumps({"made_for": _made_for(text), "tables": tables}, separators=(",", ":"), sort_keys=True) + "\n"


def _number_anew(parser: dict[str, Any]) -> None:
    """Number tokens by name and states as they are reached: Lark numbers both in the order of sets."""
    names = parser["tokens"]
    order = {name: number for number, name in enumerate(sorted(names.values()))}
    old_states = {
        state: sorted(((order[names[token]], action) for token, action in actions.items()), key=itemgetter(0))
        for state, actions in parser["states"].items()
    }
    new = {parser["start_states"]["file"]: 0}
    pending = list(new)
    for state in pending:
        for _, (is_reduction, target) in old_states[state]:
            if not is_reduction and target not in new:
                new[target] = len(new)
                pending.append(target)
    parser["tokens"] = {number: name for name, number in order.items()}
    parser["states"] = {
        new[state]: {token: (kind, target if kind else new[target]) for token, (kind, target) in actions}
        for state, actions in old_states.items()
    }
    for place in ("start_states", "end_states"):
        parser[place] = {name: new[state] for name, state in parser[place].items()}


def _made_for(text: str) -> dict[str, str]:
    return {"lark": lark.__version__, "grammar": sha256(text.encode()).hexdigest()}


def _with_numbers(tables: dict[str, Any]) -> dict[str, Any]:
    """The tables as Lark made them: JSON has turned the numbers that are keys into texts."""
    tables["memo"] = {int(key): value for key, value in tables["memo"].items()}
    parser = tables["data"]["parser"]["parser"]
    parser["tokens"] = {int(key): value for key, value in parser["tokens"].items()}
    parser["states"] = {
        int(state): {int(token): action for token, action in actions.items()}
        for state, actions in parser["states"].items()
    }
    return tables
