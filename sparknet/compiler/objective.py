"""The graph that the engine `onnxruntime-training` makes its own training graph of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparknet.compiler.differentiate import path
from sparknet.compiler.engines import loss_decay
from sparknet.compiler.expand import EXPANSIONS, expand
from sparknet.compiler.lower import Objective, lower_objective
from sparknet.compiler.net import TypedNet
from sparknet.compiler.unroll import unroll

if TYPE_CHECKING:
    import onnx

    from sparknet.compiler.graph import Node

_NAMES = """
Abs Add Cast Concat Conv Div Erf Exp Expand Gather Gemm Identity LayerNormalization LeakyRelu Log LogSoftmax MatMul
MaxPool Mul Neg Pad Reciprocal ReduceMean ReduceSum Relu Reshape Sigmoid Slice Softmax Split Sqrt Squeeze Sub Tanh
Transpose Unsqueeze Where
"""
OPERATORS = frozenset(_NAMES.split())
"""Operators whose gradients version 1.19.2 has, and computes as the other engine does.

With others it says so, fails while it builds its session, or ends the process (`AveragePool`).
"""


def training_model(typed: TypedNet) -> onnx.ModelProto:
    """Forward pass and loss of a training batch, or of one of its parts where steps `accumulate` several.

    Takes the ports and `seed`, as far as they are read; the parameters are initializers under the names of their slots,
    all zeros. The outputs are `lower.OBJECTIVE`, a scalar whose gradient the optimizer is to get (over several parts:
    the sum of whose gradients), `loss`, the statistics, and the new value of each buffer, its name with `lower.NEW`.
    """
    objective = _unrolled(typed)
    objective.graph.infer()
    expand(objective.graph, frozenset(node.output for node in _way(objective)))
    return objective.graph.model()


def missing_gradients(typed: TypedNet) -> dict[str, tuple[str, ...]]:
    """Operators on the way to the loss that have neither a gradient nor an expansion, by layer."""
    found: dict[str, dict[str, None]] = {}
    for node in _way(_unrolled(typed)):
        if node.op not in OPERATORS and node.op not in EXPANSIONS:
            found.setdefault(node.layer, {})[node.op] = None
    return {layer: tuple(operators) for layer, operators in found.items()}


def _unrolled(typed: TypedNet) -> Objective:
    objective = lower_objective(typed, loss_decay(typed.net.train))
    unroll(objective.graph)
    return objective


def _way(objective: Objective) -> list[Node]:
    return path(objective.graph, [objective.value], objective.trained)
