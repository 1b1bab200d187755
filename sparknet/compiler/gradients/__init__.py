"""The table of gradient rules, over ONNX operators.

An operator is in `RULES`, or in `NO_GRADIENT` because its result does not change smoothly with its inputs, or unknown.
A new rule is one line in the file of its family.
"""

from __future__ import annotations

from sparknet.compiler.gradients import (
    convolution,
    elementwise,
    indexing,
    linear,
    normalization,
    pooling,
    reduction,
    resizing,
    scan,
    shape,
)
from sparknet.compiler.gradients.base import Backward, Rule

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **linear.RULES,
    **convolution.RULES,
    **pooling.RULES,
    **reduction.RULES,
    **shape.RULES,
    **resizing.RULES,
    **indexing.RULES,
    **scan.RULES,
    **normalization.RULES,
}

NO_GRADIENT = frozenset(
    {
        "ArgMax",
        "BitShift",
        "BitwiseXor",
        "Cast",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "Range",
        "Shape",
        "Sign",
        "Size",
    }
)

__all__ = ["NO_GRADIENT", "RULES", "Backward", "Rule"]
