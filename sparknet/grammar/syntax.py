"""The syntax tree of a `.net` file: plain frozen pydantic models, each with its span.

The tree says what was written, not what it means: `relu` is a `Call` whether it turns out to be a layer or the name of
a value, and `3x3` is `Dims` whether a layer accepts it or not. Trees go to JSON and back unchanged.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Span(BaseModel):
    """A half-open range of character offsets into one source text."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    start: int
    end: int


class Node(BaseModel):
    """Base of every tree node."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    span: Span


class Identifier(Node):
    """A name, as written."""

    kind: Literal["identifier"] = "identifier"
    text: str


# ----- expressions -----


class Number(Node):
    """An integer or a decimal: `3`, `0.001`, `1e-4`."""

    kind: Literal["number"] = "number"
    value: int | float


class String(Node):
    """A quoted text, its quotes and escapes resolved."""

    kind: Literal["string"] = "string"
    value: str


class Boolean(Node):
    """`true` or `false`."""

    kind: Literal["boolean"] = "boolean"
    value: bool


class Dims(Node):
    """Sizes joined by `x`: `3x3`, `1x1`, `2x2x2`."""

    kind: Literal["dims"] = "dims"
    sizes: tuple[int, ...]


class Name(Node):
    """A bare name in an expression: a let, a block's parameter, or a word such as `relu` or `same`."""

    kind: Literal["name"] = "name"
    text: str


class ListExpr(Node):
    """`[1, 2, 3]`."""

    kind: Literal["list"] = "list"
    items: tuple[Expr, ...]


class MapEntry(Node):
    """One `key: value` of a map."""

    key: Identifier
    value: Expr


class MapExpr(Node):
    """`{train: 0.8, test: 0.2}`."""

    kind: Literal["map"] = "map"
    entries: tuple[MapEntry, ...]


class Unary(Node):
    """`-a` or `not a`."""

    kind: Literal["unary"] = "unary"
    operator: Literal["-", "not"]
    operand: Expr


class Binary(Node):
    """An arithmetic, comparing or logical operator between two expressions."""

    kind: Literal["binary"] = "binary"
    operator: Literal["+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or"]
    left: Expr
    right: Expr


class Argument(Node):
    """One argument of a call: positional where `key` is None."""

    key: Identifier | None
    value: Expr


class Call(Node):
    """A name with optional arguments: `relu`, `maxpool(2)`, `adam(lr: 0.001)`.

    `arguments` is None where no parentheses were written: only in a chain, as an expression of that kind is a `Name`.
    """

    kind: Literal["call"] = "call"
    name: Identifier
    arguments: tuple[Argument, ...] | None


Expr = Annotated[
    Number | String | Boolean | Dims | Name | ListExpr | MapExpr | Unary | Binary | Call, Field(discriminator="kind")
]


# ----- the body of a net or a block -----


class LayerTuple(Node):
    """`(size, kh, kw, filters, "ACTIVATION")`, its items as written."""

    kind: Literal["tuple"] = "tuple"
    items: tuple[Expr, ...]


Step = Annotated[Call | LayerTuple, Field(discriminator="kind")]


class Chain(Node):
    """Steps joined by `->`; a line with a single step is a chain of one."""

    kind: Literal["chain"] = "chain"
    steps: tuple[Step, ...]


class Assign(Node):
    """`name = chain`."""

    kind: Literal["assign"] = "assign"
    name: Identifier
    value: Chain


class TypeExpr(Node):
    """The type of an input or an output: `float[1, 8, 8]`, `token[40, vocabulary: 5000]`, `class[10]`."""

    kind: Literal["type"] = "type"
    name: Identifier
    arguments: tuple[Argument, ...]


class LikeType(Node):
    """`like image`: an output that reconstructs an input."""

    kind: Literal["like"] = "like"
    name: Identifier


class Input(Node):
    """`input image: float[1, 8, 8]`."""

    kind: Literal["input"] = "input"
    name: Identifier
    type: TypeExpr


class Output(Node):
    """`output digit: class[10]`, or with a chain of its own: `output digit: class[10] = seen -> dense(10)`."""

    kind: Literal["output"] = "output"
    name: Identifier
    type: Annotated[TypeExpr | LikeType, Field(discriminator="kind")]
    value: Chain | None


class Repeat(Node):
    """`repeat 3 { ... }`."""

    kind: Literal["repeat"] = "repeat"
    count: Expr
    body: tuple[Statement, ...]


class If(Node):
    """`if condition { ... } else { ... }`; `else if` is an `If` as the only statement of `orelse`."""

    kind: Literal["if"] = "if"
    condition: Expr
    then: tuple[Statement, ...]
    orelse: tuple[Statement, ...]


class Part(Node):
    """`encoder { ... }` or `decoder { ... }`."""

    kind: Literal["part"] = "part"
    name: Identifier
    body: tuple[Statement, ...]


Statement = Annotated[Chain | Assign | Input | Output | Repeat | If | Part, Field(discriminator="kind")]


# ----- top level -----


class Import(Node):
    """`import "blocks.net"`."""

    kind: Literal["import"] = "import"
    path: String


class Let(Node):
    """`let width = 64`."""

    kind: Literal["let"] = "let"
    name: Identifier
    value: Expr


class Parameter(Node):
    """A parameter of a block, with its default if it has one."""

    name: Identifier
    default: Expr | None


class Block(Node):
    """`block Residual(channels, stride = 1) { ... }`."""

    kind: Literal["block"] = "block"
    name: Identifier
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


class Net(Node):
    """`net Digits { ... }`."""

    kind: Literal["net"] = "net"
    name: Identifier
    body: tuple[Statement, ...]


class Entry(Node):
    """`key = value` in a section."""

    key: Identifier
    value: Expr


class Section(Node):
    """`data { ... }`, `train { ... }` or `predict { ... }`."""

    kind: Literal["section"] = "section"
    name: Identifier
    entries: tuple[Entry, ...]


Item = Annotated[Import | Let | Block | Net | Section, Field(discriminator="kind")]


class File(Node):
    """A whole `.net` file."""

    kind: Literal["file"] = "file"
    items: tuple[Item, ...]
