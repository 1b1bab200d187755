"""Elaboration: from the syntax tree to a flat net, with imports, lets, blocks, repeats and conditions resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sparknet.compiler.arguments import bind, place, validated
from sparknet.compiler.definitions import Definition
from sparknet.compiler.forms import form_of
from sparknet.compiler.layers import JOINS, LAYERS, Join, Layer, LayerTuple, Onnx
from sparknet.compiler.models import Models
from sparknet.compiler.net import BlockUse, LayerUse, NetInput, NetOutput, ValueId
from sparknet.compiler.ports import DERIVED, LENGTHS, check_port_name, input_type, output_type
from sparknet.compiler.scope import Scope, Word, describe, evaluate, is_choice, misplaced, unknown_word
from sparknet.compiler.synonyms import plain_name
from sparknet.compiler.translate import layer_helps, written
from sparknet.compiler.values import with_values
from sparknet.compiler.work import Work
from sparknet.grammar import limits, syntax
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.source import Source
from sparknet.grammar.suggest import closest

MAX_LAYERS = 10_000
MAX_REPEAT = 10_000
MAX_BLOCK_DEPTH = 32
MAX_PORTS = 1000
MAX_JOINED = 1000
_WORK_OF_BLOCK = 10


@dataclass
class Body:
    """The state of walking through the statements of a net or a block.

    `at_hand` is the value that the next layer gets. It is None before the first input, and after an error, when
    `broken` keeps one mistake from causing complaints about everything behind it.
    """

    scope: Scope
    blocks: Mapping[str, Definition]
    problems: list[Diagnostic]
    lets: Mapping[str, Any]
    models: Models
    work: Work = field(default_factory=Work)
    at_hand: ValueId | None = None
    code: ValueId | None = None
    """What the `encoder` above has given."""
    broken: bool = False
    values: dict[str, ValueId] = field(default_factory=dict)
    inputs: list[NetInput] = field(default_factory=list)
    layers: list[LayerUse] = field(default_factory=list)
    outputs: list[NetOutput] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    ports: set[str] = field(default_factory=set)
    declared: frozenset[str] = frozenset()
    """The names of all inputs and outputs, those further down included."""
    lost: set[str] = field(default_factory=set)
    """Values that mistakes left without a meaning: what uses them fails without a word."""
    callers: tuple[Label, ...] = ()
    """The uses of blocks that led here, innermost first, each once however often a block uses itself."""
    uses: tuple[BlockUse, ...] = ()
    depth: int = 0

    def run(self, statements: Sequence[syntax.Statement]) -> None:
        """Walk through statements; what is wrong with one is noted, and the next one looked at."""
        for statement in statements:
            if len(self.problems) >= limits.ERRORS:
                self.broken, self.at_hand = True, None
                return
            before = self.at_hand
            try:
                self.work.walk(statement, self.scope)
                self._statement(statement)
            except SparkNetError as error:
                self.problems.extend(replace(d, labels=(*d.labels, *self.callers)) for d in error.diagnostics)
                self.broken = True
                # What only names a value leaves the value at hand as it was, also where it fails.
                self.at_hand = before if isinstance(statement, syntax.Assign | syntax.Output) else None
                if isinstance(statement, syntax.Assign | syntax.Input):
                    self.lost.add(statement.name.text)

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
        for port, label in [*((i.name, i.label) for i in self.inputs), *((o.name, o.label) for o in self.outputs)]:
            stem = next((s for s in DERIVED if port.endswith(s) and port.removesuffix(s) in self.ports), None)
            if stem is not None:
                message = f"`{port}` is what the graphs call the {stem[1:]} of `{port.removesuffix(stem)}`"
                self.problems.append(Diagnostic("E0205", message, (label,), (), ("give it another name",)))
            if any(port == i.type.lengths for i in self.inputs):
                message = f"`{port}` is what the graphs call the lengths of `{port.removesuffix(LENGTHS)}`"
                self.problems.append(Diagnostic("E0205", message, (label,), (), ("give it another name",)))

    def _statement(self, statement: syntax.Statement) -> None:
        match statement:
            case syntax.Chain():
                self.at_hand = self._chain(statement)
            case syntax.Assign():
                before = self.at_hand
                self.values[statement.name.text] = self._chain(statement.value)
                self.lost.discard(statement.name.text)
                self.at_hand = before
            case syntax.Input():
                self._input(statement)
            case syntax.Output():
                self._output(statement)
            case syntax.Repeat():
                known = len(self.problems)
                for _ in range(self._count(statement.count)):
                    self.work.add(1, statement, self.scope)
                    self.run(statement.body)
                    if len(self.problems) > known or (self.broken and self.at_hand is None):
                        break
            case syntax.If():
                self.run(statement.then if self._condition(statement.condition) else statement.orelse)
            case syntax.Part():
                self.run(statement.body)
                self.code = self.at_hand if statement.name.text == "encoder" else self.code

    # ----- inputs and outputs -----

    def _input(self, statement: syntax.Input) -> None:
        self._new_port(statement.name)
        name = statement.name.text
        found = NetInput(name, input_type(name, statement.type, self.scope), self.scope.label(statement.name))
        self.inputs.append(found)
        self.values[found.name] = self.at_hand = found.name

    def _output(self, statement: syntax.Output) -> None:
        self._new_port(statement.name)
        before = self.at_hand
        kind, shape = output_type(statement.type, {i.name: i.type for i in self.inputs}, self.scope)
        like = statement.type.name.text if kind == "like" else None
        value = self._chain(statement.value) if statement.value else self._hand(statement)
        label = self.scope.label(statement.type)
        code = None if like is None else self.code
        self.outputs.append(NetOutput(statement.name.text, kind, shape, value, label, like, code))
        self.at_hand = before

    def _new_port(self, name: syntax.Identifier) -> None:
        if self.depth:
            raise self.scope.error("E0209", "inputs and outputs belong to the net, not to a block", name)
        check_port_name(name, self.scope)
        if len(self.ports) >= MAX_PORTS and not self.work.is_over:
            self.work.is_over = True
            raise self.scope.error("E0208", f"a net of more than {MAX_PORTS:,} inputs and outputs", name)
        if name.text in self.ports:
            raise self.scope.error(
                "E0205", f"`{name.text}` is already an input or an output", name, "give it another name"
            )
        self.ports.add(name.text)

    # ----- chains -----

    def _chain(self, chain: syntax.Chain) -> ValueId:
        """The value of a chain. Behind a step that is wrong the others are looked at all the same."""
        problems: list[Diagnostic] = []
        fails = False
        for position, step in enumerate(chain.steps):
            try:
                self.at_hand = self._step(step, first=position == 0)
            except SparkNetError as error:
                problems += error.diagnostics
                fails = self.broken = True
                self.at_hand = None
        if fails:
            raise SparkNetError(problems)
        return self._hand(chain)

    def _step(self, step: syntax.Step, first: bool) -> ValueId:
        if isinstance(step, syntax.LayerTuple):
            return self._use(self._tuple(step), step)
        step = self._spelled(step)
        name = step.name.text
        if step.arguments is None and name in self.lost:
            raise SparkNetError([])
        if step.arguments is None and name in self.values:
            if not first:
                help = f"start the line with it: `{name} -> ...`"
                raise self.scope.error("E0209", f"`{name}` is a value, not a layer", step, help)
            return self.values[name]
        if name in self.blocks or (name in LAYERS and form_of(LAYERS[name]).names[:1] != ("kind",)):
            self._check_no_value(step)
        if name in self.blocks:
            return self._block(self.blocks[name], step)
        if name in LAYERS:
            return self._use(bind(LAYERS[name], step, self.scope), step)
        if name in JOINS:
            return self._join(step)
        raise self._unknown(step, first)

    def _spelled(self, step: syntax.Call) -> syntax.Call:
        """A step with the word in the place of a `let` that holds it: `-> activation`."""
        word = self.scope.names.get(step.name.text)
        if step.arguments is not None or step.name.text in self.values or not isinstance(word, Word):
            return step
        return step.model_copy(update={"name": step.name.model_copy(update={"text": word.text})})

    def _check_no_value(self, step: syntax.Call) -> None:
        """A value is led into a layer by an arrow; as an argument, `dense(x, 16)`, it is none."""
        arguments = step.arguments or ()
        first = arguments[0].value if arguments and arguments[0].key is None else None
        if not isinstance(first, syntax.Name) or first.text not in self.values or first.text in self.scope.names:
            return
        rest = ", ".join(written(argument, self.scope) for argument in arguments[1:])
        help = f"write `{first.text} -> {step.name.text}{f'({rest})' if rest else ''}`"
        message = f"`{first.text}` is a value, not an argument of `{step.name.text}`"
        raise self.scope.error("E0209", message, first, help)

    def _join(self, step: syntax.Call) -> ValueId:
        """`add(a, b)` joins the values named; with one name it joins that to the value at hand."""
        arguments = step.arguments or ()
        named = [self._named(a.value, step) for a in arguments if a.key is None]
        if not named and self.at_hand is None and self.broken:
            raise SparkNetError([])
        if not named:
            message = f"`{step.name.text}` needs the names of the values to join"
            raise self.scope.error("E0302", message, step, f"write `{step.name.text}(a, b)`")
        if len(named) > MAX_JOINED:
            raise self.scope.error("E0208", f"more than {MAX_JOINED:,} values joined at once", step)
        values = named if len(named) > 1 else [self._hand(step), *named]
        options = step.model_copy(update={"arguments": tuple(a for a in arguments if a.key is not None)})
        return self._use(bind(JOINS[step.name.text], options, self.scope), step, tuple(values))

    def _named(self, expr: syntax.Expr, step: syntax.Call) -> ValueId:
        if isinstance(expr, syntax.Name) and expr.text in self.lost:
            raise SparkNetError([])
        if isinstance(expr, syntax.Name) and expr.text in self.values:
            return self.values[expr.text]
        if not isinstance(expr, syntax.Name):
            raise self.scope.error("E0303", "expected the name of a value", expr, self._names_help(expr, step))
        near = "in" if expr.text in ("input", "x") and "in" in self.values else None
        near = near or closest(expr.text, [*self.values, *self.lost])
        help = f"did you mean `{near}`?" if near else f"name it first: `{expr.text} = ...`"
        raise self.scope.error("E0202", f"unknown value `{expr.text}`", expr, help)

    def _names_help(self, expr: syntax.Expr, step: syntax.Call) -> str:
        """What to write for an argument of a joining layer that is no name."""
        parts: tuple[syntax.Expr, ...] = ()
        if isinstance(expr, syntax.ListExpr):
            parts = expr.items
        elif isinstance(expr, syntax.Binary) and expr.operator in ("+", "*"):
            parts = (expr.left, expr.right)
        if parts and all(isinstance(part, syntax.Name) for part in parts):
            return f"write `{step.name.text}({', '.join(written(part, self.scope) for part in parts)})`"
        return "name it first: `short = ...`"

    def _unknown(self, step: syntax.Call, first: bool) -> SparkNetError:
        name = step.name.text
        if is_choice(step):
            return misplaced(step, self.scope)
        own = [*self.blocks, *self.values]
        helps = [] if any(plain_name(o) == plain_name(name) for o in own) else layer_helps(step, self.scope)
        if not helps:
            near = closest(name, [*LAYERS, *JOINS, *own])
            every = f"layers are {', '.join(f'`{n}`' for n in (*LAYERS, *JOINS))}"
            if near is None and step.arguments is None:
                # What is no layer and has no arguments was to be a value.
                self.lost.add(name)
                every = f"a value is named in front: `{name} = ...`" + ", or is an `input`" * first
            helps = [f"did you mean `{near}`?" if near else every]
        return self.scope.error("E0201", f"unknown layer `{name}`", step.name, *helps)

    def _tuple(self, step: syntax.LayerTuple) -> Layer:
        fields = list(LayerTuple.model_fields)
        if len(step.items) != len(fields):
            message = f"a layer tuple has {len(fields)} items, this one has {len(step.items)}"
            help = 'write `(size, kernel height, kernel width, filters, "ACTIVATION")`'
            if all(isinstance(item, syntax.Name) and item.text in self.values for item in step.items):
                help = f"values are joined by a layer: `concat{written(step, self.scope)}`"
            raise self.scope.error("E0303", message, step, help)
        values = {name: evaluate(item, self.scope) for name, item in zip(fields, step.items, strict=True)}
        places = dict(zip(fields, step.items, strict=True))
        return validated(
            LayerTuple, values, places, step, lambda name: f"the {name.replace('_', ' ')} of a tuple", self.scope
        )

    def _use(self, layer: Layer | Join, step: syntax.Step, joined: tuple[ValueId, ...] | None = None) -> ValueId:
        inputs = joined or (self._hand(step),)
        if isinstance(layer, Onnx) and isinstance(step, syntax.Call):
            layer = self.models.opened(layer, step, self.scope)
        if len(self.layers) >= MAX_LAYERS:
            raise self.scope.error("E0208", f"a net of more than {MAX_LAYERS:,} layers", step)
        name = self._new_name(layer.label)
        text = with_values(step, self.scope)
        sized = self.scope.label(step.items[0] if isinstance(step, syntax.LayerTuple) else step)
        self.layers.append(
            LayerUse(name, text, layer, inputs, (self.scope.label(step), *self.callers), sized, self.uses)
        )
        return name

    def _new_name(self, label: str) -> ValueId:
        """`dense1`, `dense2`, ..., but none that an input or an output of the net has."""
        name = ""
        while not name or name in self.declared:
            self.counts[label] = self.counts.get(label, 0) + 1
            name = f"{label}{self.counts[label]}"
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

    def _block(self, definition: Definition, step: syntax.Call) -> ValueId:
        block = definition.item
        assert isinstance(block, syntax.Block)  # noqa: S101 - lets are not among the blocks
        if self.depth >= MAX_BLOCK_DEPTH:
            message = f"blocks are nested more than {MAX_BLOCK_DEPTH} deep; does `{block.name.text}` use itself?"
            raise self.scope.error("E0208", message, step)
        self.work.add(_WORK_OF_BLOCK, step, self.scope)
        caller = self.scope.label(step, f"in this use of `{block.name.text}`")
        x = self._hand(step)
        callers = self.callers if caller in self.callers else (caller, *self.callers)
        inner = replace(
            self,
            scope=self._inside(definition.source, block, step),
            values={"in": x},
            lost=set(),
            callers=callers,
            uses=(*self.uses, BlockUse(self.work.done, caller, with_values(step, self.scope))),
            depth=self.depth + 1,
            broken=False,
        )
        inner.run(block.body)
        self.broken |= inner.broken
        if inner.at_hand is None:
            raise SparkNetError([])
        return inner.at_hand

    def _inside(self, source: Source, block: syntax.Block, step: syntax.Call) -> Scope:
        """What a block sees: the lets and its parameters, not the parameters of the block that uses it."""
        given = self._arguments(block, step)
        names = {**self.lets, **given}
        inside = Scope(source, names, block=block.name.text)
        for parameter in block.parameters:
            if parameter.name.text not in given and parameter.default is not None:
                names[parameter.name.text] = evaluate(parameter.default, inside)
        return inside

    def _arguments(self, block: syntax.Block, step: syntax.Call) -> dict[str, Any]:
        """What a use of a block gives to its parameters, all of those that have no default among them."""
        names = [p.name.text for p in block.parameters]
        placed, problems = place(step, names, self.scope)
        needed = [p.name.text for p in block.parameters if p.default is None]
        if not problems and (missing := [name for name in needed if name not in placed]):
            given = {name: written(argument.value, self.scope) for name, argument in placed.items()}
            shown = [given.get(n, n) if n in needed else f"{n}: {given[n]}" for n in names if n in (*needed, *given)]
            usage = f"write `{block.name.text}({', '.join(shown)})`"
            problems += self.scope.error("E0302", f"`{block.name.text}` needs `{missing[0]}`", step, usage).diagnostics
        values: dict[str, Any] = {}
        for name, argument in placed.items():
            try:
                values[name] = evaluate(argument.value, self.scope)
            except SparkNetError as error:
                problems += error.diagnostics
        if problems or len(values) < len(placed):
            raise SparkNetError(problems)
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
