"""Drawings as Mermaid flowcharts, which GitHub and many editors show inside Markdown."""

from __future__ import annotations

from sparknet.compiler.drawing.graph import Box, Drawing


def to_mermaid(drawing: Drawing) -> str:
    """The drawing as the text of a flowchart."""
    lines = ["flowchart TD"]
    open_frames: tuple[int, ...] = ()
    seen: set[int] = set()
    for number, box in enumerate(drawing.boxes):
        # A block is one run of boxes; if something of another block came between, the rest stands outside of a frame.
        frames = tuple(f for f in box.frames if f in open_frames or f not in seen)
        shared = sum(1 for a, b in zip(open_frames, frames, strict=False) if a == b)
        lines += ["  " * depth + "end" for depth in range(len(open_frames), shared, -1)]
        for depth, frame in enumerate(frames[shared:], start=shared + 1):
            lines.append("  " * depth + f'subgraph b{frame}["{_escape(drawing.frames[frame])}"]')
            seen.add(frame)
        open_frames = frames
        lines.append("  " * (len(frames) + 1) + _box(number, box))
    lines += ["  " * depth + "end" for depth in range(len(open_frames), 0, -1)]
    lines += [f"  n{a} --> n{b}" for a, b in drawing.edges]
    return "\n".join(lines) + "\n"


def _box(number: int, box: Box) -> str:
    opening, closing = ("([", "])") if box.kind == "port" else ("[", "]")
    return f'n{number}{opening}"{_escape(box.text)}<br/>{_escape(box.shape)}"{closing}'


def _escape(text: str) -> str:
    for character, name in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, name)
    return text
