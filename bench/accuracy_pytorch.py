"""The nets of bench/accuracy.py in PyTorch, as its users write them, and a plain loop that trains them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray
from peers import Recurrent, Residual, load
from torch import Tensor, nn

torch.set_num_threads(1)
Batch = tuple[NDArray[np.float32], NDArray[np.int64] | None]
"""Inputs as the column holds them, and labels unless the target is the input."""


class Dropout(nn.Dropout):
    """PyTorch's, except while it is given masks: then the next of them."""

    masks: Iterator[NDArray[np.float32]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.masks is not None:
            return x * torch.from_numpy(next(self.masks))
        return super().forward(x)


class Transformer(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.inside = nn.Linear(8, width)
        self.positions = nn.Parameter(torch.empty(8, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inside(x) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))

    def in_order(self) -> Iterator[nn.Parameter]:
        """Layer by layer; `parameters()` puts a block's norms last."""
        yield from (*self.inside.parameters(), self.positions)
        for b in self.blocks:
            for part in (b.norm1, b.self_attn, b.norm2, b.linear1, b.linear2):
                yield from part.parameters()
        yield from (*self.norm.parameters(), *self.head.parameters())


MODELS: dict[str, Callable[[], nn.Module]] = {
    "CNN": lambda: nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), Dropout(0.3), nn.Linear(128, 10),
    ),
    "residual": lambda: nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Residual(16, 16), Residual(16, 32, 2, far_edge=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    ),
    "RNN": lambda: Recurrent(nn.RNN, 64, 10),
    "LSTM": lambda: Recurrent(nn.LSTM, 64, 10),
    "GRU": lambda: Recurrent(nn.GRU, 64, 10),
    "transformer": Transformer,
    "autoencoder": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8),
        nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)),
    ),
    "conv. autoencoder": lambda: nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 8),
        nn.Linear(8, 128), nn.ReLU(), nn.Unflatten(1, (32, 2, 2)),
        nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, 1),
    ),
}  # fmt: skip
"""The last sigmoid of an autoencoder is in its loss, where SparkNet too puts it."""


@dataclass(frozen=True)
class Training:
    """Adam, or AdamW where there is a weight decay; `warmup` in steps, 0 for a constant rate; `clip` by norm."""

    lr: float
    steps: int
    weight_decay: float = 0.0
    warmup: int = 0
    clip: float | None = None


class Peer:
    """A model with the weights that SparkNet's vector begins with, and its optimizer."""

    def __init__(self, name: str, tensors: list[NDArray[np.float32]], training: Training) -> None:
        self.model, self.clip = MODELS[name](), training.clip
        load(self.model, tensors)
        kind = torch.optim.AdamW if training.weight_decay else torch.optim.Adam
        self.optimizer = kind(self.model.parameters(), training.lr, weight_decay=training.weight_decay)
        self.schedule = _schedule(self.optimizer, training) if training.warmup else None

    def train(self, batches: Iterable[Batch]) -> list[float]:
        """A step on each batch; their losses."""
        self.model.train()
        losses = []
        for pixels, labels in batches:
            self.optimizer.zero_grad()
            loss = self._loss(torch.from_numpy(pixels) / 16, labels)
            loss.backward()
            if self.clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            if self.schedule is not None:
                self.schedule.step()
            losses.append(loss.item())
        return losses

    def give_masks(self, masks: Iterator[NDArray[np.float32]]) -> None:
        """Masks for the steps to come, of the net that has one dropout."""
        next(m for m in self.model.modules() if isinstance(m, Dropout)).masks = masks

    def _loss(self, x: Tensor, labels: NDArray[np.int64] | None) -> Tensor:
        y = self.model(x)
        if labels is None:
            return F.binary_cross_entropy_with_logits(y, x)
        return F.cross_entropy(y, torch.from_numpy(labels))

    def score(self, pixels: NDArray[np.float32], labels: NDArray[np.int64] | None) -> float:
        """The share of right answers, or the mean squared error of the reconstruction."""
        self.model.eval()
        x = torch.from_numpy(pixels) / 16
        with torch.no_grad():
            y = torch.cat([self.model(part) for part in x.split(256)])
        if labels is None:
            return F.mse_loss(torch.sigmoid(y), x).item()
        return (y.argmax(1) == torch.from_numpy(labels)).double().mean().item()


def _schedule(optimizer: torch.optim.Optimizer, training: Training) -> torch.optim.lr_scheduler.LRScheduler:
    """`[warmup, cosine]`: up to the full rate, then down to 0 along half a cosine."""
    warm = training.warmup
    up = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / (warm + 1), total_iters=warm)
    down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.steps - warm)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [up, down], [warm])
