"""Text of a `.net` file -> syntax tree, or diagnostics that say where and why not."""

from sparknet.grammar.codes import CODES
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.format import format_source, write
from sparknet.grammar.parse import parse, parse_file
from sparknet.grammar.reading import load
from sparknet.grammar.render import render, to_dict
from sparknet.grammar.schema import schema_text
from sparknet.grammar.source import Source
from sparknet.grammar.suggest import closest
from sparknet.grammar.syntax import File, Span

__all__ = [
    "CODES",
    "Diagnostic",
    "File",
    "Label",
    "Source",
    "Span",
    "SparkNetError",
    "closest",
    "format_source",
    "load",
    "parse",
    "parse_file",
    "render",
    "schema_text",
    "to_dict",
    "write",
]
