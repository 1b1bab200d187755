"""The nets of bench/step.py as `.net` text, and the batches that all engines train on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BATCHES = 4
"""Different batches, taken in turn."""
TRAIN = "train { optimizer = adam(lr: 0.001) }"
DIGIT = "output label: class[10]"
SEQUENCE = f"net N {{ input x: float[40, 8]\n {{}} -> dense(6)\n output label: class[6] }}\n{TRAIN}"
RESIDUAL = f"""
block Residual(channels, stride = 1) {{
  short = in
  if stride != 1 {{ short = in -> conv(channels, 1x1, stride: stride, bias: false) -> batchnorm }}
  in -> conv(channels, 3x3, stride: stride, bias: false) -> batchnorm -> relu
     -> conv(channels, 3x3, bias: false) -> batchnorm
  add(short) -> relu
}}
net N {{
  input x: float[3, 32, 32]
  conv(16, 3x3, bias: false) -> batchnorm -> relu
  Residual(16)
  Residual(32, stride: 2)
  Residual(64, stride: 2)
  globalavgpool -> dense(10)
  {DIGIT}
}}
{TRAIN}
"""
TRANSFORMER = f"""
block Encoder(width, heads) {{
  seen = in -> layernorm -> attention(heads)
  both = add(in, seen)
  more = both -> layernorm -> dense(width * 4, relu) -> dense(width)
  add(both, more)
}}
net N {{
  input x: float[64, 16]
  dense(64) -> positions
  repeat 2 {{ Encoder(64, heads: 4) }}
  layernorm -> mean -> dense(6)
  output label: class[6]
}}
{TRAIN}
"""


@dataclass(frozen=True)
class Net:
    """A net and its batches: `classes` is 0 where the target is the input.

    `goal` is the loss, the mean over all batches, that a run to an accuracy has to reach; `pace` how many times as long
    as ours a step of PyTorch is to take on one thread.
    """

    source: str
    row: tuple[int, ...]
    batch: int
    classes: int = 10
    goal: float = 0.1
    pace: float = 1.0

    def data(self) -> dict[str, NDArray[np.generic]]:
        """`x` float32[BATCHES, batch, *row] within 0 and 1, and the `label`s int64[BATCHES, batch].

        A row is half a pattern, its class's, and half noise; a class pattern alone where the target is the input.
        """
        random = np.random.default_rng(0)
        labels = random.integers(0, self.classes or 10, (BATCHES, self.batch))
        patterns = random.random((self.classes or 10, *self.row), np.float32)
        if not self.classes:
            return {"x": (patterns[labels] > 0.5).astype(np.float32)}
        noise = random.random((BATCHES, self.batch, *self.row), np.float32)
        return {"x": (patterns[labels] + noise) / 2, "label": labels}


def _plain(row: str, layers: str, output: str = DIGIT, train: str = TRAIN) -> str:
    return f"net N {{ input x: float[{row}]\n {layers}\n {output} }}\n{train}"


_SMALL = _plain("64", "dense(128, relu) -> dense(64, relu) -> dense(10)")
_LIKE = "output rebuilt: like x"
NETS = {
    "perceptron 64-128-64-10, batch 32": Net(_SMALL, (64,), 32, pace=3),
    "perceptron 64-128-64-10, batch 128": Net(_SMALL, (64,), 128, pace=3),
    "perceptron 64-128-64-10, batch 512": Net(_SMALL, (64,), 512, pace=3),
    "perceptron 784-512-512-10, batch 128": Net(
        _plain("784", "dense(512, relu) -> dense(512, relu) -> dense(10)"), (784,), 128, pace=3
    ),
    "CNN 28x28, batch 128": Net(
        _plain(
            "1, 28, 28",
            "conv(32, 3x3, relu) -> maxpool(2) -> conv(64, 3x3, relu) -> maxpool(2)\n"
            "flatten -> dense(128, relu) -> dense(10)",
        ),
        (1, 28, 28),
        128,
        pace=1.5,
    ),
    "residual 32x32, batch 32": Net(RESIDUAL, (3, 32, 32), 32, pace=1.2),
    "LSTM 100, 40 steps, batch 128": Net(SEQUENCE.replace("{}", "lstm(100)"), (40, 8), 128, 6, pace=1.3),
    "GRU 100, 40 steps, batch 128": Net(SEQUENCE.replace("{}", "gru(100)"), (40, 8), 128, 6, pace=1.3),
    "RNN 100, 40 steps, batch 128": Net(SEQUENCE.replace("{}", "rnn(100)"), (40, 8), 128, 6),
    "dense autoencoder 784, batch 128": Net(
        _plain("784", "dense(128, relu) -> dense(32) -> dense(128, relu) -> dense(784, sigmoid)", _LIKE),
        (784,),
        128,
        0,
        pace=1.5,
    ),
    "convolutional autoencoder 28x28, batch 64": Net(
        _plain(
            "1, 28, 28",
            "conv(16, 4x4, relu, stride: 2) -> conv(32, 4x4, relu, stride: 2)\n"
            "deconv(16, 4x4, relu, stride: 2) -> deconv(1, 4x4, sigmoid, stride: 2)",
            _LIKE,
        ),
        (1, 28, 28),
        64,
        0,
        pace=1.5,
    ),
    "transformer 2x64, length 64, batch 32": Net(TRANSFORMER, (64, 16), 32, 6, pace=1.3),
}
