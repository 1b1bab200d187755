"""Examining a file: its definitions, its net, the blocks that the net leaves alone and its sections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sparknet.compiler.choices import Choice, Choices, choose_keys
from sparknet.compiler.definitions import definitions, let_values
from sparknet.compiler.elaborate import Body
from sparknet.compiler.elaborate_losses import Judged
from sparknet.compiler.elaborate_sections import elaborate_data, elaborate_predict, elaborate_train, unique_sections
from sparknet.compiler.elaborate_stop import check_early_stop
from sparknet.compiler.models import Models
from sparknet.compiler.net import ElaboratedNet
from sparknet.compiler.outline import outline
from sparknet.compiler.reach import Reach
from sparknet.compiler.scope import Scope
from sparknet.compiler.sections import PredictSection
from sparknet.compiler.settings import read_settings
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.source import Source


def examine(
    file: syntax.File, source: Source, settings: Sequence[str] = (), root: Path | None = None
) -> tuple[ElaboratedNet | None, list[Diagnostic]]:
    """As much of the one net of `file` as can be understood, None without a net, and what is wrong.

    Args:
        file: The tree.
        source: Its text.
        settings: What `--set` gives, such as `width=32` or `train.epochs=2`.
        root: The folder below which imports may reach; by default that of the file.
    """
    problems: list[Diagnostic] = []
    given = read_settings(settings, problems)
    found, complete = definitions(file, source, root, problems)
    choices: list[Choice] = []
    lets = let_values(found, given, problems, choices)
    problems += given.unknown(lets)
    models = Models(Reach(source, root))
    blocks = {d.name: d for d in found if isinstance(d.item, syntax.Block)}
    nets = [item for item in file.items if isinstance(item, syntax.Net)]
    if len(nets) != 1:
        outline(blocks, lets, models, problems)
        problems.append(_one_net(nets, source))
        return None, problems
    body = Body(Scope(source, lets), blocks, problems, lets, models, declared=frozenset(_ports(nets[0].body)))
    body.run(nets[0].body)
    body.finish(nets[0])
    outline(blocks, lets, models, problems)
    file, placement = given.put_into(file, source, problems)
    sections = unique_sections(file, source, problems)
    scope = Scope(source, lets, placement)
    sections, keys = _chosen(sections, scope, choices, problems)
    judged = None if body.broken else Judged(body.outputs, body.layers, body.inputs)
    train = elaborate_train(sections.get("train"), judged, scope, problems)
    lost = tuple(_ports(nets[0].body)) if body.broken else ()
    data, preprocessing = elaborate_data(sections.get("data"), body.inputs, body.outputs, scope, problems, lost)
    predict = elaborate_predict(sections.get("predict"), scope, problems)
    if not complete:
        # What an import would have brought is not known, so nothing can be called unknown.
        problems = [d for d in problems if d.code not in {"E0201", "E0202"}]
    net = ElaboratedNet(
        name=nets[0].name.text,
        label=Label(source, nets[0].name.span),
        source=source,
        inputs=tuple(body.inputs),
        layers=tuple(body.layers),
        outputs=() if body.broken else tuple(body.outputs),
        preprocessing=preprocessing,
        lets={k: v for k, v in lets.items() if isinstance(v, int | float)},
        data=data,
        train=train,
        predict=predict,
        choices=Choices(tuple(choices), keys),
    )
    problems += check_early_stop(net, sections.get("train"), scope)
    return net, problems


def predict_section(file: syntax.File, source: Source) -> PredictSection:
    """The `predict` section of a file that stands alone, without a look at its net. Raises SparkNetError."""
    problems: list[Diagnostic] = []
    found, _ = definitions(file, source, None, problems)
    lets = let_values(found, read_settings((), problems), problems, [])
    section = unique_sections(file, source, problems).get("predict")
    predict = elaborate_predict(section, Scope(source, lets), problems)
    if problems:
        raise SparkNetError(problems)
    return predict


def _chosen(
    sections: Mapping[str, syntax.Section], scope: Scope, choices: list[Choice], problems: list[Diagnostic]
) -> tuple[dict[str, syntax.Section], dict[str, syntax.Expr]]:
    """The sections with the defaults of their choices, and the keys that hold some."""
    found: dict[str, syntax.Section] = {}
    keys: dict[str, syntax.Expr] = {}
    for name, section in sections.items():
        found[name], wrong = choose_keys(section, scope, choices, keys)
        problems += wrong
    return found, keys


def in_order(problems: Iterable[Diagnostic], source: Source) -> list[Diagnostic]:
    """Diagnostics by their places in the file; those in imported files by the import or the use that led there."""

    def place(diagnostic: Diagnostic) -> int:
        return next((label.span.start for label in diagnostic.labels if label.source is source), -1)

    return sorted(problems, key=place)


def _ports(body: Sequence[syntax.Statement]) -> Iterator[str]:
    """The names of all inputs and outputs that are declared, whether they can be understood or not."""
    for statement in body:
        match statement:
            case syntax.Input() | syntax.Output():
                yield statement.name.text
            case syntax.Repeat() | syntax.Part():
                yield from _ports(statement.body)
            case syntax.If():
                yield from _ports((*statement.then, *statement.orelse))


def _one_net(nets: Sequence[syntax.Net], source: Source) -> Diagnostic:
    if not nets:
        return Diagnostic("E0203", "this file has no net", (), (), ("write `net Name { ... }`",))
    labels = tuple(Label(source, net.name.span) for net in nets[1:])
    return Diagnostic("E0203", "this file has more than one net", labels, (), ("keep one net in a file",))
