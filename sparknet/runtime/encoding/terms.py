"""Categories and texts as numbers, and the terms (categories, words, characters) that encoders learn.

Texts are brought to one form first, so that the same text in another spelling of Unicode gives the same tokens. Words
are runs of letters, digits, underscores and apostrophes between them, of the text in NFKC and folded to one case;
characters are those of the text in NFC, in the case that they have. Of combining characters in a row, 30 count. A list
of texts, as Spark's `Tokenizer` makes it, has its words already: they stay as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from unicodedata import combining, normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknet.compiler.compiled import Port
from sparknet.compiler.encoders import (
    LONGEST_CATEGORY,
    LONGEST_WORD,
    RESERVED_TOKENS,
    Categories,
    Tokens,
)
from sparknet.runtime.encoding.columns import BadCell, Column, show

UNKNOWN_TOKEN = 1

_MOST_MARKS = 30
"""Combining characters in a row that count, as in Unicode's stream-safe text: to order more takes quadratic time."""
_PLANES_OF_MARKS = 0x20000
"""All of them are below."""
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def are_words(kind: pa.DataType) -> bool:
    """Whether a row of a column of this type is a list of texts."""
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists) and is_text(kind.value_type)


def identities(array: pa.Array) -> list[bytes]:
    """What tells a cell from others, whatever has been learnt."""
    return [cell if isinstance(cell, bytes) else str(cell).encode() for cell in plain(array).to_pylist()]


def plain(array: pa.Array) -> pa.Array:
    """A column of the types that are told apart here."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_boolean(array.type):
        return array.cast(pa.int8())
    return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array


# ----- categories -----


def encode_categories(array: pa.Array, encoder: Categories) -> Column:
    """The place of each cell among the categories, `[rows, 1]`, or its row of zeros and a one, `[rows, size]`."""
    array = plain(array)
    bad = np.asarray(array.is_null(), np.bool_)
    rows, texts = len(array), pa.types.is_string(array.type)
    code, text = "R0010", "is null"
    if texts:
        long = np.asarray(pc.greater(pc.fill_null(pc.utf8_length(array), 0), LONGEST_CATEGORY), np.bool_)
        if long.any() and not bad[: int(np.argmax(long))].any():
            code, text = "R0012", f"has more than the {LONGEST_CATEGORY:,} characters of a category"
        bad = bad | long
    index = np.zeros(rows, np.int64)
    if encoder.terms is not None:
        kind = pa.string() if isinstance(encoder.terms[0], str) else pa.int64()
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


def pieces_of(text: str | list[str], encoder: Tokens) -> list[str]:
    """The first `length` words or characters of a text, or of the words of a list, of which empty ones are none.

    Spark's `Tokenizer` makes those where two blanks stand side by side.
    """
    if isinstance(text, list):
        return [word for word in text if word][: encoder.length]
    if not text.isascii():
        text = _marks().sub(r"\1", text)
    if encoder.unit == "chars":
        return list(normalize("NFC", text)[: encoder.length])
    folded = normalize("NFKC", normalize("NFKC", text).casefold())
    return [match[0] for match in islice(_WORD.finditer(folded), encoder.length)]


@lru_cache(maxsize=1)
def _marks() -> re.Pattern[str]:
    """More combining characters in a row than count, those that do as a group."""
    mark = f"[{''.join(chr(point) for point in range(_PLANES_OF_MARKS) if combining(chr(point)))}]"
    return re.compile(f"({mark}{{{_MOST_MARKS}}}){mark}+")


@lru_cache(maxsize=8)
def _places(terms: tuple[str, ...]) -> Mapping[str, int]:
    return {term: place for place, term in enumerate(terms, RESERVED_TOKENS)}


def encode_texts(array: pa.Array, encoder: Tokens, port: Port) -> Column:
    """Tokens of each text, `[rows, length]`; for a port that measures, how many, `[rows, 1]`.

    A text without a piece counts as one token of padding: a sequence has a step.
    """
    array = plain(array)
    bad = np.asarray(array.is_null(), np.bool_)
    if bad.any():
        return Column(None, bad, BadCell("R0010", int(np.argmax(bad)), "is null"))
    if are_words(array.type):
        bad = np.array([None in cell for cell in array.to_pylist()], np.bool_)
        if bad.any():
            return Column(None, bad, BadCell("R0010", int(np.argmax(bad)), "has a null among its words"))
    if port.measures is None and encoder.terms is None:
        return Column(np.zeros((len(array), encoder.length), np.int64), bad)
    rows = [pieces_of(text, encoder) for text in array.to_pylist()]
    if port.measures is not None:
        return Column(np.array([max(1, len(row)) for row in rows], np.int64).reshape(-1, 1), bad)
    found = np.zeros((len(rows), encoder.length), np.int64)
    if encoder.terms is not None:
        places = _places(encoder.terms)
        for index, row in enumerate(rows):
            found[index, : len(row)] = [places.get(piece, UNKNOWN_TOKEN) for piece in row]
    return Column(found, bad)


# ----- learning -----


def terms_of(array: pa.Array, encoder: Categories | Tokens) -> list[list[str]]:
    """What an encoder may learn from each cell."""
    cells = plain(array).to_pylist()
    if not isinstance(encoder, Tokens):
        return [[str(cell)] for cell in cells]
    return [[piece for piece in pieces_of(cell, encoder) if len(piece) <= LONGEST_WORD] for cell in cells]


def most_frequent(counts: Counter[str], most: int) -> list[str]:
    """The terms that occur most often, those that do so equally often in the order of their characters."""
    return sorted(counts, key=lambda term: (-counts[term], term))[:most]


def taught(encoder: Categories | Tokens, found: Sequence[str], texts: bool) -> Categories | Tokens:
    """The encoder with what it has learnt: categories in their own order, a vocabulary by frequency.

    Raises ValueError where the categories are more or fewer than they should be.
    """
    if isinstance(encoder, Tokens):
        return encoder.model_copy(update={"terms": tuple(found)})
    if len(found) != encoder.size:
        raise ValueError("another number of categories")
    terms: tuple[str | int, ...] = tuple(sorted(found)) if texts else tuple(sorted(map(int, found)))
    return encoder.model_copy(update={"terms": terms})
