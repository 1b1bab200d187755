"""The table of gradient rules, over ONNX operators.

An operator is in `RULES`, or in `NO_GRADIENT` because its result does not change smoothly with its inputs, or unknown.
A new rule is one line in the file of its family.
"""

from __future__ import annotations

from sparknet.compiler.gradients import (
    activation,
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
from sparknet.compiler.gradients.base import Backward, Rule, UnknownFormError

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **activation.RULES,
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

_NO_GRADIENT = """
And ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast Ceil ConstantOfShape Equal EyeLike Floor
Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual NonZero Not OneHot Or Range Round Shape Sign Size Xor
"""
NO_GRADIENT = frozenset(_NO_GRADIENT.split())
"""Whose results are whole, or jump: they let no gradient through, as if what they read were constant.

`Cast` is among them as the compiler writes it, from whole numbers and truth values only.
"""

__all__ = ["NO_GRADIENT", "RULES", "Backward", "Rule", "UnknownFormError"]
