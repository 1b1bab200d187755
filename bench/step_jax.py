"""The nets of bench/step.py in JAX: one jitted function a step, channels last, as its users write them.

Tensors come in the order of SparkNet's vector and with its layouts, which are those of PyTorch but for dense layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

Tensors = list[np.ndarray]
Apply = Callable[[list[Array], Array], Array]
"""(parameters, a batch) -> logits; batch normalisation goes by the batch, its running statistics are kept aside."""

# ----- layers; `p` gives the tensors in order -----


def dense(p: Iterator[Array], x: Array) -> Array:
    return x @ next(p) + next(p)


def conv(p: Iterator[Array], x: Array, stride: int = 1, bias: bool = True) -> Array:
    y = lax.conv_general_dilated(x, next(p), (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + next(p) if bias else y


def deconv(p: Iterator[Array], x: Array) -> Array:
    kernel = next(p)
    y = lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), transpose_kernel=True)
    return y + next(p)


def maxpool(x: Array) -> Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def normalized(x: Array, axes: tuple[int, ...]) -> Array:
    mean = x.mean(axes, keepdims=True)
    return (x - mean) * lax.rsqrt(x.var(axes, keepdims=True) + 1e-5)


def batchnorm(p: Iterator[Array], x: Array) -> Array:
    return normalized(x, (0, 1, 2)) * next(p) + next(p)


def layernorm(p: Iterator[Array], x: Array) -> Array:
    return normalized(x, (-1,)) * next(p) + next(p)


def attention(p: Iterator[Array], x: Array, heads: int = 4) -> Array:
    rows, length, width = x.shape
    qkv = (x @ next(p) + next(p)).reshape(rows, length, 3, heads, width // heads)
    q, k, v = jnp.moveaxis(qkv, 2, 0)
    weights = jax.nn.softmax(jnp.einsum("blhd,bmhd->bhlm", q, k) * (width // heads) ** -0.5)
    return jnp.einsum("bhlm,bmhd->blhd", weights, v).reshape(x.shape) @ next(p) + next(p)


# ----- recurrent cells: (gates of the inputs, gates of the state, state) -> state -----


def lstm_cell(seen: Array, kept: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
    i, f, g, o = jnp.split(seen + kept, 4, -1)
    cell = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell


def gru_cell(seen: Array, kept: Array, state: tuple[Array]) -> tuple[Array]:
    (r, z, n), (kr, kz, kn) = jnp.split(seen, 3, -1), jnp.split(kept, 3, -1)
    gate = jax.nn.sigmoid(z + kz)
    return ((1 - gate) * jnp.tanh(n + jax.nn.sigmoid(r + kr) * kn) + gate * state[0],)


def rnn_cell(seen: Array, kept: Array, state: tuple[Array]) -> tuple[Array]:
    return (jnp.tanh(seen + kept),)


def recurrent(cell: Callable[..., Any], states: int, tensors: list[Array], x: Array) -> Array:
    p = iter(tensors)
    inside, inner, b_inside, b_inner = next(p), next(p), next(p), next(p)
    seen = jnp.moveaxis(x @ inside + b_inside, 1, 0)
    start = tuple(jnp.zeros((len(x), inner.shape[0])) for _ in range(states))
    last, _ = lax.scan(lambda state, one: (cell(one, state[0] @ inner + b_inner, state), None), start, seen)
    return dense(p, last[0])


# ----- nets -----


def perceptron(tensors: list[Array], x: Array) -> Array:
    p = iter(tensors)
    for _ in range(len(tensors) // 2 - 1):
        x = jax.nn.relu(dense(p, x))
    return dense(p, x)


def cnn(tensors: list[Array], x: Array) -> Array:
    p = iter(tensors)
    for _ in range(2):
        x = maxpool(jax.nn.relu(conv(p, x)))
    return dense(p, jax.nn.relu(dense(p, x.reshape(len(x), -1))))


def residual(tensors: list[Array], x: Array) -> Array:
    p = iter(tensors)
    x = jax.nn.relu(batchnorm(p, conv(p, x, bias=False)))
    for stride in (1, 2, 2):
        short = x if stride == 1 else batchnorm(p, conv(p, x, stride, bias=False))
        body = jax.nn.relu(batchnorm(p, conv(p, x, stride, bias=False)))
        x = jax.nn.relu(batchnorm(p, conv(p, body, bias=False)) + short)
    return dense(p, x.mean((1, 2)))


def dense_autoencoder(tensors: list[Array], x: Array) -> Array:
    p = iter(tensors)
    code = dense(p, jax.nn.relu(dense(p, x)))
    return dense(p, jax.nn.relu(dense(p, code)))


def conv_autoencoder(tensors: list[Array], x: Array) -> Array:
    p = iter(tensors)
    x = jax.nn.relu(conv(p, jax.nn.relu(conv(p, x, 2)), 2))
    return deconv(p, jax.nn.relu(deconv(p, x)))


def transformer(tensors: list[Array], x: Array) -> Array:
    p = iter(tensors)
    x = dense(p, x) + next(p)
    for _ in range(2):
        x = x + attention(p, layernorm(p, x))
        x = x + dense(p, jax.nn.relu(dense(p, layernorm(p, x))))
    return dense(p, layernorm(p, x).mean(1))


NETS: dict[str, Apply] = {
    "perceptron": perceptron,
    "CNN": cnn,
    "residual": residual,
    "LSTM": partial(recurrent, lstm_cell, 2),
    "GRU": partial(recurrent, gru_cell, 1),
    "RNN": partial(recurrent, rnn_cell, 1),
    "dense autoencoder": dense_autoencoder,
    "convolutional autoencoder": conv_autoencoder,
    "transformer": transformer,
}
"""By the beginning of the net's name."""


