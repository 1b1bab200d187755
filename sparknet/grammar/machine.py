"""The LALR automaton that Lark has worked out, run by a loop of our own.

Lark's loop makes no use of what is special here: one callback for each rule, no trees in between, lines not counted.
This one takes a third of the time, in what is most of the time of a check. Lark's tables decide everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from lark import Token
from lark.grammar import Rule, Symbol

from sparknet.grammar.build import Builder
from sparknet.grammar.tables import grammar

Reduction = tuple[int, str, Callable[[list[Any]], Any] | None]
"""How many values a rule takes from the stack, what it makes of them, and how; None where one value stays itself."""
Match = Callable[[str, int], re.Match[str] | None]

END = "$END"
UNKNOWN = "UNKNOWN"
"""The type of the token that stands for a character of no terminal."""

_BLANKS = r"[ \t]*+"
_new = str.__new__


class Unexpected(Exception):  # noqa: N818 - never leaves this package
    """A token that does not fit; `parse.py` turns it into a diagnostic."""

    def __init__(self, token: Token) -> None:
        super().__init__(token)
        self.token = token


class Machine:
    """The automaton of `net.lark`: what each state does with a token, and which tokens it looks for."""

    def __init__(self) -> None:
        lark = grammar()
        frontend: Any = lark.parser
        table = frontend.parser._parse_table
        rules = {id(rule): _reduction(rule, Builder()) for rule in lark.rules}
        by_rule = {rule: rules[id(rule)] for rule in lark.rules}
        self.start: int = table.start_states["file"]
        self.end: int = table.end_states["file"]
        self.actions: dict[int, dict[str, Any]] = {
            state: {name: by_rule[arg] if isinstance(arg, Rule) else arg for name, (_, arg) in actions.items()}
            for state, actions in table.states.items()
        }
        """For each state and terminal, the state to go to or the `Reduction`; for each rule, the state to go to."""
        # Within the connector of `tables.py`, which tells Lark that a line end may come anywhere.
        contextual = frontend.lexer.lexer
        self._root = contextual.root_lexer
        self.matches = _Matches(contextual.lexers)
        """For each state, what finds the next token that it may meet, and the blanks before it."""
        self.ignored: frozenset[str] = frozenset(self._root.ignore_types)

    def any_token(self, text: str, position: int) -> Token:
        """The token at a position where none fits that the state may meet: one that others may, or an unknown one."""
        match = _matcher(self._root)(text, position)
        if match is not None and match.lastgroup is not None:
            begin, end = match.span(match.lastgroup)
            return token(match.lastgroup, match[match.lastgroup], begin, end)
        blanks = re.compile(_BLANKS).match(text, position)
        begin = blanks.end() if blanks else position
        return token(UNKNOWN, text[begin], begin, begin + 1) if begin < len(text) else token(END, "", begin, begin)

    def accepts(self, states: list[int]) -> frozenset[str]:
        """The terminals that may come next."""
        return frozenset(
            kind for kind in self.actions[states[-1]] if kind.isupper() or kind == END if self._takes(states, kind)
        )

    def _takes(self, states: list[int], kind: str) -> bool:
        """Whether a terminal is shifted in the end, after the reductions that it asks for."""
        states = states.copy()
        while True:
            action = self.actions[states[-1]].get(kind)
            if action is None:
                return False
            if isinstance(action, int):
                return True
            size, origin, _ = action
            del states[len(states) - size :]
            states.append(self.actions[states[-1]][origin])
            if states[-1] == self.end:
                return True


def token(kind: str, value: str, begin: int, end: int) -> Token:
    """A token, made without Lark's checks, which take longer than finding it."""
    made: Token = _new(Token, value)
    made.type, made.start_pos, made.end_pos = kind, begin, end
    return made


@cache
def machine() -> Machine:
    """The automaton, made once in a process."""
    return Machine()


class _Matches(dict[int, Match]):
    """Made for each state when it is first met."""

    def __init__(self, lexers: dict[int, Any]) -> None:
        super().__init__()
        self._lexers = lexers

    def __missing__(self, state: int) -> Match:
        self[state] = _matcher(self._lexers[state])
        return self[state]


@cache
def _matcher(lexer: Any) -> Match:
    (pattern,) = (compiled.pattern for compiled in lexer.scanner._mres)
    assert not lexer.callback  # noqa: S101 - no terminal of the grammar is a special case of another
    return re.compile(f"{_BLANKS}(?:{pattern})").match


# ----- rules -----


def _reduction(rule: Rule, builder: Builder) -> Reduction:
    """What to do where a rule is complete; Lark's filtering of `_NAMES` and inlining of `_rules`, made ready."""
    name = rule.alias or rule.origin.name
    kept = [(i, _is_inlined(symbol)) for i, symbol in enumerate(rule.expansion) if not _is_dropped(symbol)]
    gather = _gathering(kept, len(rule.expansion))
    if rule.origin.name.startswith("_") and not rule.alias:
        build: Callable[[list[Any]], Any] = gather or list
    elif rule.options.expand1 and not rule.alias and len(kept) == len(rule.expansion) == 1 and not kept[0][1]:
        return 1, rule.origin.name, None
    else:
        build = _building(getattr(builder, name, None), gather, bool(rule.options.expand1 and not rule.alias))
    return len(rule.expansion), rule.origin.name, build


def _is_dropped(symbol: Symbol) -> bool:
    return symbol.is_term and bool(getattr(symbol, "filter_out", False))


def _is_inlined(symbol: Symbol) -> bool:
    return not symbol.is_term and symbol.name.startswith("_")


def _gathering(kept: list[tuple[int, bool]], size: int) -> Callable[[list[Any]], list[Any]] | None:
    """What makes the list of parts out of the values of a rule; None where that is all of them."""
    if len(kept) == size and not any(inlined for _, inlined in kept):
        return None

    def gather(values: list[Any]) -> list[Any]:
        parts: list[Any] = []
        for i, inlined in kept:
            if not inlined:
                parts.append(values[i])
            elif parts:
                parts += values[i]
            else:
                # The list before it is of no use to anyone else: a long body grows in place.
                parts = values[i]
        return parts

    return gather


def _building(
    method: Callable[..., Any] | None, gather: Callable[[list[Any]], list[Any]] | None, expands: bool
) -> Callable[[list[Any]], Any]:
    if method is None:
        raise AttributeError("the builder has no method for a rule")
    if gather is None:
        return lambda values: method(*values)

    def build(values: list[Any]) -> Any:
        parts = gather(values)
        return parts[0] if expands and len(parts) == 1 else method(*parts)

    return build
