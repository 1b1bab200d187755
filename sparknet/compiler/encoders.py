"""What becomes of the cells of a column that holds no numbers: a frozen model for each way, with what it has learnt.

The runtime encodes cells as these models say, and a run keeps them as JSON.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LONGEST_CATEGORY = 1000
"""Characters of a category."""
LONGEST_WORD = 100
"""Characters of a word that a vocabulary holds; longer ones are unknown."""
RESERVED_TOKENS = 2
"""Token 0 fills up rows that are shorter than the input, token 1 stands for all that the vocabulary lacks."""

LONGEST_SIDE = 8192
"""Pixels of a side of an image as the net takes it."""
FRAMES_A_SECOND = 100
MOST_FRAMES = 3600 * FRAMES_A_SECOND
MOST_BANDS = 256

Size = Annotated[int, Field(ge=1, le=2**31 - 1)]
Category = Annotated[str, Field(max_length=LONGEST_CATEGORY)] | Annotated[int, Field(ge=-(2**63), lt=2**63)]


class Encoder(BaseModel):
    """Base of all encoders."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    @property
    def learns(self) -> int:
        """How many terms it wants to see of the training rows; 0 where it has nothing to learn, or has learnt it."""
        return 0


class Categories(Encoder):
    """A text or whole number as its place among `size` categories, or as so many numbers, 1 at that place, else 0."""

    kind: Literal["categories"] = "categories"
    size: Size
    one_hot: bool
    terms: tuple[Category, ...] | None = None
    """The categories, all texts or all whole numbers; None until they are learnt."""

    @property
    def learns(self) -> int:
        """How many terms it wants to see of the training rows: one more than it can take, which is one too many."""
        return 0 if self.terms is not None else self.size + 1

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.terms is not None and (len(self.terms) != self.size or len({*self.terms}) != self.size):
            raise ValueError(f"must be {self.size:,} different categories")
        if self.terms is not None and len({type(term) for term in self.terms}) > 1:
            raise ValueError("must be texts or whole numbers, not both")
        return self


class Tokens(Encoder):
    """A text as the tokens of its first `length` words or characters."""

    kind: Literal["tokens"] = "tokens"
    unit: Literal["words", "chars"]
    length: Size
    vocabulary: Annotated[int, Field(gt=RESERVED_TOKENS, le=2**31 - 1)]
    terms: tuple[Annotated[str, Field(min_length=1, max_length=LONGEST_WORD)], ...] | None = None
    """What the tokens from 2 on stand for; None until it is learnt."""

    @property
    def learns(self) -> int:
        """How many terms it wants to see of the training rows, the most frequent ones."""
        return 0 if self.terms is not None else self.vocabulary - RESERVED_TOKENS

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.terms is not None:
            if len(self.terms) > self.vocabulary - RESERVED_TOKENS:
                raise ValueError(f"must be at most {self.vocabulary - RESERVED_TOKENS:,}")
            if len({*self.terms}) < len(self.terms):
                raise ValueError("must all be different")
        return self


class Pixels(Encoder):
    """The bytes of an image file as its pixels, 0 to 255, channels first."""

    kind: Literal["pixels"] = "pixels"
    channels: Literal[1, 3]
    height: Annotated[int, Field(ge=1, le=LONGEST_SIDE)]
    width: Annotated[int, Field(ge=1, le=LONGEST_SIDE)]


class Spectrogram(Encoder):
    """The bytes of a recording as its log-mel spectrogram, `FRAMES_A_SECOND`, `mel` bands in each."""

    kind: Literal["spectrogram"] = "spectrogram"
    frames: Annotated[int, Field(ge=1, le=MOST_FRAMES)]
    mel: Annotated[int, Field(ge=1, le=MOST_BANDS)]


AnyEncoder = Annotated[Categories | Tokens | Pixels | Spectrogram, Field(discriminator="kind")]


class SavedBindings(BaseModel):
    """`bindings.json` of a run, and `sparknet.bindings` in the metadata of its inference graph: encoders by port."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    encoders: dict[Annotated[str, Field(max_length=1000)], AnyEncoder]
