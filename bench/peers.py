"""Parts of PyTorch nets that several benchmarks put beside SparkNet's, as users of PyTorch write them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn


class Residual(nn.Module):
    """Two convolutions beside a short cut.

    SparkNet pads a stride of 2 at the far edge alone, as TensorFlow does. With `far_edge` the padding is written out,
    and the numbers are the same; without, PyTorch pads both edges: the same work, not the same numbers.
    """

    def __init__(self, channels: int, filters: int, stride: int = 1, far_edge: bool = False) -> None:
        super().__init__()
        self.short = nn.Sequential()
        if stride > 1:
            self.short = nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))
        written = far_edge and stride > 1
        self.body = nn.Sequential(
            *([nn.ZeroPad2d((0, 1, 0, 1))] if written else []),
            nn.Conv2d(channels, filters, 3, stride, 0 if written else 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.short(x))


class Recurrent(nn.Module):
    """A recurrent layer and a dense one on its last step."""

    def __init__(self, kind: type[nn.RNNBase], units: int, classes: int) -> None:
        super().__init__()
        self.loop, self.head = kind(8, units, batch_first=True), nn.Linear(units, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.loop(x)[0][:, -1])


def load(model: nn.Module, tensors: list[np.ndarray]) -> None:
    """Give a model SparkNet's tensors, in their order; only `nn.Linear` keeps its weights the other way round."""
    linear = {id(m.weight) for m in model.modules() if type(m) is nn.Linear}  # not the subclass in attention
    parameters = model.in_order() if hasattr(model, "in_order") else model.parameters()
    with torch.no_grad():
        for p, tensor in zip(parameters, tensors, strict=True):
            array = tensor.T if id(p) in linear else tensor
            assert p.shape == array.shape, "the nets are not the same"
            p.copy_(torch.from_numpy(array))
