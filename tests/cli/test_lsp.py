"""The language server, over a real connection: the command runs as a process and is spoken to in the protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from sparknet.compiler.layers import JOINS, LAYERS
from sparknet.lsp.complete import complete

ROOT = Path(__file__).parents[2]
NET = """\
let width = 8  # 🦆

block Twice(units, scale = 1) {
  dense(units * scale) -> relu
}

net N {
  input image: float[1, 4, 4]
  flatten
  Twice(width, scale: 2)
  code = dense(3)
  code -> softmax
  output digit: class[3]
}
"""


class Editor:
    """As much of an editor as the tests need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, "-c", "from sparknet.cli.main import main; main()", "lsp"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes)
        self.received: Queue[dict[str, Any]] = Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self._number = 0
        self.capabilities = self.ask("initialize", processId=os.getpid(), rootUri=folder.as_uri(), capabilities={})
        self.tell("initialized")

    def _read(self) -> None:
        stream = self.process.stdout
        while header := stream.readline():
            length = int(header.split(b":")[1])
            while stream.readline().strip():
                pass
            self.received.put(json.loads(stream.read(length)))

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
        self.process.stdin.flush()

    def tell(self, method: str, **params: object) -> None:
        self._send({"method": method, "params": params})

    def ask(self, method: str, **params: object) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while (message := self.received.get(timeout=60)).get("id") != self._number:
            pass
        assert "error" not in message, message
        return message["result"]

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def open(self, name: str, text: str) -> list[dict[str, Any]]:
        document = {"uri": self.uri(name), "languageId": "net", "version": 1, "text": text}
        self.tell("textDocument/didOpen", textDocument=document)
        return self.diagnostics(name)

    def change(self, name: str, version: int, text: str) -> None:
        document = {"uri": self.uri(name), "version": version}
        self.tell("textDocument/didChange", textDocument=document, contentChanges=[{"text": text}])

    def diagnostics(self, name: str) -> list[dict[str, Any]]:
        while True:
            message = self.received.get(timeout=60)
            is_wanted = message.get("method") == "textDocument/publishDiagnostics"
            if is_wanted and message["params"]["uri"] == self.uri(name):
                return message["params"]["diagnostics"]

    def edit(self, name: str, version: int, range: dict[str, Any], text: str) -> None:
        document = {"uri": self.uri(name), "version": version}
        changes = [{"range": range, "text": text}]
        self.tell("textDocument/didChange", textDocument=document, contentChanges=changes)

    def at(self, name: str, text: str, piece: str, plus: int = 0) -> dict[str, Any]:
        """Parameters that mean the place of `piece`."""
        return {"textDocument": {"uri": self.uri(name)}, "position": self.place(text, text.index(piece) + plus)}

    @staticmethod
    def place(text: str, offset: int) -> dict[str, int]:
        """A position, in UTF-16 units as the protocol has them."""
        before = text[text.rfind("\n", 0, offset) + 1 : offset]
        return {"line": text.count("\n", 0, offset), "character": len(before.encode("utf-16-le")) // 2}

    def close(self) -> int:
        self.ask("shutdown")
        self.tell("exit")
        status = self.process.wait(timeout=60)
        self.reader.join(timeout=60)
        self.process.stdin.close()
        self.process.stdout.close()
        return status


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    editor = Editor(tmp_path_factory.mktemp("nets"))
    yield editor
    assert editor.close() == 0


def test_errors_appear_and_go_while_one_types(editor: Editor) -> None:
    assert editor.open("a.net", NET) == []
    editor.change("a.net", 2, NET.replace("dense(3)", "dens(3)"))
    editor.change("a.net", 3, NET.replace("code = dense(3)", 'code = (8, 1, 1, 3, "🦆")').replace("class", "klass"))
    first, second = editor.diagnostics("a.net")
    place = {"start": {"line": 10, "character": 22}, "end": {"line": 10, "character": 26}}
    assert (first["code"], first["range"], first["source"]) == ("E0303", place, "sparknet")
    assert "help: one of `relu`" in first["message"]
    assert second["code"] == "E0404"
    editor.change("a.net", 4, NET)
    assert editor.diagnostics("a.net") == []


def test_an_error_in_an_imported_file_stands_at_the_use(editor: Editor) -> None:
    (editor.folder / "blocks.net").write_text("block Wrong { conv(3, 3x3) }\n")
    text = 'import "blocks.net"\n\nnet N {\n  input x: float[4]\n  Wrong\n  output y: float[4]\n}\n'
    (found,) = editor.open("b.net", text)
    assert found["range"]["start"] == {"line": 4, "character": 2}
    (related,) = found["relatedInformation"]
    assert related["location"] == {
        "uri": editor.uri("blocks.net"),
        "range": {"start": {"line": 0, "character": 14}, "end": {"line": 0, "character": 26}},
    }
    (editor.folder / "blocks.net").write_text("block Wrong { relu }\n")
    editor.tell("textDocument/didSave", textDocument={"uri": editor.uri("b.net")})
    assert editor.diagnostics("b.net") == []
    place = editor.ask("textDocument/definition", **editor.at("b.net", text, "Wrong\n"))
    assert (place["uri"], place["range"]["start"]["character"]) == (editor.uri("blocks.net"), 6)
    assert editor.ask("textDocument/definition", **editor.at("b.net", text, "blocks"))["uri"] == editor.uri(
        "blocks.net"
    )


def test_hover(editor: Editor) -> None:
    editor.open("c.net", NET)

    def shown(piece: str, plus: int = 0) -> str:
        return editor.ask("textDocument/hover", **editor.at("c.net", NET, piece, plus))["contents"]["value"]

    assert "`float[16]` to `float[3]`, 51 parameters, 48 multiply-adds" in shown("dense(3)", 1)
    assert "`float[16]` to `float[16]`" in shown("relu", 1)
    assert "block Twice(units, scale = 1)" in shown("Twice(width", 2)
    assert "let width = 8" in shown("width, scale", 1)
    editor.open("c.net", NET.replace("let width = 8", "let width = range(2, 8)"))
    assert "let width = range(2, 8)  # 5" in shown("width, scale", 1)
    assert editor.ask("textDocument/hover", **editor.at("c.net", NET, "\n\nnet N")) is None


def test_definitions(editor: Editor) -> None:
    editor.open("d.net", NET)

    def line(piece: str, plus: int = 1) -> int:
        return editor.ask("textDocument/definition", **editor.at("d.net", NET, piece, plus))["range"]["start"]["line"]

    assert [line("Twice(width"), line("width, scale"), line("code -> "), line("units * ")] == [2, 0, 10, 2]


def test_formatting(editor: Editor) -> None:
    editor.open("e.net", NET.replace("  flatten", " flatten").replace("dense(3)", "dense( 3 )"))
    options = {"tabSize": 2, "insertSpaces": True}
    (edit,) = editor.ask("textDocument/formatting", textDocument={"uri": editor.uri("e.net")}, options=options)
    assert edit["newText"] == NET.replace("8  # 🦆", "8                         # 🦆")
    assert edit["range"]["start"] == {"line": 0, "character": 0}
    editor.open("f.net", "net {")
    assert editor.ask("textDocument/formatting", textDocument={"uri": editor.uri("f.net")}, options=options) == []


def test_completion(editor: Editor) -> None:
    text = NET.replace("dense(3)", "dense(")
    editor.open("g.net", text)
    found = editor.ask("textDocument/completion", **editor.at("g.net", text, "dense(\n", 6))
    labels = [item["label"] for item in found]
    assert labels[: len(LAYERS["dense"].model_fields)] == list(LAYERS["dense"].model_fields)
    assert "relu" in labels


def proposed(text: str) -> set[str]:
    """What is proposed at the `|` in a text."""
    before, _, behind = text.partition("|")
    return {p.label for p in complete(before + behind, len(before))}


def test_what_is_proposed_where() -> None:
    body = "let n = 3\nblock B(a) { relu }\nnet N {\n  input x: float[3]\n  a = x -> relu\n"
    assert proposed("|") >= {"net", "block", "train"}
    assert proposed(body + "  |") >= {*LAYERS, *JOINS, "B", "x", "a", "in", "repeat", "output"}
    assert proposed(body + "  relu -> |") == {*LAYERS, *JOINS, "B"}
    assert proposed(body + "  conv(3, stride: 2, |") >= {"kernel", "pad", "n", "relu"}
    assert "stride" not in proposed(body + "  conv(3, stride: 2, |")
    assert proposed(body + "  add(|") >= {"x", "a"}
    assert proposed(body + "  output y: |") >= {"class", "float"}
    assert proposed(body + "  if n == 3 { relu } else { |") >= {*LAYERS}
    assert proposed(body + "  repeat 3 {\n    |\n  }\n") >= {*LAYERS}
    assert proposed(body + "}\ndata {\n  |") == {*("source", "split", "row_weight", "train", "validation", "test", "x")}
    assert proposed("train {\n  optimizer = |") >= {"adam", "sgd"}
    assert proposed("train {\n  optimizer = adam(|") >= {"lr"}
    assert proposed("train {\n  epochs = 3\n  |") >= {"batch", "optimizer"}
    assert proposed("train {\n  engine = |") == {"onnxruntime", "onnxruntime-training"}
    assert proposed("predict {\n  |") == {"input", "output", "keep"}
    assert proposed("let n = 3\nlet lr = |") == {"choose", "range", "n", "lr"}
    assert proposed("let lr = range(1, 2, |") >= {"log", "step"}
    assert proposed("train {\n  batch = |") == {"choose", "range"}
    assert proposed(body + "  # |") == proposed(body + '  conv("|') == set()


def test_completion_in_lists_of_phases() -> None:
    assert {"cosine", "step", "warmup"} <= proposed("train { schedule = | }")
    assert proposed("let size = 3\ntrain {\n schedule = [warmup(steps: 3), |\n}") == {"cosine", "step", "warmup"}
    assert "factor" in proposed("train {\n schedule = [step(|\n}")
    assert proposed("let size = 3\nnet N {\n crop([|\n}") == {"size"}
