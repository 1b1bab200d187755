"""temporary first driver."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from lark import Lark, Token, UnexpectedInput

from sparknet.grammar.build import Builder
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.source import Source
from sparknet.grammar.syntax import File, Span
from sparknet.grammar.tree import Reject


class P:
    always_accept = ("_NEWLINE",)

    def process(self, s):
        return s


@cache
def _lark():
    return Lark(
        files("sparknet.grammar").joinpath("net.lark").read_text(),
        start="file",
        parser="lalr",
        lexer="contextual",
        postlex=P(),
        maybe_placeholders=False,
        transformer=Builder(),
    )


def parse(source: Source | str, name: str = "<string>") -> File:
    if isinstance(source, str):
        source = Source(name, source)
    it = _lark().parse_interactive(source.text)
    state, depth, last = it.parser_state, [], None
    try:
        for token in it.lexer_thread.lex(state):
            t = token.type
            if t == "_NEWLINE":
                if last in (None, "_NEWLINE", "LBRACE") or (depth and depth[-1] != "LBRACE"):
                    continue
            elif t in ("LPAR", "LSQB", "LBRACE", "LMAP"):
                depth.append(t)
            elif t in ("RPAR", "RSQB", "RBRACE") and depth:
                depth.pop()
            state.feed_token(token)
            last = t
        file = state.feed_token(Token.new_borrow_pos("$END", "", token) if last else Token("$END", "", 0, 1, 1), True)
    except Reject as e:
        raise SparkNetError(
            [Diagnostic(e.code, e.message, labels=(Label(source, e.span),), helps=tuple(e.helps))]
        ) from None
    except UnexpectedInput as e:
        raise SparkNetError(
            [
                Diagnostic(
                    "E0101",
                    str(e).splitlines()[0],
                    labels=(Label(source, Span(start=e.pos_in_stream or 0, end=(e.pos_in_stream or 0) + 1)),),
                )
            ]
        ) from None
    return file.model_copy(update={"span": Span(start=0, end=len(source.text))})


def parse_file(path: str | Path) -> File:
    return parse(Source(str(path), Path(path).read_text(encoding="utf-8")))
