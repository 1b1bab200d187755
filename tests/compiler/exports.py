"""Models that PyTorch and scikit-learn export, as the tests of foreign models train them further."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Small(nn.Module):
    """A convolutional net with what one usually has: normalisation, pooling, dropout, a view by the batch's size."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 3, padding=1, stride=2)
        self.drop = nn.Dropout(0.3)
        self.hidden = nn.Linear(24, 12)
        self.flat = nn.BatchNorm1d(12)
        self.last = nn.Linear(12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(torch.relu(self.norm(self.first(x))), 2)
        x = F.hardswish(self.second(x))
        x = self.drop(x.view(x.size(0), -1))
        return self.last(F.gelu(self.flat(self.hidden(x))))


def small() -> Small:
    """For inference, with running statistics that are not those of the start."""
    torch.manual_seed(0)
    net = Small()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(8, 1, 8, 8) + 0.5)
    return net.eval()


class Looking(nn.Module):
    """A layer of a transformer on a sequence [5, 8] behind a trained first step, which is what is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.empty(1, 1, 8))
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, dropout=0.2)
        self.last = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.start.expand(x.shape[0], -1, -1), x], 1)
        return self.last(self.encoder(x)[:, 0])


def looking() -> Looking:
    """For inference; no two tensors are equal, as the exporter would merge them."""
    torch.manual_seed(0)
    net = Looking().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.3)
    return net


def export(module: nn.Module, path: Path, *row: int, whole: bool = True, opset: int = 20, **more: Any) -> None:
    """Write a module as ONNX for batches of any size; `whole` keeps operators apart that the exporter would join."""
    options: dict[str, Any] = {"dynamic_axes": {"x": {0: "batch"}}, "opset_version": opset, **more}
    if whole:
        options |= {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter is the old one; the new one needs onnxscript
        torch.onnx.export(
            module, (torch.zeros(2, *row),), buffer, dynamo=False, input_names=["x"], output_names=["y"], **options
        )
    path.write_bytes(buffer.getvalue())


def classifier(path: Path) -> tuple[Any, Any, Any]:
    """A perceptron of scikit-learn, written to `path`, and what it was fitted to."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    pixels, digits = load_digits(return_X_y=True)
    rows, digits = (pixels[:300] / 16).astype(np.float32), digits[:300]
    fitted = MLPClassifier((16,), max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(rows, digits)
    model = to_onnx(fitted, initial_types=[("x", FloatTensorType([None, 64]))])
    path.write_bytes(model.SerializeToString())
    return fitted, rows, digits