def stepper(name: str, tensors: Tensors, data: dict[str, np.ndarray]) -> Callable[[int], float]:
    """One training step on the k-th batch, which gives its loss."""
    apply = next(net for start, net in NETS.items() if name.startswith(start))
    images = data["x"].ndim == 5
    x = [jnp.asarray(np.moveaxis(batch, 1, -1) if images else batch) for batch in data["x"]]
    y = [jnp.asarray(labels) for labels in data["label"]] if "label" in data else x
    optimizer = optax.adam(0.001)
    flow: list[Any] = [[jnp.asarray(t) for t in channels_last(name, tensors)]]
    flow.append(optimizer.init(flow[0]))

    def loss_of(parameters: list[Array], x: Array, y: Array) -> Array:
        logits = apply(parameters, x)
        if logits.shape == y.shape:
            return optax.sigmoid_binary_cross_entropy(logits, y).mean()
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def take(parameters: list[Array], state: Any, x: Array, y: Array) -> tuple[list[Array], Any, Array]:
        loss, gradient = jax.value_and_grad(loss_of)(parameters, x, y)
        updates, state = optimizer.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, loss

    def step(k: int) -> float:
        *flow[:], loss = take(*flow, x[k], y[k])
        return float(loss)

    return step


def channels_last(name: str, tensors: Tensors) -> Tensors:
    """The tensors as nets with channels behind the sides take them; those of recurrent layers as `x @ weight`."""
    if name.startswith(("LSTM", "GRU", "RNN")):
        return [tensors[0].T, tensors[1].T, *tensors[2:]]
    if name.startswith("transformer"):  # attention's weights lie as PyTorch has them, `x @ weight.T`
        return [t.T if k in (5, 7, 17, 19) else t for k, t in enumerate(tensors)]
    if name.startswith("convolutional"):
        return [t if t.ndim == 1 else t.transpose((2, 3, 1, 0)) for t in tensors]
    if name.startswith("CNN"):  # the first dense layer reads places, then channels
        tensors = [*tensors]
        tensors[4] = tensors[4].reshape(64, 49, -1).swapaxes(0, 1).reshape(tensors[4].shape)
    return [t.transpose((2, 3, 1, 0)) if t.ndim == 4 else t for t in tensors]
