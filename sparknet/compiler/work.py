"""How much walking through a net may cost."""

from __future__ import annotations

from dataclasses import dataclass

from sparknet.compiler.scope import Scope
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import SparkNetError

MAX_WORK = 50_000
"""Statements that are walked through, those of repeats and blocks each time; long ones count several times."""
_WORK_LENGTH = 16


@dataclass
class Work:
    """What walking through a net has cost, so that no file takes unbounded time: blocks may double without a layer."""

    done: int = 0
    is_over: bool = False

    def walk(self, statement: syntax.Statement, scope: Scope) -> None:
        """Count a statement, by its length."""
        head: syntax.Node = statement
        if isinstance(statement, syntax.Repeat):
            head = statement.count
        elif isinstance(statement, syntax.If):
            head = statement.condition
        length = 0 if isinstance(statement, syntax.Part) else head.span.end - head.span.start
        self.add(1 + length // _WORK_LENGTH, statement, scope)

    def add(self, amount: int, node: syntax.Node, scope: Scope) -> None:
        """Count something; raises SparkNetError, once with a message, when it has become too much."""
        self.done += amount
        if self.is_over:
            raise SparkNetError([])
        if self.done > MAX_WORK:
            self.is_over = True
            message = f"walking through the net takes more than {MAX_WORK:,} steps"
            raise scope.error("E0208", message, node, "repeat fewer times, or nest fewer blocks in each other")
