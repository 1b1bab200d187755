"""The functions of bindings: a frozen pydantic model for each, its fields the arguments behind the column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from sparknet.compiler.encoders import (
    FRAMES_A_SECOND,
    LONGEST_CATEGORY,
    LONGEST_SIDE,
    MOST_BANDS,
    MOST_FRAMES,
    RESERVED_TOKENS,
    AnyEncoder,
    Categories,
    Pixels,
    Spectrogram,
    Tokens,
)
from sparknet.compiler.net import NetOutput, OutputKind
from sparknet.compiler.sources import Setting
from sparknet.compiler.types import TensorType


@dataclass(frozen=True)
class Fed:
    """What a binding feeds: an input, an output of a `kind`, or the weights of rows; a row of it has `type`."""

    name: str
    type: TensorType
    kind: OutputKind | Literal["weight"] | None = None
    classes: int = 0

    @classmethod
    def output(cls, output: NetOutput) -> Fed:
        """An output's target."""
        if output.kind == "class":
            return cls(output.name, TensorType("int64", ()), output.kind, output.size)
        return cls(output.name, TensorType("float32", output.shape), output.kind)

    @property
    def kept(self) -> str | None:
        """What is taken as it stands in the column, without arithmetic; None where there may be some."""
        if self.kind is not None:
            return "a weight" if self.kind == "weight" else "an output"
        return "tokens" if self.type.vocabulary is not None else None

    @property
    def takes(self) -> str:
        """The declared type, for messages."""
        if self.kind == "weight":
            return "float"
        return f"class[{self.classes}]" if self.kind == "class" else str(self.type)


class MisfitError(Exception):
    """A function does not fit what it feeds: `argument` is the one to blame, None for the function itself."""

    def __init__(self, message: str, help: str | None = None, argument: str | None = None) -> None:
        super().__init__(message)
        self.message, self.help, self.argument = message, help, argument


class Function(Setting):
    """Base of the functions that encode one column."""

    name: ClassVar[str]
    example: ClassVar[str]
    divisor: ClassVar[float] = 1.0
    """What the graphs divide the encoded numbers by."""

    def encoder(self, port: Fed) -> AnyEncoder | None:
        """How the column's cells become what `port` takes; raises MisfitError."""
        raise NotImplementedError

    def needs(self, fits: bool, what: str, port: Fed) -> None:
        """Raise MisfitError unless the function `fits` the port, which should be `what`."""
        if not fits:
            raise MisfitError(f"`{self.name}` feeds {what}, but `{port.name}` is `{port.takes}`")


def _categories(value: object) -> object:
    """A list of texts or of whole numbers, all different."""
    kinds = {type(item) for item in value} if isinstance(value, tuple) else set()
    if not isinstance(value, tuple) or kinds not in ({str}, {int}):
        raise ValueError('must be a list of texts or of whole numbers, such as `["cat", "dog"]`')
    if len({*value}) < len(value):
        raise ValueError("must all be different")
    if any(isinstance(item, str) and len(item) > LONGEST_CATEGORY for item in value):
        raise ValueError(f"must have at most {LONGEST_CATEGORY:,} characters each")
    return value


class Column(Function):
    """What a column holds; for a class, its labels."""

    name = "column"
    example = 'column("name")'
    labels: tuple[str | int, ...] | None = None

    _check = field_validator("labels", mode="before")(_categories)

    def encoder(self, port: Fed) -> AnyEncoder | None:
        """As `Function.encoder`; labels that are not given are learnt if the column turns out to hold texts."""
        if self.labels is None:
            return None
        if port.kind != "class":
            raise MisfitError(f"`labels` name classes, but `{port.name}` is `{port.takes}`", None, "labels")
        if len(self.labels) != port.classes:
            message = f"`labels` are {len(self.labels):,}, but `{port.name}` is `{port.takes}`"
            raise MisfitError(message, "name each class once", "labels")
        return Categories(size=port.classes, one_hot=False, terms=self.labels)


class OneHot(Function):
    """As many numbers as there are categories, 1 for the category of the row and 0 for all others."""

    name = "onehot"
    example = 'onehot(column("color"))'
    categories: tuple[str | int, ...] | None = None

    _check = field_validator("categories", mode="before")(_categories)

    def encoder(self, port: Fed) -> AnyEncoder:
        """As `Function.encoder`."""
        fits = port.kind is None and port.type.vocabulary is None and len(port.type.shape) == 1
        self.needs(fits, "an input such as `float[3]`", port)
        if self.categories is not None and len(self.categories) != port.type.size:
            message = f"`categories` are {len(self.categories):,}, but `{port.name}` is `{port.takes}`"
            raise MisfitError(message, "a number of the input stands for each", "categories")
        return Categories(size=port.type.size, one_hot=True, terms=self.categories)


class _Text(Function):
    length: int | None = Field(None, ge=1)
    vocabulary: int | None = Field(None, gt=RESERVED_TOKENS)

    def encoder(self, port: Fed) -> AnyEncoder:
        """As `Function.encoder`; length and vocabulary are those of the input, and may be said again."""
        fits = port.kind is None and port.type.vocabulary is not None and len(port.type.shape) == 1
        self.needs(fits, "an input such as `token[60, vocabulary: 5000]`", port)
        length, vocabulary = port.type.shape[0], port.type.vocabulary or 0
        for argument, given, declared in (
            ("length", self.length, length),
            ("vocabulary", self.vocabulary, vocabulary),
        ):
            if given is not None and given != declared:
                message = f"`{argument}` is {given:,}, but `{port.name}` is `{port.takes}`"
                raise MisfitError(message, f"leave it out: it is that of the input, {declared:,}", argument)
        if vocabulary <= RESERVED_TOKENS:
            message = f"`{self.name}` needs a vocabulary above {RESERVED_TOKENS}, but `{port.name}` is `{port.takes}`"
            raise MisfitError(message, "token 0 is padding, token 1 what the vocabulary lacks")
        return Tokens(unit="words" if self.name == "words" else "chars", length=length, vocabulary=vocabulary)


