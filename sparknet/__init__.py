"""SparkNet: neural networks on Spark from a short `.net` file, compiled to plain ONNX training graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparknet.compiler import check, compile

__version__ = "0.1.0"
__all__ = ["__version__", "check", "compile"]


def __getattr__(name: str) -> Any:
    """Import the compiler when it is first asked for, so that the grammar alone costs neither numpy nor onnx."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sparknet import compiler

    return getattr(compiler, name)
