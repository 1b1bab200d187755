"""The formatter: a tree as text in the one layout that there is, with the comments of the text it came from.

The author decides where a chain goes on in a new line, where a blank line stands and whether a body of one statement
is written in one line; everything else follows from the tree.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparknet.grammar import syntax as s
from sparknet.grammar.page import INDENT, WIDTH
from sparknet.grammar.parse import parse
from sparknet.grammar.source import Source
from sparknet.grammar.spell import is_else_if
from sparknet.grammar.writer import Writer

_HANGING = 12
"""An arrow that begins a line stands below the first one of its chain, if that is no further in than this."""

_WIDEST = 40
"""Longer names and types are not padded to one length."""


def format_source(source: Source | str) -> str:
    """The text in its one layout: the same tree, the same comments.

    Raises:
        SparkNetError: Where the text does not parse.
    """
    source = Source("<string>", source) if isinstance(source, str) else source
    return _Printer(source.text).file(parse(source))


def write(file: s.File) -> str:
    """A tree that never was a text, as formatted text; its spans mean nothing."""
    return _Printer(None).file(file)


class _Printer(Writer):
    """Walks through a tree and its comments, both in the order of the text."""

    # ----- top level -----

    def file(self, file: s.File) -> str:
        """Items, those of several lines apart from their neighbours."""
        was_tall = False
        for item in file.items:
            is_tall = self._inline_item(item) is None
            leads = self.comments.between(0, item.span.start)
            begin = leads[0].start if leads and self.text is not None else item.span.start
            if was_tall or is_tall or self.blank_before(begin):
                self.page.blank()
            if was_tall or is_tall:
                self.page.regroup()
            self.leads(item, 0, first=True)
            self.page.open(0)
            self._item(item)
            self.end_line(item.span.end)
            was_tall = is_tall
        if self.text is not None:
            if was_tall:
                self.page.regroup()
            self.rest(len(self.text) + 1, 0, first=self.page.at_begin)
        return self.page.text()

    def _item(self, item: s.Item) -> None:
        flat = self._inline_item(item)
        if flat is not None:
            self.page.write(flat)
            return
        match item:
            case s.Let():
                self.page.write(f"let {item.name.text} = ")
                self.expression(item.value, 0)
            case s.Net():
                self.page.write(f"net {item.name.text} ")
                self._body(item.body, 0, item.name.span.end, item.span.end - 1)
            case s.Block():
                self._block(item)
            case s.Section():
                self._section(item)

    def _inline_item(self, item: s.Item) -> str | None:
        """An item in one line, or None where it takes several."""
        match item:
            case s.Import():
                return f"import {self.spell.expression(item.path)}"
            case s.Let():
                flat: str | None = f"let {item.name.text} = {self.spell.expression(item.value)}"
            case s.Net():
                flat = self._inline(f"net {item.name.text} ", self.spell.body(item.body), item, len(item.body))
            case s.Block():
                parameters = ", ".join(map(self.spell.parameter, item.parameters))
                head = f"block {item.name.text}" + (f"({parameters}) " if parameters else " ")
                flat = self._inline(head, self.spell.body(item.body), item, len(item.body))
            case s.Section():
                entries = [f"{e.key.text} = {self.spell.expression(e.value)}" for e in item.entries]
                body = (f"{{ {entries[0]} }}" if entries else "{}") if len(entries) < 2 else None
                flat = self._inline(f"{item.name.text} ", body, item, len(entries))
        if flat is None or len(flat) > WIDTH or self.comments.between(item.span.start, item.span.end):
            return None
        return flat

    def _inline(self, head: str, body: str | None, node: s.Node, size: int) -> str | None:
        """Head and body in one line where the author has them so; of trees without a text, only what is empty."""
        if body is None or (size and (self.text is None or self._spans_lines(node))):
            return None
        return head + body

    def _block(self, item: s.Block) -> None:
        self.page.write(f"block {item.name.text}")
        end = item.name.span.end
        if item.parameters:
            begin, end = item.name.span.end, self._parenthesis(item)
            flat = f"({', '.join(map(self.spell.parameter, item.parameters))})"
            if self.fits(flat) and not self.comments.between(begin, end):
                self.page.write(flat)
            else:
                self.bracketed(("(", item.parameters, ")"), 0, begin, end)
        self.page.write(" ")
        self._body(item.body, 0, end, item.span.end - 1)

    def _parenthesis(self, item: s.Block) -> int:
        """A place behind the parameters and before the body: that of the `{`, which no comment hides."""
        place = item.parameters[-1].span.end
        if self.text is None:
            return place
        for comment in self.comments.between(place, item.span.end):
            brace = self.text.find("{", place, comment.start)
            if brace >= 0:
                return brace
            place = comment.start + len(comment.text)
        return self.text.find("{", place)

    def _section(self, item: s.Section) -> None:
        self.page.write(f"{item.name.text} {{")
        begin = item.entries[0].span.start if item.entries else item.span.end - 1
        self.end_line(item.name.span.end, begin)
        width = max((len(entry.key.text) for entry in item.entries), default=0)
        for position, entry in enumerate(item.entries):
            self.leads(entry, INDENT, first=position == 0)
            self.page.open(INDENT)
            self.page.write(f"{entry.key.text:<{width}} = ")
            self.expression(entry.value, INDENT)
            self.end_line(entry.span.end, item.span.end - 1)
        self.rest(item.span.end - 1, INDENT, first=not item.entries)
        self.page.open(0)
        self.page.write("}")

    # ----- bodies and statements -----

    def _body(self, body: Sequence[s.Statement], indent: int, head: int, end: int) -> None:
        """`{`, the statements, `}`; the head ends at the offset `head`, the `}` stands at `end`."""
        if not body and not self.comments.between(head, end):
            self.page.write("{}")
            return
        self.page.write("{")
        self.end_line(head, body[0].span.start if body else end)
        self._statements(body, indent + INDENT, end)
        self.rest(end, indent + INDENT, first=not body)
        self.page.open(indent)
        self.page.write("}")

    def _statements(self, body: Sequence[s.Statement], indent: int, end: int) -> None:
        widths = self._port_widths(body)
        for position, statement in enumerate(body):
            self.leads(statement, indent, first=position == 0)
            self.page.open(indent)
            self._statement(statement, indent, widths[position])
            following = body[position + 1].span.start if position + 1 < len(body) else end
            self.end_line(statement.span.end, following)

    def _statement(self, node: s.Statement, indent: int, widths: tuple[int, int]) -> None:
        if isinstance(node, s.Repeat | s.If | s.Part):
            flat = self.spell.statement(node)
            if flat is not None and self.fits(flat) and self._is_inline(node):
                self.page.write(flat)
                return
        match node:
            case s.Chain():
                self._chain(node, indent)
            case s.Assign():
                self.page.write(f"{node.name.text} = ")
                self._chain(node.value, indent)
            case s.Input():
                self._port("input", node, indent, widths)
            case s.Output():
                self._port("output", node, indent, widths)
                if node.value:
                    self.page.write(" = ")
                    self._chain(node.value, indent)
            case s.Repeat():
                self.page.write("repeat ")
                self.expression(node.count, indent)
                self.page.write(" ")
                self._body(node.body, indent, node.count.span.end, node.span.end - 1)
            case s.Part():
                self.page.write(f"{node.name.text} ")
                self._body(node.body, indent, node.name.span.end, node.span.end - 1)
            case s.If():
                self._if(node, indent)

    def _if(self, node: s.If, indent: int) -> None:
        while True:
            self.page.write("if ")
            self.expression(node.condition, indent)
            self.page.write(" {")
            brace = self._brace(node)
            self.end_line(node.condition.span.end, node.then[0].span.start if node.then else brace)
            self._statements(node.then, indent + INDENT, brace)
            self.rest(brace, indent + INDENT, first=not node.then)
            self.page.open(indent)
            self.page.write("}")
            if not node.orelse:
                return
            self.page.write(" else ")
            if not is_else_if(node):
                break
            (inner,) = node.orelse
            assert isinstance(inner, s.If)  # noqa: S101 - `is_else_if` says so
            self.hoist(self.comments.between(brace, inner.condition.span.start), indent + INDENT)
            node = inner
        self.page.write("{")
        self.end_line(brace, node.orelse[0].span.start)
        self._statements(node.orelse, indent + INDENT, node.span.end - 1)
        self.rest(node.span.end - 1, indent + INDENT, first=False)
        self.page.open(indent)
        self.page.write("}")

    def _brace(self, node: s.If) -> int:
        """Where the `}` behind the first branch stands, or the place before which its comments must be."""
        if not node.orelse:
            return node.span.end - 1
        begin = node.then[-1].span.end if node.then else node.condition.span.end
        if self.text is None:
            return begin
        place = begin
        end = node.orelse[0].span.start
        skipped = self.comments.between(begin, end)
        for comment in skipped:
            brace = self.text.find("}", place, comment.start)
            if brace >= 0:
                return brace
            place = comment.start + len(comment.text)
        brace = self.text.find("}", place, end)
        return brace if brace >= 0 else end

    def _port(self, word: str, node: s.Input | s.Output, indent: int, widths: tuple[int, int]) -> None:
        self.page.write(f"{word} {f'{node.name.text}:':<{widths[0] + 1}} ")
        kind = node.type
        flat = self.spell.type(kind)
        if isinstance(kind, s.TypeExpr) and kind.arguments and not self.is_flat(flat, kind.span):
            self.page.write(kind.name.text)
            self.bracketed(("[", kind.arguments, "]"), indent, kind.name.span.end, kind.span.end)
        else:
            self.page.write(flat.ljust(widths[1]) if isinstance(node, s.Output) and node.value else flat)

    def _port_widths(self, body: Sequence[s.Statement]) -> list[tuple[int, int]]:
        """For inputs and outputs in neighbouring lines, the widths of their names and of the types before a `=`."""
        widths = [(0, 0)] * len(body)
        first = 0
        while first < len(body):
            last = first + 1
            while last < len(body) and self._goes_with(body[last - 1], body[last]):
                last += 1
            run = [node for node in body[first:last] if isinstance(node, s.Input | s.Output)]
            if run:
                names = max(len(node.name.text) for node in run)
                kinds = (len(self.spell.type(n.type)) for n in run if isinstance(n, s.Output) and n.value)
                pair = names, max(kinds, default=0)
                widths[first:last] = [pair if max(pair) <= _WIDEST else (0, 0)] * (last - first)
            first = last
        return widths

    def _goes_with(self, above: s.Statement, below: s.Statement) -> bool:
        if type(above) is not type(below) or not isinstance(below, s.Input | s.Output):
            return False
        between = self.comments.between(above.span.end, below.span.start)
        return not any(comment.alone for comment in between) and not self.blank_before(below.span.start)

    # ----- chains -----

    def _chain(self, chain: s.Chain, indent: int) -> None:
        hanging = 0
        for position, step in enumerate(chain.steps):
            if position:
                before = chain.steps[position - 1].span.end
                comments = self.comments.between(before, step.span.start)
                is_split = bool(comments) or (self.text is not None and "\n" in self.text[before : step.span.start])
                fits = self.page.column + len(f" -> {self.spell.step(step)}") <= WIDTH
                if is_split or not fits:
                    hanging = hanging or indent + INDENT
                    self.end_line(before, step.span.start)
                    self.rest(step.span.start, hanging, first=True)
                    self.page.open(hanging)
                    self.page.write("-> ")
                else:
                    first_arrow = self.page.column + 1
                    hanging = hanging or (first_arrow if first_arrow <= indent + _HANGING else indent + INDENT)
                    self.page.write(" -> ")
            self._step(step, hanging or indent)

    def _step(self, step: s.Step, indent: int) -> None:
        flat = self.spell.step(step)
        if self.is_flat(flat, step.span):
            self.page.write(flat)
        elif isinstance(step, s.LayerTuple):
            self.bracketed(("(", step.items, ")"), indent, step.span.start, step.span.end)
        else:
            self.expression(step, indent)

    # ----- one line or several -----

    def _spans_lines(self, node: s.Node) -> bool:
        return self.text is not None and "\n" in self.text[node.span.start : node.span.end]

    def _is_inline(self, node: s.Repeat | s.If | s.Part) -> bool:
        """Whether a statement with a body goes in one line."""
        if self.comments.between(node.span.start, node.span.end):
            return False
        if self.text is not None:
            return not self._spans_lines(node)
        bodies = (*node.then, *node.orelse) if isinstance(node, s.If) else node.body
        return all(isinstance(inner, s.Chain | s.Assign) for inner in bodies)
