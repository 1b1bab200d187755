"""A net as one text of its own: what it imports and what was set on the command line written into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparknet.compiler.definitions import definitions
from sparknet.compiler.settings import read_settings
from sparknet.grammar import syntax
from sparknet.grammar.format import write
from sparknet.grammar.source import Source


def standalone(file: syntax.File, source: Source, settings: Sequence[str], root: Path | None) -> Source:
    """The source of a net that checks, to be kept with what is made of it; as it is where nothing is to be added."""
    if not settings and not any(isinstance(item, syntax.Import) for item in file.items):
        return source
    given = read_settings(settings, [])
    found, _ = definitions(file, source, root, [])
    items: list[syntax.Item] = []
    for definition in found:
        item = definition.item
        setting = given.lets.get(definition.name)
        items.append(item.model_copy(update={"value": setting.value}) if setting else item)
    changed, _ = given.put_into(file, source)
    items += [item for item in changed.items if isinstance(item, syntax.Net | syntax.Section)]
    return Source(source.name, write(syntax.File(span=file.span, items=tuple(items))), source.folder)