class Words(_Text):
    """The words of a text as tokens."""

    name = "words"
    example = 'words(column("text"))'


class Chars(_Text):
    """The characters of a text as tokens."""

    name = "chars"
    example = 'chars(column("text"))'


class Image(Function):
    """The pixels of an image file."""

    name = "image"
    example = 'image(column("image"))'
    divisor = 255.0
    size: tuple[int, int] | None = None
    gray: bool | None = None

    @field_validator("size", mode="before")
    @classmethod
    def _sides(cls, value: object) -> object:
        sides = value if isinstance(value, tuple) else (value, value)
        if len(sides) != 2 or not all(type(side) is int and 1 <= side <= LONGEST_SIDE for side in sides):
            raise ValueError(f"must be a side or `height x width`, such as `32` or `32x48`, at most {LONGEST_SIDE:,}")
        return sides

    def encoder(self, port: Fed) -> AnyEncoder:
        """As `Function.encoder`; size and color are those of the input, and may be said again."""
        shape = port.type.shape
        fits = port.kind is None and port.type.vocabulary is None and len(shape) == 3 and shape[0] in (1, 3)
        self.needs(fits, "an input `float[3, height, width]`, or `float[1, height, width]` in gray", port)
        channels, *sides = shape
        if self.size is not None and self.size != tuple(sides):
            message = f"`size` is {self.size[0]}x{self.size[1]}, but `{port.name}` is `{port.takes}`"
            raise MisfitError(message, f"leave it out: it is that of the input, {sides[0]}x{sides[1]}", "size")
        if self.gray is not None and self.gray != (channels == 1):
            message = f"`gray` is {str(self.gray).lower()}, but `{port.name}` is `{port.takes}`"
            raise MisfitError(message, "leave it out: an input with one channel is gray, one with three is not", "gray")
        if max(sides) > LONGEST_SIDE:
            raise MisfitError(
                f"an image has at most {LONGEST_SIDE:,} pixels a side, but `{port.name}` is `{port.takes}`"
            )
        return Pixels(channels=3 if channels == 3 else 1, height=sides[0], width=sides[1])


class Audio(Function):
    """The log-mel spectrogram of a recording."""

    name = "audio"
    example = 'audio(column("audio"))'
    mel: int | None = Field(None, ge=1, le=MOST_BANDS)
    seconds: float | None = Field(None, gt=0, le=MOST_FRAMES / FRAMES_A_SECOND)

    def encoder(self, port: Fed) -> AnyEncoder:
        """As `Function.encoder`; the bands and the length are those of the input, and may be said again."""
        shape = port.type.shape
        fits = port.kind is None and port.type.vocabulary is None and len(shape) == 2
        fits = fits and shape[0] <= MOST_FRAMES and shape[1] <= MOST_BANDS
        self.needs(fits, f"an input `float[frames, mel]` of at most {MOST_FRAMES:,} and {MOST_BANDS}", port)
        frames, mel = shape
        if self.mel is not None and self.mel != mel:
            message = f"`mel` is {self.mel}, but `{port.name}` is `{port.takes}`"
            raise MisfitError(message, f"leave it out: it is that of the input, {mel}", "mel")
        if self.seconds is not None and round(self.seconds * FRAMES_A_SECOND) != frames:
            message = f"`seconds` are {self.seconds:g}, but `{port.name}` is `{port.takes}`"
            help = f"there are {FRAMES_A_SECOND} frames a second: leave it out, or declare {{}} frames"
            raise MisfitError(message, help.format(round(self.seconds * FRAMES_A_SECOND)), "seconds")
        return Spectrogram(frames=frames, mel=mel)


class Standardize(Setting):
    """The numbers less their mean, divided by their standard deviation, both those of the training rows."""

    name: ClassVar[str] = "standardize"
    axis: int | None = Field(None, ge=0)

    def axis_of(self, port: Fed) -> int:
        """The axis along which each place has a mean of its own: that of channels or features, unless it is given."""
        if port.kind is not None or port.type.vocabulary is not None:
            what = port.kept if port.kind is not None else f"`{port.takes}`"
            help = "bind the column as it is" if port.kind is not None else None
            raise MisfitError(f"`standardize` feeds an input of numbers, but `{port.name}` is {what}", help)
        rank = len(port.type.shape)
        if self.axis is not None and self.axis >= rank:
            message = f"`axis` is {self.axis}, but `{port.name}` is `{port.takes}`"
            raise MisfitError(message, f"its axes are 0 to {rank - 1}" if rank > 1 else "its one axis is 0", "axis")
        if self.axis == 0 and port.type.lengths is not None:
            raise MisfitError("steps of rows that vary in length have no means of their own", None, "axis")
        return self.axis if self.axis is not None else int(rank == 2)


FUNCTIONS: dict[str, type[Function]] = {f.name: f for f in (OneHot, Words, Chars, Image, Audio)}
"""Functions around a column, by name."""
