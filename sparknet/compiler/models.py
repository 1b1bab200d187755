"""The ONNX models that a net names: found, read and checked, each file once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from sparknet.compiler.foreign.file import ForeignModel, ModelError
from sparknet.compiler.layers import ForeignLayer, Onnx
from sparknet.compiler.reach import MODEL, Reach
from sparknet.compiler.scope import Scope
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.reading import why_unreadable

MOST_FILES = 16


@dataclass
class Models:
    """The files that have been read, by their real paths."""

    reach: Reach
    _found: dict[str, ForeignModel] = field(default_factory=dict)

    def opened(self, layer: Onnx, step: syntax.Call, scope: Scope) -> ForeignLayer:
        """The layer with its model. Raises SparkNetError at the path.

        The path must stand in the layer itself: so a copy of the net beside copies of its models can be written.
        """
        written = {
            a.key.text if a.key else name: a.value for name, a in zip(_NAMES, step.arguments or (), strict=False)
        }
        path = written["file"]
        if not isinstance(path, syntax.String):
            raise scope.error("E0303", "the `file` of `onnx` must be written here, as a text in quotes", path)
        place = scope.label(path)
        named = scope.label(written["output"]) if "output" in written else scope.label(step)
        model = self._model(self.reach.find(path.value, scope.source, MODEL, (place,)), path.value, place)
        return ForeignLayer(**dict(layer), model=model, place=place, output_place=named)

    def _model(self, path: Path, name: str, place: Label) -> ForeignModel:
        from sparknet.compiler.foreign.reading import load_bytes, read_model

        real = os.path.realpath(path)
        if real in self._found:
            return self._found[real]
        if len(self._found) >= MOST_FILES:
            raise SparkNetError([Diagnostic("E0208", f"more than {MOST_FILES} models in one net", (place,))])
        try:
            self._found[real] = read_model(load_bytes(path))
        except OSError as error:
            message = f"cannot read `{name}`: {why_unreadable(path, error)}"
            raise SparkNetError([Diagnostic("E0210", message, (place,))]) from None
        except ModelError as error:
            helps = (error.help,) if error.help else ()
            message = f"`{name}` cannot be used: {error.message}"
            raise SparkNetError([Diagnostic("E0213", message, (place,), (), helps)]) from None
        return self._found[real]


_NAMES = ("file", "output", "frozen")
"""The arguments of `onnx`, in order."""
