"""SparkNet: neural networks on Spark from a short `.net` file, compiled to plain ONNX training graphs."""

from __future__ import annotations

from sparknet.compiler import compile

__version__ = "0.1.0"
__all__ = ["__version__", "compile"]
