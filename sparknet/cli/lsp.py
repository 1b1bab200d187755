"""`sparknet lsp`."""

from __future__ import annotations

from sparknet.grammar import Diagnostic, SparkNetError


def start() -> None:
    """Serve an editor over the standard input and output; raises SparkNetError where pygls is missing."""
    try:
        from sparknet.lsp.server import serve
    except ModuleNotFoundError as error:
        if error.name not in {"pygls", "lsprotocol"}:
            raise
        help = "install it with `pip install 'sparknet[lsp]'`"
        raise SparkNetError([Diagnostic("E0128", "the language server needs `pygls`", helps=(help,))]) from None
    serve()
