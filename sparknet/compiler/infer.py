"""Shape inference: a type for every value, or a diagnostic at the layer that does not fit."""

from __future__ import annotations

from collections.abc import Sequence

from sparknet.compiler.layers import ForeignLayer, Join, Layer, ParameterSpec, ShapeError, TupleSizeError
from sparknet.compiler.net import ElaboratedNet, LayerUse, NetOutput, TypedNet, ValueId
from sparknet.compiler.preprocess import standards
from sparknet.compiler.types import MAX_SIZE, TensorType
from sparknet.grammar import limits
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError

MAX_PARAMETERS = 2**29 - 2**20
"""An ONNX file holds 2 GiB at most: so many float32 numbers, and a MiB of them left for everything else."""
_CHAIN_SHOWN = 6
_ENDS_SEQUENCE = "make one vector of the sequence first, by `lstm(64)`, `mean` or `last`"


def infer(net: ElaboratedNet) -> TypedNet:
    """Types and parameters of the whole net.

    Raises SparkNetError with one diagnostic for each layer that cannot take what arrives; layers behind such a layer
    are not complained about.
    """
    types: dict[ValueId, TensorType] = {i.name: i.type for i in net.inputs}
    parameters: dict[ValueId, tuple[ParameterSpec, ...]] = {
        p.port: standards(types[p.port], p.axis) for p in net.preprocessing if p.axis is not None
    }
    problems: list[Diagnostic] = []
    seen: set[tuple[Label, ...]] = set()
    learning: set[ValueId] = set()
    """Values that something trained has a part in."""
    for use in net.layers:
        if any(value not in types for value in use.inputs):
            continue
        xs = [types[value] for value in use.inputs]
        try:
            _check_tokens(use, xs)
            _check_lengths(use, xs)
            if isinstance(use.layer, Join):
                types[use.name], parameters[use.name] = use.layer.infer(xs), ()
            else:
                types[use.name], parameters[use.name] = use.layer.infer(*xs), use.layer.tensors(*xs)
            inward = not learning.isdisjoint(use.inputs)
            if inward or any(p.kind == "trained" for p in parameters[use.name]):
                learning.add(use.name)
                if isinstance(use.layer, ForeignLayer):
                    use.layer.check_gradients(*xs, inward=inward)
            if types[use.name].size > MAX_SIZE:
                del types[use.name], parameters[use.name]
                raise ShapeError(f"the result would hold more than {MAX_SIZE:,} numbers")
        except ShapeError as error:
            # A layer in a repeat is wrong once, however often it is repeated.
            if use.labels not in seen and len(seen) < limits.ERRORS:
                problems.append(_misfit(net, use, error, types))
            seen.add(use.labels)
    problems += [p for output in net.outputs if (p := _check_output(net, output, types))]
    if net.outputs and not problems and sum(p.size for specs in parameters.values() for p in specs) > MAX_PARAMETERS:
        message = f"net `{net.name}` has more than {MAX_PARAMETERS:,} parameters"
        problems.append(Diagnostic("E0208", message, (net.outputs[0].label,), helps=("use smaller layers",)))
    if problems:
        raise SparkNetError(problems)
    return TypedNet(net, types, parameters)


def _check_tokens(use: LayerUse, xs: Sequence[TensorType]) -> None:
    """Tokens are names, not quantities: only a layer that looks them up may take them."""
    if isinstance(use.layer, Layer) and use.layer.takes_tokens:
        return
    for x in xs:
        if x.vocabulary is not None:
            message = f"`{use.layer.name}` computes with numbers, but `{x}` arrives"
            raise ShapeError(message, "put `embedding(width)` before it to give each token a vector")


def _check_lengths(use: LayerUse, xs: Sequence[TensorType]) -> None:
    """Steps beyond a row's length are padding: only a layer that leaves them out may take such a sequence."""
    varying = next((x for x in xs if x.lengths is not None), None)
    if varying is None or use.layer.takes_variable:
        return
    raise ShapeError(
        f"`{use.layer.name}` needs values of a fixed length, but `{varying}` arrives",
        f"{_ENDS_SEQUENCE}; or declare the input without `variable: true`",
    )


def _misfit(net: ElaboratedNet, use: LayerUse, error: ShapeError, types: dict[ValueId, TensorType]) -> Diagnostic:
    code, place = error.code, error.place or use.labels[0]
    if isinstance(error, TupleSizeError):
        code, place = "E0402", use.size_label
    helps = (error.help,) if error.help else ()
    notes = _history(net, use.inputs[0], types) if len(use.inputs) == 1 else _histories(net, use, types)
    return Diagnostic(code, error.message, (place, *use.labels[1:]), notes, helps)


def _check_output(net: ElaboratedNet, output: NetOutput, types: dict[ValueId, TensorType]) -> Diagnostic | None:
    if output.value not in types:
        return None
    found = types[output.value]
    needed = TensorType("float32", output.shape)
    if found == needed:
        return None
    if found.lengths is not None and found.vocabulary is None:
        return Diagnostic(
            "E0403",
            f"output `{output.name}` needs `{needed}`, but `{found}` arrives",
            (output.label,),
            _history(net, output.value, types),
            (_ENDS_SEQUENCE,),
        )
    ending = (["flatten"] if len(found.shape) > 1 else []) + [f"dense({output.size})"] * (found.size != needed.size)
    ending += [f"reshape({', '.join(map(str, output.shape))})"] * (len(output.shape) > 1)
    if found.vocabulary is not None:
        ending = ["embedding(32)", "flatten" if found.lengths is None else "mean", f"dense({output.size})"]
    return Diagnostic(
        "E0403",
        f"output `{output.name}` needs `{needed}`, but `{found}` arrives",
        (output.label,),
        _history(net, output.value, types),
        (f"end the net with `{' -> '.join(ending)}`",),
    )


def _histories(net: ElaboratedNet, use: LayerUse, types: dict[ValueId, TensorType]) -> tuple[str, ...]:
    """The chains of shapes that led to the first value that is joined and to the first that differs from it."""
    other = next((n for n, value in enumerate(use.inputs) if types[value] != types[use.inputs[0]]), 1)
    return tuple(
        f"value {number + 1}: {step}"
        for number in (0, other)
        for step in _history(net, use.inputs[number], types, _CHAIN_SHOWN // 2)
        if step != "..."
    )


def _history(
    net: ElaboratedNet, value: ValueId, types: dict[ValueId, TensorType], most: int = _CHAIN_SHOWN
) -> tuple[str, ...]:
    """The chain of shapes that led to `value`, the last few steps of it."""
    uses = {use.name: use for use in net.layers}
    steps: list[str] = []
    while value in uses:
        steps.append(f"{uses[value].text} gives `{types[value]}`")
        value = uses[value].inputs[0]
    steps.append(f"input `{value}` is `{types[value]}`")
    shown = steps[:most][::-1]
    return tuple(["..."] * (len(steps) > most) + shown)
