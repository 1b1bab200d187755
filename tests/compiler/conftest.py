"""PyTorch on one thread: with two, nets this small spend their time waiting."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
