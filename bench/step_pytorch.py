"""The nets of bench/step.py in PyTorch, as its users write them; parameters in the order of SparkNet's vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from peers import Recurrent, Residual, load
from torch import Tensor, nn


class Encoder(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.more = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = self.before(x)
        x = x + self.attention(seen, seen, seen, need_weights=False)[0]
        return x + self.more(x)


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(16, 64)
        self.positions = nn.Parameter(torch.empty(64, 64))
        self.blocks = nn.Sequential(Encoder(64, 4), Encoder(64, 4), nn.LayerNorm(64))
        self.head = nn.Linear(64, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.inside(x) + self.positions).mean(1))

    def in_order(self) -> Iterator[nn.Parameter]:
        """`parameters()` begins with those that are no module's."""
        yield from (*self.inside.parameters(), self.positions, *self.blocks.parameters(), *self.head.parameters())


def _dense(*sizes: int) -> nn.Sequential:
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


MODELS: dict[str, Callable[[], nn.Module]] = {
    "perceptron 64": lambda: _dense(64, 128, 64, 10),
    "perceptron 784": lambda: _dense(784, 512, 512, 10),
    "CNN": lambda: nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), *_dense(64 * 7 * 7, 128, 10),
    ),
    # SparkNet pads a stride of 2 at the far edge only, PyTorch at both: the same work, not the same numbers
    "residual": lambda: nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Residual(16, 16), Residual(16, 32, 2), Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    ),
    "LSTM": lambda: Recurrent(nn.LSTM, 100, 6),
    "GRU": lambda: Recurrent(nn.GRU, 100, 6),
    "RNN": lambda: Recurrent(nn.RNN, 100, 6),
    "dense autoencoder": lambda: nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 32), nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 784),
    ),
    "convolutional autoencoder": lambda: nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1),
    ),
    "transformer": Transformer,
}  # fmt: skip
"""By the beginning of the net's name; the sigmoid of an autoencoder is in its loss, as SparkNet puts it too."""


def stepper(
    name: str, tensors: list[np.ndarray], data: dict[str, np.ndarray], threads: int, compiled: bool
) -> Callable[[int], float]:
    """One training step on the k-th batch, which gives its loss."""
    torch.set_num_threads(threads)
    model = next(make for start, make in MODELS.items() if name.startswith(start))()
    load(model, tensors)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    x = torch.from_numpy(data["x"])
    labels = torch.from_numpy(data["label"]) if "label" in data else None

    def loss_of(x: Tensor, label: Tensor | None) -> Tensor:
        y = model(x)
        return F.binary_cross_entropy_with_logits(y, x) if label is None else F.cross_entropy(y, label)

    if compiled:
        loss_of = torch.compile(loss_of)

    def step(k: int) -> float:
        optimizer.zero_grad()
        loss = loss_of(x[k], None if labels is None else labels[k])
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
