"""Elaboration of the `data`, `train` and `predict` sections: each key checked, each error at its characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sparknet.compiler.arguments import bind, explain_entries, plain
from sparknet.compiler.bindings import elaborate_binding, is_prepared
from sparknet.compiler.elaborate_feeding import FEEDING_KEYS, elaborate_feeding
from sparknet.compiler.elaborate_losses import LOSS_KEYS, Judged, elaborate_losses
from sparknet.compiler.engines import check_settings
from sparknet.compiler.exchange import MOMENTS, check_exchange
from sparknet.compiler.functions import Fed
from sparknet.compiler.key_helps import called_help, key_help
from sparknet.compiler.net import NetInput, NetOutput, Preprocessing
from sparknet.compiler.optimizers import CLIPS, OPTIMIZERS
from sparknet.compiler.phases import Phase, misfit, unended
from sparknet.compiler.schedules import SCHEDULES
from sparknet.compiler.scope import Scope, describe, evaluate
from sparknet.compiler.sections import (
    CHECKPOINTS,
    DATA_KEYS,
    ROW_WEIGHT,
    ROW_WEIGHT_TYPE,
    SOURCE_KEYS,
    SUPPLY_KEYS,
    SYNCS,
    AverageSync,
    DataSection,
    PredictSection,
    TrainSection,
)
from sparknet.compiler.settings import SECTIONS
from sparknet.compiler.sources import SINKS, SOURCES
from sparknet.compiler.stopping import STOPS
from sparknet.compiler.supplies import elaborate_supplies
from sparknet.compiler.translate import word
from sparknet.grammar import limits, syntax
from sparknet.grammar.diagnostics import Diagnostic, SparkNetError
from sparknet.grammar.source import Source
from sparknet.grammar.suggest import closest

CALLS: dict[str, Mapping[str, type[BaseModel]]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "sync": SYNCS,
    "moments": MOMENTS,
    "clip": CLIPS,
    "early_stop": STOPS,
    "checkpoint": CHECKPOINTS,
    "input": SOURCES,
    "output": SINKS,
    **dict.fromkeys(SUPPLY_KEYS, SOURCES),
}
"""Keys whose values are written as `name(arguments)`, and what may be called there."""

PHASED = ("schedule",)
"""Those of them that take one value or a list of phases."""

MAX_PHASES = 100

Section = TypeVar("Section", TrainSection, PredictSection)


def unique_sections(file: syntax.File, source: Source, problems: list[Diagnostic]) -> dict[str, syntax.Section]:
    """The sections by name; unknown and repeated ones become problems."""
    sections: dict[str, syntax.Section] = {}
    scope = Scope(source, {})
    for item in file.items:
        if not isinstance(item, syntax.Section):
            continue
        name = item.name.text
        if name not in SECTIONS:
            near = closest(name, SECTIONS)
            help = f"did you mean `{near}`?" if near else "sections are `data`, `train` and `predict`"
            problems += scope.error("E0501", f"unknown section `{name}`", item.name, help).diagnostics
        elif name in sections:
            labels = scope.label(item.name, "given again here"), scope.label(sections[name].name, "first given here")
            problems.append(Diagnostic("E0205", f"section `{name}` is given twice", labels, (), ("join the two",)))
        else:
            sections[name] = item
    return sections


def elaborate_train(
    section: syntax.Section | None, judged: Judged | None, scope: Scope, problems: list[Diagnostic]
) -> TrainSection:
    """The `train` section, its defaults where a key or the whole section is left out.

    `judged` is None where the net is broken: then nothing is said about its outputs.
    """
    before = len(problems)
    train = _elaborated(TrainSection, section, scope, problems, judged)
    if section is not None and len(problems) == before:
        entries = {e.key.text: e for e in section.entries}
        problems.extend(_check_length(entries, train, scope))
        problems.extend(check_exchange(train, entries, scope))
        problems.extend(check_settings(train, entries, scope))
    return train


def _check_length(entries: Mapping[str, syntax.Entry], train: TrainSection, scope: Scope) -> Iterator[Diagnostic]:
    """Whether the run has one length, into which the phases fit as far as rows need not be known for that."""
    if "epochs" in entries and "steps" in entries:
        first, second = sorted((entries["epochs"], entries["steps"]), key=lambda entry: entry.span.start)
        labels = scope.label(second.key, "given here"), scope.label(first.key, f"`{first.key.text}` given here")
        message = "the length of a run is given in `epochs` or in `steps`, not in both"
        yield Diagnostic("E0502", message, labels, (), ("remove one of the two",))
        return
    run, unit = train.length
    if isinstance(train.sync, AverageSync) and train.sync.after >= (train.steps or inf):
        message = f"`average` begins after {train.sync.after:,} steps, but the run has {train.steps:,} steps"
        yield from scope.error(
            "E0502", message, entries["sync"].value, "lower `after`, or write `sync = step`"
        ).diagnostics
    for key in PHASED:
        phases: Sequence[Phase] = getattr(train, key)
        found = unended(phases)
        help = "put it last"
        if found is not None and phases[found.phase].lasts:
            help = "give it `steps` or `epochs`, or put it last"
        if found is None and all(phase.unit in (None, unit) for phase in phases):
            found = misfit(phases, [getattr(phase, unit) for phase in phases], run, unit)
            help = f"shorten the phases, or give the run more `{unit}`"
        if found is not None:
            value = entries[key].value
            node = value.items[found.phase] if isinstance(value, syntax.ListExpr) else value
            yield from scope.error("E0502", found.why, node, help).diagnostics


def elaborate_predict(section: syntax.Section | None, scope: Scope, problems: list[Diagnostic]) -> PredictSection:
    """The `predict` section, its defaults where a key or the whole section is left out."""
    return _elaborated(PredictSection, section, scope, problems)


def _elaborated(
    model: type[Section],
    section: syntax.Section | None,
    scope: Scope,
    problems: list[Diagnostic],
    judged: Judged | None = None,
) -> Section:
    """A section whose keys are the fields of a model, all of which have defaults."""
    if section is None:
        return model()
    values: dict[str, Any] = {}
    entries = _entries(section, list(model.model_fields), scope, problems)
    for entry in entries.values():
        value = None if entry.key.text in (*LOSS_KEYS, *FEEDING_KEYS) else _value(entry, scope, problems)
        if value is not None:
            values[entry.key.text] = value
    if judged is not None:
        values |= elaborate_losses(entries, judged, scope, problems)
        values |= elaborate_feeding(entries, judged.inputs, judged.outputs, scope, problems)
    try:
        return model.model_validate({key: plain(value) for key, value in values.items()})
    except ValidationError as error:
        problems.extend(explain_entries(error, entries, values, scope))
        return model()


def elaborate_data(
    section: syntax.Section | None,
    inputs: Sequence[NetInput],
    outputs: Sequence[NetOutput],
    scope: Scope,
    problems: list[Diagnostic],
    lost: Sequence[str] = (),
) -> tuple[DataSection | None, tuple[Preprocessing, ...]]:
    """The `data` section and the arithmetic of its bindings; None where there is no section.

    Of a net with mistakes not all inputs and outputs are known: keys named like those in `lost` are let pass.
    """
    if section is None:
        return None, ()
    fed = [*(Fed(i.name, i.type) for i in inputs), *(Fed.output(o) for o in outputs if o.like is None)]
    fed += [Fed(ROW_WEIGHT, ROW_WEIGHT_TYPE, "weight")] * any(e.key.text == ROW_WEIGHT for e in section.entries)
    ports = [port.name for port in fed]
    section = _without_likes(section, outputs, scope, problems)
    if not inputs:
        # The net lacks an input, which has been said: what is bound may be that.
        lost = [*lost, *(e.key.text for e in section.entries if isinstance(e.value, syntax.Call | syntax.Binary))]
    entries = _entries(section, [*DATA_KEYS, *ports, *(name for name in lost if name not in ports)], scope, problems)
    values = {key: _value(entries[key], scope, problems) for key in SOURCE_KEYS if key in entries}
    supplies = elaborate_supplies(section, entries, values, scope, problems)
    misspelt = {closest(e.key.text, ports) for e in section.entries if e.key.text not in {*entries, *ports}}
    bindings, preprocessing = [], []
    for port in fed:
        name = port.name
        if name not in entries:
            if name in misspelt:
                continue
            help = f'bind it to a column: `{name} = column("{name}")`'
            problems += scope.error("E0503", f"`{name}` of the net has no column", section.name, help).diagnostics
            continue
        try:
            binding = elaborate_binding(entries[name].value, port, scope)
            bindings.append(binding)
            if is_prepared(entries[name].value):
                preprocessing.append(Preprocessing(name, entries[name].value, binding.axis))
        except SparkNetError as error:
            problems.extend(error.diagnostics)
    if supplies is None or len(bindings) < len(ports):
        return None, ()
    return DataSection(supplies=supplies, bindings=tuple(bindings)), tuple(preprocessing)


def _without_likes(
    section: syntax.Section, outputs: Sequence[NetOutput], scope: Scope, problems: list[Diagnostic]
) -> syntax.Section:
    """The section without keys for outputs that are `like` an input: those become problems."""
    likes = {o.name: o.like for o in outputs if o.like is not None}
    for entry in section.entries:
        name = entry.key.text
        if name in likes:
            message = f"`{name}` is like `{likes[name]}` and needs no column"
            problems += scope.error("E0501", message, entry.key, "remove this line").diagnostics
    return section.model_copy(update={"entries": tuple(e for e in section.entries if e.key.text not in likes)})


def _entries(
    section: syntax.Section, known: Sequence[str], scope: Scope, problems: list[Diagnostic]
) -> dict[str, syntax.Entry]:
    entries: dict[str, syntax.Entry] = {}
    for entry in section.entries:
        key = entry.key.text
        if len(problems) >= limits.ERRORS:
            break
        if key not in known:
            message = f"section `{section.name.text}` has no key `{key}`"
            problems += scope.error("E0501", message, entry.key, key_help(entry, section, known, scope)).diagnostics
        elif key in entries:
            labels = scope.label(entry.key, "given again here"), scope.label(entries[key].key, "first given here")
            problems.append(Diagnostic("E0205", f"`{key}` is given twice", labels))
        else:
            entries[key] = entry
    return entries


def _value(entry: syntax.Entry, scope: Scope, problems: list[Diagnostic]) -> Any:
    """The value of one key, or None where it has become a problem."""
    try:
        table = CALLS.get(entry.key.text)
        if table is None:
            return evaluate(entry.value, scope)
        return _phases(entry, table, scope) if entry.key.text in PHASED else _called(entry, entry.value, table, scope)
    except SparkNetError as error:
        problems.extend(error.diagnostics)
        return None


def _phases(entry: syntax.Entry, table: Mapping[str, type[BaseModel]], scope: Scope) -> tuple[BaseModel, ...]:
    if not isinstance(entry.value, syntax.ListExpr):
        return (_called(entry, entry.value, table, scope),)
    if not 1 <= len(entry.value.items) <= MAX_PHASES:
        message = f"`{entry.key.text}` takes 1 to {MAX_PHASES} phases, found {len(entry.value.items)}"
        raise scope.error("E0502", message, entry.value)
    phases: list[BaseModel] = []
    problems: list[Diagnostic] = []
    for item in entry.value.items:
        try:
            phases.append(_called(entry, item, table, scope))
        except SparkNetError as error:
            problems.extend(error.diagnostics)
    if problems:
        raise SparkNetError(problems)
    return tuple(phases)


def _called(entry: syntax.Entry, value: syntax.Expr, table: Mapping[str, type[BaseModel]], scope: Scope) -> BaseModel:
    if isinstance(value, syntax.Name):
        name = syntax.Identifier(span=value.span, text=value.text)
        value = syntax.Call(span=value.span, name=name, arguments=None)
    names = ", ".join(f"`{n}`" for n in table)
    what = "source" if table is SOURCES else entry.key.text
    if not isinstance(value, syntax.Call):
        found = evaluate(value, scope)
        wanted = 'a source, such as `csv("rows.csv")`' if table is SOURCES else f"one of {names}"
        message = f"`{entry.key.text}` must be {wanted}, found {describe(found)}"
        raise scope.error("E0502", message, value, called_help(what, value, table, scope))
    if value.name.text not in table:
        known = word(what, value.name.text, table)
        near = known or closest(value.name.text, table)
        help = f"did you mean `{near}`?" if near else f"write one of {names}"
        raise scope.error("E0502", f"unknown {what} `{value.name.text}`", value.name, help)
    return bind(table[value.name.text], value, scope)
