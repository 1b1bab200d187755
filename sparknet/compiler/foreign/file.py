"""A file of a model, and what is wrong with it; needs neither numpy nor onnx."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import onnx

Place = Literal["file", "output"]


class ModelError(Exception):
    """A model that cannot be a layer: `message` says why, `help` what to change, `at` which argument is to blame."""

    def __init__(self, message: str, help: str | None = None, at: Place = "file") -> None:
        super().__init__(message)
        self.message = message
        self.help = help
        self.at = at


@dataclass(frozen=True, eq=False)
class ForeignModel:
    """A file that holds nothing unsafe. `stored` is what a run folder calls its copy."""

    data: bytes = field(repr=False)
    proto: onnx.ModelProto = field(repr=False)
    digest: str

    @property
    def stored(self) -> str:
        """The name of a copy, which says what it holds."""
        return f"model_{self.digest[:16]}.onnx"

    @property
    def opsets(self) -> Mapping[str, int]:
        """Versions of the operator sets, by domain."""
        return {entry.domain.removeprefix("ai.onnx") or "": entry.version for entry in self.proto.opset_import}


def shown(name: str) -> str:
    """A name from the file as messages show it."""
    printable = "".join(c if c.isprintable() and c != "`" else "?" for c in name)
    return printable if len(printable) <= 60 else f"{printable[:60]}…"
