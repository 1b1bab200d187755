"""ONNX models that other libraries exported, as layers: read as hostile, cut to what is used, made differentiable.

`safety` and `wire` refuse what no net needs before anything is computed from it, `reading` makes a `ForeignModel` of
bytes, `cutting` keeps what one output needs, `sizes` finds every shape for a batch of any size, `canonical` writes the
operators in the forms that the gradient rules know, and `model` is what a layer lowers.
"""
