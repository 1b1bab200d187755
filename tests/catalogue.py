"""Expected texts in files beside the inputs.

Run the tests with SPARKNET_UPDATE=1 to write them anew, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path


def check_text(expected: Path, found: str) -> None:
    """Compare `found` with the contents of `expected`, or replace them."""
    if os.environ.get("SPARKNET_UPDATE"):
        assert os.environ.get("CI") != "true", "SPARKNET_UPDATE in CI would make every test pass"
        expected.write_text(found, encoding="utf-8")
    assert expected.read_text(encoding="utf-8") == found
