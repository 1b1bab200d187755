"""The operators of the default domain that a foreign model may use."""

from __future__ import annotations

from sparknet.compiler.gradients import NO_GRADIENT, RULES

_INFERENCE_ONLY = """
Dropout Einsum GRU GatherElements GatherND Hardmax LSTM LpNormalization Mod RNN ReduceProd
ScatterElements ScatterND TopK
"""
OPERATORS = (frozenset(RULES) - {"Scan"}) | NO_GRADIENT | frozenset(_INFERENCE_ONLY.split())
"""None has a body, random numbers or an effect, so that what a model computes is bounded by its size.

Those of `RULES` are trained through, those of `NO_GRADIENT` let no gradient through; the others are for inference, in a
layer that is frozen and has nothing to train before it.
"""

KINDS = ("float32", "int64", "int32", "bool")
"""The element types of all that a model computes."""
