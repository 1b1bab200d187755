"""The compiler: `.net` text to ONNX graphs. Knows nothing of Spark, so other tools can embed it.

`check` needs neither numpy nor onnx; what does is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparknet.compiler.checking import check
    from sparknet.compiler.compile import compile
    from sparknet.compiler.compiled import CompiledNet, LayerRow, Port, Prediction
    from sparknet.compiler.layout import Slot

__all__ = ["CompiledNet", "LayerRow", "Port", "Prediction", "Slot", "check", "compile"]

_HOMES = {
    "CompiledNet": "compiled",
    "LayerRow": "compiled",
    "Port": "compiled",
    "Prediction": "compiled",
    "Slot": "layout",
    "check": "checking",
    "compile": "compile",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, once; the function `compile` then stands in place of its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
