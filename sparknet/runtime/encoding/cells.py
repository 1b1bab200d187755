"""Cells that hold no numbers, to the numbers that a port takes: one way for each kind of encoder."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sparknet.compiler.compiled import Port
from sparknet.compiler.encoders import AnyEncoder, Categories, Pixels, Spectrogram, Tokens
from sparknet.runtime.encoding.columns import BadCell, Column, Numbers, is_bytes, whole_type
from sparknet.runtime.encoding.terms import are_words, encode_categories, encode_texts, is_text


def accepts(encoder: AnyEncoder, kind: pa.DataType) -> bool:
    """Whether cells of a column of this type can be encoded; one of nulls alone is told row by row, if it has any."""
    if pa.types.is_null(kind):
        return True
    match encoder:
        case Tokens(unit="words"):
            return is_text(kind) or are_words(kind)
        case Tokens():
            return is_text(kind)
        case Categories(terms=None):
            return is_text(kind) or whole_type(kind)
        case Categories(terms=(str(), *_)):
            return is_text(kind)
        case Categories():
            return whole_type(kind)
        case Pixels() | Spectrogram():
            return is_bytes(kind)


def encode_cells(array: pa.Array, encoder: AnyEncoder, port: Port) -> Column:
    """The numbers that `port` takes, `[rows, size]`; zeros as long as the encoder has something to learn."""
    match encoder:
        case Tokens():
            return encode_texts(array, encoder, port)
        case Categories():
            return encode_categories(array, encoder)
        case Pixels() | Spectrogram():
            return _encode_media(array, encoder, port)


def _encode_media(array: pa.Array, encoder: Pixels | Spectrogram, port: Port) -> Column:
    """The files in the cells, one after the other; a broken one spoils its row alone."""
    from sparknet.runtime.encoding.images import MediaError

    bad = np.zeros(len(array), np.bool_)
    first: BadCell | None = None
    rows: list[Numbers] = []
    for row, cell in enumerate(array):
        try:
            if not cell.is_valid:
                raise MediaError("is null")
            rows.append(_decoded(cell.as_py(), encoder, port))
        except MediaError as error:
            bad[row] = True
            first = first or BadCell("R0028" if cell.is_valid else "R0010", row, str(error))
    empty = np.zeros((0, port.type.size), np.float32)
    return Column(None if first else np.stack(rows) if rows else empty, bad, first)


def _decoded(data: bytes, encoder: Pixels | Spectrogram, port: Port) -> Numbers:
    """Pillow and libsndfile are loaded where there is something for them to do."""
    if isinstance(encoder, Pixels):
        from sparknet.runtime.encoding.images import read_image

        return read_image(data, encoder)
    from sparknet.runtime.encoding.recordings import read_recording

    numbers, frames = read_recording(data, encoder)
    return numbers if port.measures is None else np.array([frames])
