"""What can be said about a block without a use of it: its parameters, and all that depends on them, are unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparknet.compiler.definitions import Definition
from sparknet.compiler.elaborate import Body
from sparknet.compiler.layers import Join, Layer
from sparknet.compiler.models import Models
from sparknet.compiler.net import ValueId
from sparknet.compiler.scope import UNKNOWN, Scope, evaluate
from sparknet.grammar import limits, syntax
from sparknet.grammar.diagnostics import Diagnostic, SparkNetError

_SOME: ValueId = "in"
"""Every value of a block; none has a shape."""


def outline(
    blocks: Mapping[str, Definition], lets: Mapping[str, Any], models: Models, problems: list[Diagnostic]
) -> None:
    """Add to `problems` what is wrong with the blocks wherever they may be used, but for what is said already.

    Where a block wants a parameter, as `block Up { dense(n) }` does, the uses that give it one are right.
    """
    for definition in blocks.values():
        block = definition.item
        assert isinstance(block, syntax.Block)  # noqa: S101 - lets are not among the blocks
        if len(problems) >= limits.ERRORS:
            break
        found: list[Diagnostic] = []
        names = dict(lets)
        body = _Outline(
            Scope(definition.source, names, block=block.name.text),
            blocks,
            found,
            lets,
            models=models,
            at_hand=_SOME,
            values={"in": _SOME},
            callers=definition.imports,
            depth=1,
        )
        for parameter in block.parameters:
            body.default(parameter)
            names[parameter.name.text] = UNKNOWN
        body.run(block.body)
        said = {(id(d.labels[0].source), d.labels[0].span) for d in problems if d.labels}
        problems += [d for d in found if (id(d.labels[0].source), d.labels[0].span) not in said]
    problems[:] = _without_rightful_uses(problems, blocks)


def _without_rightful_uses(problems: Sequence[Diagnostic], blocks: Iterable[str]) -> list[Diagnostic]:
    """All but what is said of arguments for blocks that want a parameter, as the message on the block says."""
    helps = [help for diagnostic in problems for help in diagnostic.helps]
    wanting = {name for name in blocks if any(f"make it a parameter: `block {name}(" in help for help in helps)}
    uses = {f"`{name}` takes no arguments" for name in wanting}
    return [d for d in problems if d.code != "E0304" or d.message not in uses]


@dataclass
class _Outline(Body):
    """A body that is walked through once whatever it repeats, both ways where a condition is unknown."""

    def default(self, parameter: syntax.Parameter) -> None:
        """Check the default of a parameter, which may use the parameters before it."""
        if parameter.default is not None:
            try:
                evaluate(parameter.default, self.scope)
            except SparkNetError as error:
                self.problems += error.diagnostics

    def _statement(self, statement: syntax.Statement) -> None:
        if isinstance(statement, syntax.If) and evaluate(statement.condition, self.scope) is UNKNOWN:
            self.run(statement.then)
            self.run(statement.orelse)
        else:
            super()._statement(statement)

    def _count(self, expr: syntax.Expr) -> int:
        return 1 if evaluate(expr, self.scope) is UNKNOWN else min(super()._count(expr), 1)

    def _use(self, layer: Layer | Join, step: syntax.Step, joined: tuple[ValueId, ...] | None = None) -> ValueId:
        return self._hand(step)

    def _block(self, definition: Definition, step: syntax.Call) -> ValueId:
        block = definition.item
        assert isinstance(block, syntax.Block)  # noqa: S101 - lets are not among the blocks
        self._arguments(block, step)
        return self._hand(step)
