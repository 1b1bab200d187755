"""A net as one text of its own: what it imports and what was set on the command line written into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sparknet.compiler.definitions import definitions
from sparknet.compiler.layers import ForeignLayer
from sparknet.compiler.net import TypedNet
from sparknet.compiler.settings import read_settings
from sparknet.grammar import syntax
from sparknet.grammar.format import write
from sparknet.grammar.source import Source

Tree = TypeVar("Tree", bound=syntax.Node)


def standalone(
    file: syntax.File, source: Source, settings: Sequence[str], root: Path | None, typed: TypedNet
) -> Source:
    """The source of a net that checks, to be kept with what is made of it; as it is where nothing is to be changed.

    It names foreign models as `ForeignModel.stored`, in its own folder.
    """
    models = {
        (layer.place.source.name, layer.place.span): layer.model.stored
        for layer in (use.layer for use in typed.net.layers)
        if isinstance(layer, ForeignLayer)
    }
    if not settings and not models and not any(isinstance(item, syntax.Import) for item in file.items):
        return source
    given = read_settings(settings, [])
    found, _ = definitions(file, source, root, [])
    items: list[syntax.Item] = []
    for definition in found:
        item = _renamed(definition.item, definition.source.name, models)
        setting = given.lets.get(definition.name)
        items.append(item.model_copy(update={"value": setting.value}) if setting else item)
    changed, _ = given.put_into(file, source, [])
    for part in changed.items:
        if isinstance(part, syntax.Net | syntax.Section):
            items.append(_renamed(part, source.name, models))
    return Source(source.name, write(syntax.File(span=file.span, items=tuple(items))), source.folder)


def _renamed(tree: Tree, source: str, models: Mapping[tuple[str, syntax.Span], str]) -> Tree:
    """The tree with the texts that stand where `models` says replaced."""
    if not models:
        return tree
    if isinstance(tree, syntax.String):
        stored = models.get((source, tree.span))
        return tree.model_copy(update={"value": stored}) if stored else tree

    def inside(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(inside, value))
        return _renamed(value, source, models) if isinstance(value, syntax.Node) else value

    changes = {name: inside(value) for name, value in tree if name != "span"}
    return tree.model_copy(update=changes)
