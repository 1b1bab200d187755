"""The server itself: messages of the protocol to the questions that the other files answer, and back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from sparknet import __version__
from sparknet.grammar import Diagnostic, Label, Source, Span, SparkNetError, format_source, syntax
from sparknet.grammar.spell import Speller
from sparknet.lsp.complete import Proposal, complete
from sparknet.lsp.document import Document
from sparknet.lsp.hover import hover

_PAUSE = 0.1
"""Seconds without typing before a text is checked."""

_KINDS = {
    "keyword": types.CompletionItemKind.Keyword,
    "layer": types.CompletionItemKind.Function,
    "block": types.CompletionItemKind.Class,
    "value": types.CompletionItemKind.Variable,
    "argument": types.CompletionItemKind.Field,
    "word": types.CompletionItemKind.EnumMember,
    "key": types.CompletionItemKind.Property,
}


def make_server() -> LanguageServer:
    """A server with all features, ready to be started."""
    server = LanguageServer("sparknet", __version__)
    files = _Files(server)

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        files.publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(_: types.DidSaveTextDocumentParams) -> None:
        # What one file imports another may have changed.
        for uri in list(server.workspace.text_documents):
            files.publish(uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(params: types.DidChangeTextDocumentParams) -> None:
        uri, version = params.text_document.uri, params.text_document.version
        await asyncio.sleep(_PAUSE)
        document = server.workspace.text_documents.get(uri)
        if document is not None and document.version == version:
            files.publish(uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        files.forget(uri)
        server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri=uri, diagnostics=[]))

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=["(", ">", "=", ":"]))
    def completion(params: types.CompletionParams) -> list[types.CompletionItem]:
        document = files.document(params.text_document.uri)
        offset = files.offset(document, params.position)
        return [_item(p) for p in complete(document.source.text, offset, _blocks(document))]

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(params: types.HoverParams) -> types.Hover | None:
        document = files.document(params.text_document.uri)
        text = hover(document, files.offset(document, params.position))
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text)) if text else None

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> types.Location | None:
        document = files.document(params.text_document.uri)
        place = document.definition_at(files.offset(document, params.position))
        if place is None:
            return None
        uri = params.text_document.uri if place.source is document.source else _uri(place.source)
        return types.Location(uri, files.range(place.source, place.span))

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: types.DocumentFormattingParams) -> list[types.TextEdit]:
        source = files.document(params.text_document.uri).source
        try:
            text = format_source(source)
        except SparkNetError:
            return []
        whole = files.range(source, Span(start=0, end=len(source.text)))
        return [] if text == source.text else [types.TextEdit(whole, text)]

    return server


class _Files:
    """The open files, and their places in the units that the editor counts in."""

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self._documents: dict[str, tuple[str, Document]] = {}

    def document(self, uri: str) -> Document:
        """What is known about a file as it stands in the editor."""
        text = self._server.workspace.get_text_document(uri).source
        kept = self._documents.get(uri)
        # What is imported may have changed on the disk, so only the same text in the same moment is worth keeping.
        if kept is None or kept[0] != text:
            kept = text, Document(_path(uri), text)
            self._documents[uri] = kept
        return kept[1]

    def forget(self, uri: str) -> None:
        """A file was closed."""
        self._documents.pop(uri, None)

    def publish(self, uri: str) -> None:
        """Check a file and send what is wrong with it."""
        self.forget(uri)
        document = self.document(uri)
        diagnostics = [self._diagnostic(d, document.source, uri) for d in document.problems]
        version = self._server.workspace.get_text_document(uri).version
        self._server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, diagnostics, version))

    def offset(self, document: Document, position: types.Position) -> int:
        """The character that a position means."""
        lines = document.source.text.split("\n")
        if position.line >= len(lines):
            return len(document.source.text)
        codec = self._server.workspace.position_codec
        column = codec.position_from_client_units(lines, position).character
        return sum(len(line) + 1 for line in lines[: position.line]) + min(column, len(lines[position.line]))

    def range(self, source: Source, span: Span) -> types.Range:
        """A span as the editor counts it."""
        codec = self._server.workspace.position_codec
        lines = source.text.split("\n")

        def position(offset: int) -> types.Position:
            line, column = source.line_column(offset)
            return codec.position_to_client_units(lines, types.Position(line - 1, column - 1))

        return types.Range(position(span.start), position(span.end))

    def _diagnostic(self, diagnostic: Diagnostic, source: Source, uri: str) -> types.Diagnostic:
        own = next((label for label in diagnostic.labels if label.source is source), None)
        others = [label for label in diagnostic.labels if label is not own]
        return types.Diagnostic(
            range=self.range(source, own.span if own else Span(start=0, end=0)),
            message="\n".join([diagnostic.message, *diagnostic.notes, *(f"help: {h}" for h in diagnostic.helps)]),
            severity=types.DiagnosticSeverity.Error,
            code=diagnostic.code,
            source="sparknet",
            related_information=[self._related(label, source, uri) for label in others] or None,
        )

    def _related(self, label: Label, source: Source, uri: str) -> types.DiagnosticRelatedInformation:
        place = types.Location(
            uri if label.source is source else _uri(label.source), self.range(label.source, label.span)
        )
        return types.DiagnosticRelatedInformation(place, label.text or "here")


def _item(proposal: Proposal) -> types.CompletionItem:
    return types.CompletionItem(
        label=proposal.label,
        kind=_KINDS[proposal.kind],
        detail=proposal.detail or None,
        insert_text=proposal.insert or None,
    )


def _blocks(document: Document) -> dict[str, str]:
    """The blocks of a file that parses and of what it imports, with their parameters."""
    spell = Speller()
    return {
        name: f"({', '.join(map(spell.parameter, definition.item.parameters))})"
        for name, definition in document.definitions.items()
        if isinstance(definition.item, syntax.Block)
    }


def _path(uri: str) -> Path | None:
    parts = urlparse(uri)
    return Path(url2pathname(unquote(parts.path))) if parts.scheme == "file" else None


def _uri(source: Source) -> str:
    return Path(source.name).absolute().as_uri()


def serve() -> None:
    """Talk to an editor over the standard input and output, until it says goodbye."""
    make_server().start_io()
