"""The nets of bench/step.py in Keras on TensorFlow, as its users write them, trained with `train_on_batch`.

Its recurrent layers have one bias where SparkNet and PyTorch have two, so their losses part after the first step.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import keras
import numpy as np
import tensorflow as tf
from keras import layers

Tensors = list[np.ndarray]
Net = Callable[[keras.KerasTensor], keras.KerasTensor]
_numbers = count()


def _dense(*sizes: int) -> list[layers.Layer]:
    return [*(layers.Dense(size, activation="relu") for size in sizes[:-1]), layers.Dense(sizes[-1])]


def _conv(channels: int, side: int = 3, stride: int = 1, activation: str | None = "relu") -> layers.Layer:
    return layers.Conv2D(channels, side, stride, padding="same", activation=activation)


def _deconv(channels: int, activation: str | None) -> layers.Layer:
    return layers.Conv2DTranspose(channels, 4, 2, padding="same", activation=activation)


def chain(*parts: layers.Layer) -> Net:
    def apply(x: keras.KerasTensor) -> keras.KerasTensor:
        for part in parts:
            x = part(x)
        return x

    return apply


def _normal_conv(x: keras.KerasTensor, channels: int, side: int = 3, stride: int = 1) -> keras.KerasTensor:
    first, second = (f"{next(_numbers):03}" for _ in range(2))
    x = layers.Conv2D(channels, side, stride, padding="same", use_bias=False, name=first)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=second)(x)


def residual(x: keras.KerasTensor) -> keras.KerasTensor:
    x = layers.ReLU()(_normal_conv(x, 16))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        short = x if stride == 1 else _normal_conv(x, channels, 1, stride)
        body = layers.ReLU()(_normal_conv(x, channels, 3, stride))
        x = layers.ReLU()(layers.Add()([_normal_conv(body, channels), short]))
    return layers.Dense(10)(layers.GlobalAveragePooling2D()(x))


class Positions(layers.Layer):
    def build(self, shape: tuple[int, ...]) -> None:
        self.table = self.add_weight(shape=shape[1:])

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x + self.table


def transformer(x: keras.KerasTensor) -> keras.KerasTensor:
    x = Positions()(layers.Dense(64)(x))
    for _ in range(2):
        seen = layers.LayerNormalization(epsilon=1e-5)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(4, 16)(seen, seen)])
        more = chain(layers.LayerNormalization(epsilon=1e-5), *_dense(256, 64))(x)
        x = layers.Add()([x, more])
    return chain(layers.LayerNormalization(epsilon=1e-5), layers.GlobalAveragePooling1D(), layers.Dense(6))(x)


NETS: dict[str, Callable[[], Net]] = {
    "perceptron 64": lambda: chain(*_dense(128, 64, 10)),
    "perceptron 784": lambda: chain(*_dense(512, 512, 10)),
    "CNN": lambda: chain(
        _conv(32), layers.MaxPooling2D(), _conv(64), layers.MaxPooling2D(), layers.Flatten(), *_dense(128, 10)
    ),
    "residual": lambda: residual,
    "LSTM": lambda: chain(layers.LSTM(100), layers.Dense(6)),
    "GRU": lambda: chain(layers.GRU(100), layers.Dense(6)),
    "RNN": lambda: chain(layers.SimpleRNN(100), layers.Dense(6)),
    "dense autoencoder": lambda: chain(*_dense(128, 32), *_dense(128, 784)),
    "convolutional autoencoder": lambda: chain(_conv(16, 4, 2), _conv(32, 4, 2), _deconv(16, "relu"), _deconv(1, None)),
    "transformer": lambda: transformer,
}
"""By the beginning of the net's name; each gives logits."""


def stepper(name: str, tensors: Tensors, data: dict[str, np.ndarray], threads: int) -> Callable[[int], float]:
    """One training step on the k-th batch, which gives its loss."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    images = data["x"].ndim == 5
    x = np.ascontiguousarray(np.moveaxis(data["x"], 2, -1)) if images else data["x"]
    y = data.get("label", x)
    inputs = keras.Input(x.shape[2:])
    model = keras.Model(inputs, next(net for start, net in NETS.items() if name.startswith(start))()(inputs))
    for variable, value in zip(_variables(model), _weights(name, tensors), strict=True):
        variable.assign(np.reshape(value, variable.shape))
    loss = (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if "label" in data
        else keras.losses.BinaryCrossentropy(from_logits=True)
    )
    model.compile(optimizer=keras.optimizers.Adam(0.001, epsilon=1e-8), loss=loss)
    batches = [(tf.constant(a), tf.constant(b)) for a, b in zip(x, y, strict=True)]

    def step(k: int) -> float:
        model.reset_metrics()  # otherwise the loss is the mean since the start
        return float(model.train_on_batch(*batches[k]))

    return step


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Layer by layer; numbered ones first, as `model.layers` puts a short cut behind what it skips."""
    ordered = sorted(model.layers, key=lambda layer: layer.name if layer.name[0].isdigit() else "~")
    return [variable for layer in ordered for variable in layer.trainable_variables]


def _weights(name: str, tensors: Tensors) -> Tensors:
    """SparkNet's tensors in the order of a Keras model's variables, and with their axes."""
    if name.startswith(("LSTM", "RNN")):  # gates in the same order
        return [tensors[0].T, tensors[1].T, tensors[2] + tensors[3], *tensors[4:]]
    if name.startswith("GRU"):
        inside, inner, b_inside, b_inner = (_update_first(t) for t in tensors[:4])
        return [inside.T, inner.T, np.stack([b_inside, b_inner]), *tensors[4:]]
    if name.startswith("transformer"):
        return [*tensors[:5], *_attention(tensors[5:9]), *tensors[9:17], *_attention(tensors[17:21]), *tensors[21:]]
    tensors = [t.transpose((2, 3, 1, 0)) if t.ndim == 4 else t for t in tensors]
    if name.startswith("CNN"):  # the first dense layer reads places, then channels
        tensors[4] = tensors[4].reshape(64, 49, -1).swapaxes(0, 1)
    return tensors


def _update_first(tensor: np.ndarray) -> np.ndarray:
    """Gates reset, update, new as Keras orders them: update, reset, new."""
    reset, update, new = np.split(tensor, 3)
    return np.concatenate([update, reset, new])


def _attention(tensors: Tensors) -> Tensors:
    """Queries, keys and values lie in one tensor here; in Keras they come in turn, weight and bias."""
    weights, biases = np.split(tensors[0], 3), np.split(tensors[1], 3)
    inside = [part for weight, bias in zip(weights, biases, strict=True) for part in (weight.T, bias)]
    return [*inside, tensors[2].T, tensors[3]]
