"""Running compiled graphs in tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

Array = NDArray[Any]


class Graph:
    """A graph on stock ONNX Runtime, one thread."""

    def __init__(self, model: onnx.ModelProto) -> None:
        onnx.checker.check_model(model, full_check=True)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.outputs = [o.name for o in self.session.get_outputs()]

    def __call__(self, **feeds: Any) -> dict[str, Array]:
        feeds = {k: np.asarray(v, _scalar_type(k, v)) for k, v in feeds.items()}
        return dict(zip(self.outputs, self.session.run(None, feeds), strict=True))


def _scalar_type(name: str, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype
    return np.int64 if name == "seed" else np.float32
