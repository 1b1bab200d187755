"""The compiler: `.net` text to ONNX graphs. Knows nothing of Spark, so other tools can embed it."""

from __future__ import annotations

from sparknet.compiler.compile import compile
from sparknet.compiler.compiled import CompiledNet, LayerRow, Port, Prediction
from sparknet.compiler.layout import Slot

__all__ = ["CompiledNet", "LayerRow", "Port", "Prediction", "Slot", "compile"]
