"""What the engine `onnxruntime` computes, as `reference.py` wrote it to the file that SPARKNET_REFERENCE names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def reference(kind: str) -> list[dict[str, Any]]:
    """The nets, and what the other engine makes of them: in `steps` on random batches, in `runs` on their data."""
    if "SPARKNET_REFERENCE" not in os.environ:
        pytest.exit("SPARKNET_REFERENCE must name a file that `python -m tests_training.reference FILE` wrote", 2)
    found: dict[str, list[dict[str, Any]]] = json.loads(Path(os.environ["SPARKNET_REFERENCE"]).read_text("utf-8"))
    return found[kind]
