"""Random numbers inside a graph, as a pure function of a seed.

ONNX's own random operators keep hidden state or a fixed seed, so a step would not give the same bytes when run again on
another executor. Here element i of a tensor hashes the counter `seed + i` with integer operators, which every runtime
computes exactly alike.
"""

from __future__ import annotations

from sparknet.compiler.graph import GraphBuilder, Value

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = 0xBF58476D1CE4E5B9
"""Constants of SplitMix64 (Steele, Lea & Flood, 2014, fig. 17)."""
_UNIFORM_BITS = 24


def _signed(value: int) -> int:
    """The int64 with the same bits as a 64-bit unsigned number: products wrap alike in both."""
    return value - 2**64 if value >= 2**63 else value


def keep_mask(g: GraphBuilder, like: Value, seed: Value, salt: int, rate: float) -> Value:
    """A mask of the shape of `like`: 0 with probability `rate`, else `1 / (1 - rate)`.

    `seed` is an int64 scalar; `salt` separates the streams of a graph. One round of SplitMix64's mixer on a counter
    that itself starts from a mixed seed.
    """
    shape = g.op("Shape", like)
    count = g.op("ReduceProd", shape, keepdims=0)
    zero, one = g.constant(0, "int64"), g.constant(1, "int64")
    salted = g.op("Add", seed, g.constant(_signed(salt * _GOLDEN % 2**64), "int64"))
    start = _mix(g, _mix(g, g.op("Mul", salted, g.constant(_signed(_GOLDEN), "int64"))))
    counter = g.op("Mul", g.op("Range", zero, count, one), g.constant(_signed(_GOLDEN), "int64"))
    bits = _shift_right(g, _mix(g, g.op("Add", counter, start)), 64 - _UNIFORM_BITS)
    dropped = g.op("Less", bits, g.constant(round(rate * 2**_UNIFORM_BITS), "int64"))
    mask = g.op("Where", dropped, g.constant(0.0), g.constant(1 / (1 - rate)))
    return g.op("Reshape", mask, shape)


def _shift_right(g: GraphBuilder, x: Value, bits: int) -> Value:
    """Logical shift of an int64; ONNX shifts unsigned numbers only."""
    unsigned = g.op("Cast", x, to=g.onnx_type("uint64"))
    shifted = g.op("BitShift", unsigned, g.constant(bits, "uint64"), direction="RIGHT")
    return g.op("Cast", shifted, to=g.onnx_type("int64"))


def _mix(g: GraphBuilder, x: Value) -> Value:
    """`x ^= x >> 30; x *= MIX; x ^= x >> 31`."""
    x = g.op("BitwiseXor", x, _shift_right(g, x, 30))
    x = g.op("Mul", x, g.constant(_signed(_MIX), "int64"))
    return g.op("BitwiseXor", x, _shift_right(g, x, 31))
