"""Categories and texts as numbers, and the terms (categories, words, characters) that encoders learn.

Texts are brought to one form first, so that the same text in another spelling of Unicode gives the same tokens. Words
are runs of letters, digits, underscores and apostrophes between them, of the text in NFKC and folded to one case;
characters are those of the text in NFC, in the case that they have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknet.compiler.compiled import Port
from sparknet.compiler.encoders import (
    LONGEST_CATEGORY,
    LONGEST_WORD,
    RESERVED_TOKENS,
    AnyEncoder,
    Categories,
    Tokens,
)
from sparknet.runtime.columns import BadCell, Column, show, whole_type

UNKNOWN_TOKEN = 1

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def accepts(encoder: AnyEncoder, kind: pa.DataType) -> bool:
    """Whether cells of a column of this type can be encoded."""
    if isinstance(encoder, Tokens):
        return is_text(kind)
    if encoder.terms is not None:
        return is_text(kind) if isinstance(encoder.terms[0], str) else whole_type(kind)
    return is_text(kind) or whole_type(kind)


def encode_cells(array: pa.Array, encoder: AnyEncoder, port: Port) -> Column:
    """The numbers that `port` takes, `[rows, size]`; zeros as long as the encoder has nothing learnt."""
    array = _plain(array)
    bad = np.asarray(array.is_null(), np.bool_)
    if isinstance(encoder, Tokens):
        first = BadCell("R0010", int(np.argmax(bad)), "is null") if bad.any() else None
        return Column(None if first else _tokens(array, encoder, port), bad, first)
    return _categories(array, encoder, bad)


def identities(array: pa.Array) -> list[bytes]:
    """What tells a cell from others, whatever has been learnt."""
    return [cell if isinstance(cell, bytes) else str(cell).encode() for cell in _plain(array).to_pylist()]


def _plain(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_boolean(array.type):
        return array.cast(pa.int8())
    return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array


# ----- categories -----


def _categories(array: pa.Array, encoder: Categories, bad: np.typing.NDArray[np.bool_]) -> Column:
    rows, texts = len(array), pa.types.is_string(array.type)
    code, text = "R0010", "is null"
    if texts:
        long = np.asarray(pc.greater(pc.fill_null(pc.utf8_length(array), 0), LONGEST_CATEGORY), np.bool_)
        if long.any() and not bad[: int(np.argmax(long))].any():
            code, text = "R0012", f"has more than the {LONGEST_CATEGORY:,} characters of a category"
        bad = bad | long
    index = np.zeros(rows, np.int64)
    if encoder.terms is not None:
        kind = pa.string() if texts else pa.int64()
        found = pc.index_in(array.cast(kind), pa.array(encoder.terms, kind))
        unknown = np.asarray(found.is_null(), np.bool_)
        if unknown.any() and not bad[: int(np.argmax(unknown)) + 1].any():
            code, text = "R0019", f"is {show(array[int(np.argmax(unknown))])}"
        bad = bad | unknown
        index = np.asarray(pc.fill_null(found, 0), np.int64)
    if bad.any():
        return Column(None, bad, BadCell(code, int(np.argmax(bad)), text))
    if not encoder.one_hot:
        return Column(index[:, None], bad)
    hot = np.zeros((rows, encoder.size), np.uint8)
    hot[np.arange(rows), index] = encoder.terms is not None
    return Column(hot, bad)


# ----- texts -----


def pieces_of(text: str, encoder: Tokens) -> list[str]:
    """The first `length` words or characters of a text."""
    if encoder.unit == "chars":
        return list(normalize("NFC", text)[: encoder.length])
    folded = normalize("NFKC", normalize("NFKC", text).casefold())
    return [match[0] for match in islice(_WORD.finditer(folded), encoder.length)]


@lru_cache(maxsize=8)
def _places(terms: tuple[str, ...]) -> Mapping[str, int]:
    return {term: place for place, term in enumerate(terms, RESERVED_TOKENS)}


def _tokens(array: pa.Array, encoder: Tokens, port: Port) -> np.typing.NDArray[np.int64]:
    """Tokens of each text, `[rows, length]`; for a port that measures, how many, `[rows, 1]`.

    A text without a piece counts as one token of padding: a sequence has a step.
    """
    if port.measures is None and encoder.terms is None:
        return np.zeros((len(array), encoder.length), np.int64)
    rows = [pieces_of(text, encoder) for text in array.to_pylist()]
    if port.measures is not None:
        return np.array([max(1, len(row)) for row in rows], np.int64).reshape(-1, 1)
    found = np.zeros((len(rows), encoder.length), np.int64)
    if encoder.terms is not None:
        places = _places(encoder.terms)
        for index, row in enumerate(rows):
            found[index, : len(row)] = [places.get(piece, UNKNOWN_TOKEN) for piece in row]
    return found


# ----- learning -----


def terms_of(array: pa.Array, encoder: AnyEncoder) -> list[list[str]]:
    """What an encoder may learn from each cell."""
    cells = _plain(array).to_pylist()
    if isinstance(encoder, Categories):
        return [[str(cell)] for cell in cells]
    return [[piece for piece in pieces_of(cell, encoder) if len(piece) <= LONGEST_WORD] for cell in cells]


def most_frequent(counts: Counter[str], most: int) -> list[str]:
    """The terms that occur most often, those that do so equally often in the order of their characters."""
    return sorted(counts, key=lambda term: (-counts[term], term))[:most]


def taught(encoder: AnyEncoder, found: Sequence[str], texts: bool) -> AnyEncoder:
    """The encoder with what it has learnt: categories in their own order, a vocabulary by frequency.

    Raises ValueError where the categories are more or fewer than they should be.
    """
    if isinstance(encoder, Tokens):
        return encoder.model_copy(update={"terms": tuple(found)})
    if len(found) != encoder.size:
        raise ValueError("another number of categories")
    terms: tuple[str | int, ...] = tuple(sorted(found)) if texts else tuple(sorted(map(int, found)))
    return encoder.model_copy(update={"terms": terms})
