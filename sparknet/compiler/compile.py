"""The whole pipeline: text to graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparknet.compiler.checking import diagnose, read
from sparknet.compiler.compiled import CompiledNet, LayerRow, Port, Prediction
from sparknet.compiler.layout import parameter_slots, state_slots
from sparknet.compiler.lower import lower_evaluation, lower_step
from sparknet.compiler.net import TypedNet
from sparknet.compiler.outputs import metric_names, predictions, statistics
from sparknet.compiler.sections import ROW_WEIGHT, ROW_WEIGHT_TYPE
from sparknet.compiler.standalone import standalone
from sparknet.compiler.types import TensorType
from sparknet.grammar import Source, SparkNetError, parse, syntax


def compile(
    text_or_path: str | Path | Source | syntax.File, *, settings: Sequence[str] = (), root: str | Path | None = None
) -> CompiledNet:
    """Compile a net: a path to a `.net` file, its text or its tree, and what else `sparknet.compiler.check` takes.

    The source of the result stands alone: imports and settings are written into it, and the foreign models that it
    names are in `CompiledNet.models`. Raises SparkNetError, whose text shows every mistake at its place in the file.
    """
    source = read(text_or_path)
    file = parse(source)
    folder = None if root is None else Path(root)
    typed, problems = diagnose(file, source, settings, folder)
    if typed is None or problems:
        raise SparkNetError(problems)
    return CompiledNet(
        name=typed.net.name,
        source=standalone(file, source, settings, folder, typed),
        layers=_rows(typed),
        inputs=_inputs(typed),
        targets=_targets(typed),
        predictions=tuple(Prediction(*p) for o in typed.net.outputs for p in predictions(o, typed.types)),
        metrics=metric_names(typed.net),
        statistics=statistics(typed.net),
        parameters=parameter_slots(typed),
        optimizer_state=state_slots(typed),
        step=lower_step(typed),
        evaluation=lower_evaluation(typed),
        typed=typed,
    )


def _inputs(typed: TypedNet) -> tuple[Port, ...]:
    ports: list[Port] = []
    for i in typed.net.inputs:
        ports.append(Port(i.name, "float" if i.type.vocabulary is None else "token", i.type, i.type.vocabulary))
        if i.type.lengths is not None:
            ports.append(Port(i.type.lengths, "length", TensorType("int64", ()), measures=ports[-1]))
    return tuple(ports)


def _targets(typed: TypedNet) -> tuple[Port, ...]:
    targets = [
        Port(o.name, "class", TensorType("int64", ()), o.size)
        if o.kind == "class"
        else Port(o.name, "bool" if o.kind == "bool" else "float", TensorType("float32", o.shape))
        for o in typed.net.outputs
        if o.kind != "like"
    ]
    return (*targets, *[Port(ROW_WEIGHT, "weight", ROW_WEIGHT_TYPE)] * typed.net.weighs_rows)


def _rows(typed: TypedNet) -> tuple[LayerRow, ...]:
    return tuple(
        LayerRow(
            use.name,
            use.text,
            typed.types[use.name],
            sum(p.size for p in typed.parameters[use.name] if p.kind == "trained"),
        )
        for use in typed.net.layers
    )
