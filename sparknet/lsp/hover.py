"""Hover: for a layer its result and parameters, for a block its head, for a let its value."""

from __future__ import annotations

from sparknet.compiler.layers import JOINS, LAYERS
from sparknet.compiler.summary import products_of, short
from sparknet.grammar import syntax
from sparknet.grammar.spell import Speller
from sparknet.lsp.document import Document, name_of

_SHOWN = 4
"""Results of one layer that is used several times."""


def hover(document: Document, offset: int) -> str | None:
    """What is known about the place, as Markdown."""
    nodes = document.nodes_at(offset)
    if not nodes or document.tree is None:
        return None
    parts = [part for part in (_about_layer(document, offset), _about_name(document, nodes)) if part]
    return "\n\n".join(parts) or None


def _about_layer(document: Document, offset: int) -> str | None:
    uses, typed = document.uses_at(offset), document.typed
    if not uses or typed is None:
        return None
    lines = []
    for use in uses[:_SHOWN]:
        specs = typed.parameters[use.name]
        result = typed.types[use.name]
        count, work = sum(p.size for p in specs), products_of(use, typed)
        more = f", {count:,} parameters, {short(work)} multiply-adds" if count else ""
        takes = " and ".join(f"`{typed.types[value]}`" for value in use.inputs)
        lines.append(f"`{use.name}`: {takes} to `{result}`{more}")
    if len(uses) > _SHOWN:
        lines.append(f"and {len(uses) - _SHOWN:,} more")
    return "  \n".join(lines)


def _about_name(document: Document, nodes: list[syntax.Node]) -> str | None:
    name = name_of(nodes[-1])
    if name is None:
        return None
    definition = document.definitions.get(name)
    spell = Speller()
    if definition is not None and isinstance(definition.item, syntax.Let):
        text = f"let {name} = {spell.expression(definition.item.value)}"
        value = document.typed.net.lets.get(name) if document.typed else None
        shown = spell.expression(definition.item.value)
        return _code(text if value is None or str(value) == shown else f"{text}  # {value}")
    if definition is not None and isinstance(definition.item, syntax.Block):
        return _code(f"block {name}({', '.join(map(spell.parameter, definition.item.parameters))})")
    model = LAYERS.get(name) or JOINS.get(name)
    if model is not None and any(isinstance(node, syntax.Chain) for node in nodes):
        return (model.__doc__ or "").strip().partition("\n\n")[0]
    return None


def _code(text: str) -> str:
    return f"```net\n{text}\n```"
