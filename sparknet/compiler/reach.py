"""Which files a `.net` file may name: those below one folder, the root that was given or else its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.source import Source


@dataclass(frozen=True)
class Kind:
    """What messages call a file that is named, and how one is written."""

    name: str
    verb: str
    example: str


IMPORT = Kind("an import", "import", 'import "blocks.net"')
MODEL = Kind("a model", "name", 'onnx("model.onnx")')


class Reach:
    """The folder that paths may reach from the file that is compiled and those that it imports."""

    def __init__(self, source: Source, root: Path | None) -> None:
        self._root = root
        self._folder = source.folder
        folder = root or source.folder
        self._allowed = None if folder is None else Path(os.path.realpath(folder))

    def find(self, path: str, source: Source, kind: Kind, labels: Sequence[Label]) -> Path:
        """The file that a path in `source` means, whether it exists or not; raises SparkNetError at `labels`.

        It starts from the folder of `source`, or from the root.
        """
        if self._allowed is None:
            message = f"a text that is no file can {kind.verb} nothing"
            raise _error("E0210", message, labels, "give the folder as the root")
        if self._root is not None and not self._root.is_dir():
            what = "is a file, not a folder" if self._root.exists() else "is not there"
            message = f"the root `{self._root}`, below which files may be reached, {what}"
            raise _error("E0212", message, labels, "give a folder with `--root`")
        if not path or "\0" in path or os.path.isabs(path) or "\\" in path:
            message = f"{kind.name} is the path of a file, from the folder of this one, with `/`"
            raise _error("E0210", message, labels, f"write for instance `{kind.example}`")
        tries = [folder / path for folder in (source.folder, self._root) if folder is not None]
        inside = [t for t in tries if Path(os.path.realpath(t)).is_relative_to(self._allowed)]
        if not inside:
            where = self._root or self._folder or "."
            message = f'"{path}" lies outside of `{where}`, the folder that imports may reach'
            raise _error("E0212", message, labels, "give a folder further up with `--root`")
        return next((t for t in inside if t.is_file()), inside[0])


def _error(code: str, message: str, labels: Sequence[Label], help: str) -> SparkNetError:
    return SparkNetError([Diagnostic(code, message, tuple(labels), (), (help,))])
