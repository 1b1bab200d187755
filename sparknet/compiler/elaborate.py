"""Elaboration: from the syntax tree to a flat net, with lets, blocks, repeats and conditions resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from sparknet.compiler.arguments import bind, explain_value, plain
from sparknet.compiler.elaborate_losses import Judged
from sparknet.compiler.elaborate_sections import elaborate_data, elaborate_train, unique_sections
from sparknet.compiler.layers import JOINS, LAYERS, Join, Layer, LayerTuple
from sparknet.compiler.net import ElaboratedNet, LayerUse, NetInput, NetOutput, ValueId
from sparknet.compiler.ports import check_port_name, input_type, output_type
from sparknet.compiler.scope import Scope, Word, describe, evaluate, unknown_word
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.source import Source
from sparknet.grammar.suggest import closest

MAX_LAYERS = 20_000
MAX_REPEAT = 10_000
MAX_BLOCK_DEPTH = 32


def elaborate(file: syntax.File, source: Source) -> ElaboratedNet:
    """The one net of `file` and its sections; raises SparkNetError with everything found wrong."""
    problems: list[Diagnostic] = []
    lets = _lets(file, source, problems)
    blocks = {item.name.text: item for item in file.items if isinstance(item, syntax.Block)}
    nets = [item for item in file.items if isinstance(item, syntax.Net)]
    problems += [_unsupported(item, source) for item in file.items if isinstance(item, syntax.Import)]
    if len(nets) != 1:
        raise SparkNetError([*problems, _one_net(nets, source)])
    body = _Body(Scope(source, lets), blocks, problems)
    body.run(nets[0].body)
    body.finish(nets[0])
    sections = unique_sections(file, source, problems)
    scope = Scope(source, lets)
    judged = None if body.broken else Judged(body.outputs, body.layers)
    train = elaborate_train(sections.get("train"), judged, scope, problems)
    data, preprocessing = elaborate_data(sections.get("data"), body.inputs, body.outputs, scope, problems)
    if problems:
        raise SparkNetError(sorted(problems, key=lambda d: d.labels[0].span.start if d.labels else -1))
    return ElaboratedNet(
        name=nets[0].name.text,
        source=source,
        inputs=tuple(body.inputs),
        layers=tuple(body.layers),
        outputs=tuple(body.outputs),
        preprocessing=preprocessing,
        lets={k: v for k, v in lets.items() if isinstance(v, int | float)},
        data=data,
        train=train,
    )


def _lets(file: syntax.File, source: Source, problems: list[Diagnostic]) -> dict[str, Any]:
    """Values of the lets, each allowed to use those above it."""
    values: dict[str, Any] = {}
    for item in file.items:
        if isinstance(item, syntax.Let):
            try:
                value = evaluate(item.value, Scope(source, values))
                if isinstance(value, Word):
                    raise unknown_word(value.text, item.value, Scope(source, values))
                values[item.name.text] = value
            except SparkNetError as error:
                problems.extend(error.diagnostics)
    return values


def _one_net(nets: Sequence[syntax.Net], source: Source) -> Diagnostic:
    if not nets:
        return Diagnostic("E0203", "this file has no net", (), (), ("write `net Name { ... }`",))
    labels = tuple(Label(source, net.name.span) for net in nets[1:])
    return Diagnostic("E0203", "this file has more than one net", labels, (), ("keep one net in a file",))


def _unsupported(item: syntax.Node, source: Source) -> Diagnostic:
    return Diagnostic("E0209", "imports are not supported yet", (Label(source, item.span),))


@dataclass
class _Body:
    """The state of walking through the statements of a net or a block.

    `at_hand` is the value that the next layer gets. It is None before the first input, and after an error, when
    `broken` keeps one mistake from causing complaints about everything behind it.
    """

    scope: Scope
    blocks: Mapping[str, syntax.Block]
    problems: list[Diagnostic]
    at_hand: ValueId | None = None
    broken: bool = False
    values: dict[str, ValueId] = field(default_factory=dict)
    inputs: list[NetInput] = field(default_factory=list)
    layers: list[LayerUse] = field(default_factory=list)
    outputs: list[NetOutput] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    callers: tuple[Label, ...] = ()
    """The uses of blocks that led here, innermost first, each once however often a block uses itself."""
    depth: int = 0

    def run(self, statements: Sequence[syntax.Statement]) -> None:
        for statement in statements:
            try:
                self._statement(statement)
            except SparkNetError as error:
                self.problems.extend(replace(d, labels=(*d.labels, *self.callers)) for d in error.diagnostics)
                self.broken, self.at_hand = True, None

    def finish(self, net: syntax.Net) -> None:
        """Complain about what a whole net must have."""
        if self.broken:
            return
        for what, missing, example in (
            ("input", not self.inputs, "input image: float[1, 8, 8]"),
            ("output", not self.outputs, "output digit: class[10]"),
        ):
            if missing:
                message = f"net `{net.name.text}` has no {what}"
                self.problems += self.scope.error(
                    "E0204", message, net.name, f"add a line such as `{example}`"
                ).diagnostics

    def _statement(self, statement: syntax.Statement) -> None:
        match statement:
            case syntax.Chain():
                self.at_hand = self._chain(statement)
            case syntax.Assign():
                before = self.at_hand
                self.values[statement.name.text] = self._chain(statement.value)
                self.at_hand = before
            case syntax.Input():
                self._input(statement)
            case syntax.Output():
                self._output(statement)
            case syntax.Repeat():
                for _ in range(self._count(statement.count)):
                    self.run(statement.body)
                    if self.broken:
                        break
            case syntax.If():
                self.run(statement.then if self._condition(statement.condition) else statement.orelse)
            case syntax.Part():
                self.run(statement.body)

    # ----- inputs and outputs -----

    def _input(self, statement: syntax.Input) -> None:
        self._new_port(statement.name)
        found = NetInput(statement.name.text, input_type(statement.type, self.scope), self.scope.label(statement.name))
        self.inputs.append(found)
        self.values[found.name] = self.at_hand = found.name

    def _output(self, statement: syntax.Output) -> None:
        self._new_port(statement.name)
        before = self.at_hand
        kind, shape = output_type(statement.type, {i.name: i.type for i in self.inputs}, self.scope)
        like = statement.type.name.text if kind == "like" else None
        value = self._chain(statement.value) if statement.value else self._hand(statement)
        label = self.scope.label(statement.type)
        self.outputs.append(NetOutput(statement.name.text, kind, shape, value, label, like))
        self.at_hand = before

    def _new_port(self, name: syntax.Identifier) -> None:
        if self.callers:
            raise self.scope.error("E0209", "inputs and outputs belong to the net, not to a block", name)
        check_port_name(name, self.scope)
        if name.text in {*(i.name for i in self.inputs), *(o.name for o in self.outputs)}:
            raise self.scope.error(
                "E0205", f"`{name.text}` is already an input or an output", name, "give it another name"
            )

    # ----- chains -----

    def _chain(self, chain: syntax.Chain) -> ValueId:
        for position, step in enumerate(chain.steps):
            self.at_hand = self._step(step, first=position == 0)
        return self._hand(chain)

    def _step(self, step: syntax.Step, first: bool) -> ValueId:
        if isinstance(step, syntax.LayerTuple):
            return self._use(self._tuple(step), step)
        name = step.name.text
        if step.arguments is None and name in self.values:
            if not first:
                help = f"start the line with it: `{name} -> ...`"
                raise self.scope.error("E0209", f"`{name}` is a value, not a layer", step, help)
            return self.values[name]
        if name in self.blocks:
            return self._block(self.blocks[name], step)
        if name in LAYERS:
            return self._use(bind(LAYERS[name], step, self.scope), step)
        if name in JOINS:
            return self._join(step)
        raise self._unknown(step)

    def _join(self, step: syntax.Call) -> ValueId:
        """`add(a, b)` joins the values named; with one name it joins that to the value at hand."""
        arguments = step.arguments or ()
        named = [self._named(a.value) for a in arguments if a.key is None]
        if not named:
            message = f"`{step.name.text}` needs the names of the values to join"
            raise self.scope.error("E0302", message, step, f"write `{step.name.text}(a, b)`")
        values = named if len(named) > 1 else [self._hand(step), *named]
        options = step.model_copy(update={"arguments": tuple(a for a in arguments if a.key is not None)})
        return self._use(bind(JOINS[step.name.text], options, self.scope), step, tuple(values))

    def _named(self, expr: syntax.Expr) -> ValueId:
        if isinstance(expr, syntax.Name) and expr.text in self.values:
            return self.values[expr.text]
        if not isinstance(expr, syntax.Name):
            raise self.scope.error("E0303", "expected the name of a value", expr, "name it first: `short = ...`")
        near = closest(expr.text, self.values)
        help = f"did you mean `{near}`?" if near else f"name it first: `{expr.text} = ...`"
        raise self.scope.error("E0202", f"unknown value `{expr.text}`", expr, help)

    def _unknown(self, step: syntax.Call) -> SparkNetError:
        name = step.name.text
        known = [*LAYERS, *JOINS]
        near = closest(name, [*known, *self.blocks, *self.values])
        help = f"did you mean `{near}`?" if near else f"layers are {', '.join(f'`{n}`' for n in known)}"
        return self.scope.error("E0201", f"unknown layer `{name}`", step.name, help)

    def _tuple(self, step: syntax.LayerTuple) -> Layer:
        fields = list(LayerTuple.model_fields)
        if len(step.items) != len(fields):
            message = f"a layer tuple has {len(fields)} items, this one has {len(step.items)}"
            help = 'write `(size, kernel height, kernel width, filters, "ACTIVATION")`'
            raise self.scope.error("E0303", message, step, help)
        values = {name: evaluate(item, self.scope) for name, item in zip(fields, step.items, strict=True)}
        try:
            return LayerTuple.model_validate({name: plain(value) for name, value in values.items()})
        except ValidationError as error:
            found: list[Diagnostic] = []
            for detail in error.errors():
                place = fields.index(str(detail["loc"][0]))
                why, advice = explain_value(detail, values)
                message = f"the {fields[place].replace('_', ' ')} of a tuple {why}"
                found += self.scope.error("E0303", message, step.items[place], advice).diagnostics
            raise SparkNetError(found) from None

    def _use(self, layer: Layer | Join, step: syntax.Step, joined: tuple[ValueId, ...] | None = None) -> ValueId:
        inputs = joined or (self._hand(step),)
        if len(self.layers) >= MAX_LAYERS:
            raise self.scope.error("E0208", f"a net of more than {MAX_LAYERS:,} layers", step)
        self.counts[layer.label] = self.counts.get(layer.label, 0) + 1
        name = f"{layer.label}{self.counts[layer.label]}"
        text = " ".join(self.scope.source.text[step.span.start : step.span.end].split())
        sized = self.scope.label(step.items[0] if isinstance(step, syntax.LayerTuple) else step)
        self.layers.append(LayerUse(name, text, layer, inputs, (self.scope.label(step), *self.callers), sized))
        return name

    def _hand(self, node: syntax.Node) -> ValueId:
        """The value at hand, which must be there."""
        if self.at_hand is None:
            if self.broken:
                raise SparkNetError([])
            raise self.scope.error(
                "E0206", "there is no value to start from", node, "declare an `input` above this line"
            )
        return self.at_hand

    # ----- blocks, repeats, conditions -----

    def _block(self, block: syntax.Block, step: syntax.Call) -> ValueId:
        if self.depth >= MAX_BLOCK_DEPTH:
            message = f"blocks are nested more than {MAX_BLOCK_DEPTH} deep; does `{block.name.text}` use itself?"
            raise self.scope.error("E0208", message, step)
        caller = self.scope.label(step, f"in this use of `{block.name.text}`")
        x = self._hand(step)
        callers = self.callers if caller in self.callers else (caller, *self.callers)
        inner = replace(
            self,
            scope=Scope(self.scope.source, {**self.scope.names, **self._arguments(block, step)}),
            values={"in": x},
            callers=callers,
            depth=self.depth + 1,
        )
        inner.run(block.body)
        self.broken = inner.broken
        if inner.broken:
            raise SparkNetError([])
        return inner._hand(step)

    def _arguments(self, block: syntax.Block, step: syntax.Call) -> dict[str, Any]:
        values: dict[str, Any] = {}
        names = [p.name.text for p in block.parameters]
        for position, argument in enumerate(step.arguments or ()):
            if argument.key is None and position >= len(names):
                raise self.scope.error("E0304", f"`{block.name.text}` takes at most {len(names)} arguments", argument)
            name = argument.key.text if argument.key else names[position]
            if name not in names:
                near = closest(name, names)
                help = f"did you mean `{near}`?" if near else None
                raise self.scope.error("E0301", f"`{block.name.text}` has no argument `{name}`", argument, help)
            if name in values:
                raise self.scope.error("E0305", f"`{name}` of `{block.name.text}` is given twice", argument)
            values[name] = evaluate(argument.value, self.scope)
        for parameter in block.parameters:
            if parameter.name.text not in values:
                if parameter.default is None:
                    raise self.scope.error("E0302", f"`{block.name.text}` needs `{parameter.name.text}`", step)
                values[parameter.name.text] = evaluate(parameter.default, self.scope)
        return values

    def _count(self, expr: syntax.Expr) -> int:
        count = evaluate(expr, self.scope)
        if isinstance(count, Word):
            raise unknown_word(count.text, expr, self.scope)
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_REPEAT:
            message = f"`repeat` needs a whole number from 0 to {MAX_REPEAT:,}, found {describe(count)}"
            raise self.scope.error("E0303", message, expr)
        return count

    def _condition(self, expr: syntax.Expr) -> bool:
        value = evaluate(expr, self.scope)
        if isinstance(value, Word):
            raise unknown_word(value.text, expr, self.scope)
        if not isinstance(value, bool):
            raise self.scope.error(
                "E0303", f"`if` needs a condition, found {describe(value)}", expr, "compare it: `x != 1`"
            )
        return value
