"""Where rows come from and where scores go: a frozen pydantic model for each `name(arguments)` that can be written."""

from __future__ import annotations

import json
import re
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Setting(BaseModel):
    """Base of everything that is written as `name(arguments)` in a section."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, defer_build=True)


class DataSource(Setting):
    """Base of all sources of rows."""

    name: ClassVar[str]

    def __str__(self) -> str:
        """As it is written in a file."""
        given = {key: value for key in type(self).model_fields if (value := getattr(self, key)) != self._default(key)}
        first = next(iter(type(self).model_fields), "")
        parts = [f"{'' if key == first else key + ': '}{json.dumps(value)}" for key, value in given.items()]
        return f"{self.name}({', '.join(parts)})"

    def _default(self, key: str) -> object:
        return type(self).model_fields[key].default


# ----- small sets that scikit-learn carries -----


class BuiltInSource(DataSource):
    """A set that an installed package carries."""


class DigitsSource(BuiltInSource):
    """1,797 handwritten digits: `pixels`, 64 numbers from 0 to 16 (8 x 8), and `label`, 0 to 9."""

    name = "digits"


class IrisSource(BuiltInSource):
    """150 flowers: `sepal_length`, `sepal_width`, `petal_length`, `petal_width`, and `species`, 0 to 2."""

    name = "iris"


class WineSource(BuiltInSource):
    """178 wines: 13 measurements such as `alcohol`, and `cultivar`, 0 to 2."""

    name = "wine"


class BreastCancerSource(BuiltInSource):
    """569 tumours: 30 measurements such as `mean_radius`, and `benign`, 0 or 1."""

    name = "breast_cancer"


class DiabetesSource(BuiltInSource):
    """442 patients: 10 measurements such as `age` and `bmi`, and `progression`, a number from 25 to 346."""

    name = "diabetes"


# ----- files -----


class FileSource(DataSource):
    """A file, or a folder of files."""

    path: str


class ParquetSource(FileSource):
    """A Parquet file, or a folder of them."""

    name = "parquet"


class OrcSource(FileSource):
    """An ORC file, or a folder of them."""

    name = "orc"


class CsvSource(FileSource):
    """A CSV file, or a folder of them. Without a `header` the columns are `_c0`, `_c1`, ..."""

    name = "csv"
    header: bool = True
    separator: str = ","
    quote: str = '"'
    """What stands around texts; nothing where it is empty."""
    null: str = ""
    """A field that is null, as an empty one always is."""

    @field_validator("separator", "quote")
    @classmethod
    def _one_character(cls, value: str) -> str:
        if len(value) > 1 or not value.isascii() or value in ("\n", "\r", "\0"):
            raise ValueError(f"must be one ASCII character, found `{json.dumps(value)}`")
        return value

    @field_validator("separator")
    @classmethod
    def _some_character(cls, value: str) -> str:
        if not value:
            raise ValueError("must be one ASCII character, found none")
        return value


class JsonSource(FileSource):
    """A file of JSON lines, or a folder of them."""

    name = "json"


class LibsvmSource(FileSource):
    """A LIBSVM file, or a folder of them: `label`, and `features`, a sparse vector."""

    name = "libsvm"
    features: int | None = Field(None, ge=1, le=2**31 - 1)
    """How many features a row has; None for as many as the largest index says."""


class TextSource(FileSource):
    """A text file, or a folder of them: a row a line, in the column `text`."""

    name = "text"


class MediaSource(FileSource):
    """A folder, a row a file: its bytes, `label`, the name of the file's own folder, and `path` within the folder."""

    column: ClassVar[str]
    """The column of the bytes."""
    suffixes: ClassVar[tuple[str, ...]]


class ImagesSource(MediaSource):
    """A folder of images: `image`, the bytes of a file, `label`, the name of its folder, and `path`."""

    name = "images"
    column = "image"
    suffixes = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")


class AudioSource(MediaSource):
    """A folder of recordings: `audio`, the bytes of a file, `label`, the name of its folder, and `path`."""

    name = "audio"
    column = "audio"
    suffixes = (".wav", ".flac", ".ogg", ".mp3")


# ----- Spark's catalog -----


class TableSource(DataSource):
    """A table or view that Spark's catalog knows."""

    name = "table"
    table: str

    @field_validator("table")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*){0,3}", value):
            raise ValueError(
                f"must be the name of a table, such as `rows` or `warehouse.rows`, found `{json.dumps(value)}`"
            )
        return value


SOURCES: dict[str, type[DataSource]] = {
    source.name: source
    for source in (
        ParquetSource,
        CsvSource,
        JsonSource,
        OrcSource,
        LibsvmSource,
        TextSource,
        ImagesSource,
        AudioSource,
        TableSource,
        DigitsSource,
        IrisSource,
        WineSource,
        BreastCancerSource,
        DiabetesSource,
    )
}


def reader(path: str) -> str:
    """The call that reads a file, as far as its name tells."""
    kind = path.rpartition(".")[2]
    return f'{kind if kind in ("csv", "json", "orc", "libsvm") else "parquet"}("{path}")'


# ----- where scores go -----


class DataSink(Setting):
    """Base of what scores are written as: one file, or from Spark a folder of them."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    path: str

    @field_validator("path")
    @classmethod
    def _suffix(cls, path: str) -> str:
        if not path.endswith(cls.suffixes):
            raise ValueError(f"must end in {' or '.join(f'`{s}`' for s in cls.suffixes)}, found {json.dumps(path)}")
        return path


class ParquetSink(DataSink):
    """Parquet."""

    name = "parquet"
    suffixes = (".parquet",)


class JsonSink(DataSink):
    """JSON lines."""

    name = "json"
    suffixes = (".json", ".jsonl")


class CsvSink(DataSink):
    """CSV with a header; lists that a net gives become a column for each number."""

    name = "csv"
    suffixes = (".csv",)


class OrcSink(DataSink):
    """ORC."""

    name = "orc"
    suffixes = (".orc",)


SINKS: dict[str, type[DataSink]] = {s.name: s for s in (ParquetSink, JsonSink, CsvSink, OrcSink)}
