"""SparkNet: neural networks on Spark from a short `.net` file, compiled to plain ONNX training graphs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparknet.compiler import check, compile
    from sparknet.grammar import SparkNetError
    from sparknet.runtime.model import Model, load, train
    from sparknet.runtime.tracking.mlflow import MLflow
    from sparknet.runtime.tracking.tensorboard import TensorBoard
    from sparknet.runtime.tuning.tune import tune

__version__ = "0.1.0"
__all__ = [
    "MLflow",
    "Model",
    "SparkNetError",
    "TensorBoard",
    "__version__",
    "check",
    "compile",
    "load",
    "train",
    "tune",
]

_HOMES = {
    "MLflow": "sparknet.runtime.tracking.mlflow",
    "Model": "sparknet.runtime.model",
    "SparkNetError": "sparknet.grammar",
    "TensorBoard": "sparknet.runtime.tracking.tensorboard",
    "check": "sparknet.compiler",
    "compile": "sparknet.compiler",
    "load": "sparknet.runtime.model",
    "train": "sparknet.runtime.model",
    "tune": "sparknet.runtime.tuning.tune",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is first asked for, so that the grammar alone costs neither numpy nor onnx."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
