"""The declared types of inputs and outputs, and the names that they may have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod

from sparknet.compiler.metrics import METRICS
from sparknet.compiler.net import OutputKind
from sparknet.compiler.scope import Scope, Word, describe, evaluate, unknown_word
from sparknet.compiler.sections import DATA_KEYS
from sparknet.compiler.translate import argument_help, word, written
from sparknet.compiler.types import TensorType
from sparknet.grammar import syntax
from sparknet.grammar.suggest import closest

_MEASURES = frozenset(METRICS) | {s.name for metric in METRICS.values() for s in metric().statistics(2)}
RESERVED = _MEASURES | frozenset(
    {"loss", "parameters", "optimizer_state", "learning_rate", "seed", "new_parameters", "new_optimizer_state"}
)
"""Names of the graphs' own inputs and outputs."""
DERIVED = ("_probability", "_error", "_code", "_predicted", *sorted(f"_{name}" for name in _MEASURES))
"""What is appended to the name of an output to name what comes with it."""
_RANKED = re.compile(r"(\w+_)?top_[0-9]+")
"""What the shares of classes among the likeliest few are called."""
LENGTHS = "_length"
"""What is appended to the name of an input of variable length to name the input that says its lengths."""
_EXAMPLES = {"float": "write `float[10]`", "token": "write `token[40, vocabulary: 5000]`"}
_VARIABLE = {
    "float": "write `float[40, 8, variable: true]`",
    "token": "write `token[60, vocabulary: 5000, variable: true]`",
}
_MAX_SIDE = 2**31 - 1
MAX_CLASSES = 1_000_000

INPUT_KINDS = ("float", "token")
OUTPUT_KINDS = ("class", "float", "bool")


def check_port_name(name: syntax.Identifier, scope: Scope) -> None:
    """Raises SparkNetError for a name that the graphs or the `data` section use for something else."""
    if name.text in RESERVED or _RANKED.fullmatch(name.text):
        message = f"`{name.text}` is a name that the compiled graphs use themselves"
        raise scope.error("E0205", message, name, "give it another name")
    if name.text in DATA_KEYS:
        raise scope.error("E0205", f"`{name.text}` is a key of the `data` section", name, "give it another name")


def input_type(name: str, declared: syntax.TypeExpr, scope: Scope) -> TensorType:
    """The type of the input `name`: `float[1, 8, 8]` or any other shape, or `token[40, vocabulary: 5000]`."""
    _check_kind(declared, "input", INPUT_KINDS, scope)
    kind = declared.name.text
    sizes = [a for a in declared.arguments or () if a.key is None]
    keyed = _keyed(declared, _EXAMPLES[kind], ("vocabulary", "variable") if kind == "token" else ("variable",), scope)
    if kind == "token" and (not sizes or "vocabulary" not in keyed):
        missing = "length" if not sizes else "vocabulary"
        length = written(sizes[0], scope) if sizes else "40"
        second = sizes[1:2] or ([keyed["vocabulary"]] if "vocabulary" in keyed else [])
        words = written(second[0].value, scope) if second else "5000"
        help = f"write `token[{length}, vocabulary: {words}]`"
        raise scope.error("E0404", f"`token` needs its {missing}", declared, help)
    if not sizes:
        raise scope.error("E0404", f"`{kind}` needs its sizes in brackets", declared, f"write `{kind}[10]`")
    shape = tuple(_size(argument, scope) for argument in sizes)
    vocabulary = _whole(keyed["vocabulary"], scope) if "vocabulary" in keyed else None
    lengths = f"{name}{LENGTHS}" if "variable" in keyed and _variable(keyed["variable"], kind, shape, scope) else None
    return TensorType("float32" if vocabulary is None else "int64", shape, vocabulary, lengths)


def _keyed(declared: syntax.TypeExpr, example: str, known: tuple[str, ...], scope: Scope) -> dict[str, syntax.Argument]:
    """The arguments of a type that have a name, by that."""
    found: dict[str, syntax.Argument] = {}
    for argument in declared.arguments or ():
        if argument.key is None:
            continue
        key, kind = argument.key.text, declared.name.text
        if key not in known:
            near = closest(key, known)
            help = argument_help(argument, known, scope) or (f"did you mean `{near}`?" if near else example)
            raise scope.error("E0404", f"`{kind}` has no argument `{key}`", argument.key, help)
        if key in found:
            raise scope.error("E0305", f"`{key}` of `{kind}` is given twice", argument)
        found[key] = argument
    return found


def _variable(argument: syntax.Argument, kind: str, shape: tuple[int, ...], scope: Scope) -> bool:
    """Whether the rows of an input may have fewer steps than its first size says."""
    value = evaluate(argument.value, scope)
    if isinstance(value, Word):
        raise unknown_word(value.text, argument.value, scope)
    if not isinstance(value, bool):
        message = f"`variable` must be `true` or `false`, found {describe(value)}"
        raise scope.error("E0404", message, argument.value, _VARIABLE[kind])
    if value and len(shape) != (1 if kind == "token" else 2):
        needs = "a number of steps" if kind == "token" else "steps and features"
        message = f"`variable: true` needs {needs}, found {len(shape)} size{'s' * (len(shape) > 1)}"
        alone = f"write `float[{shape[0]}, 1, variable: true]`" if kind == "float" and len(shape) == 1 else None
        raise scope.error("E0404", message, argument, alone or f"{_VARIABLE[kind]}")
    return value


def output_type(
    declared: syntax.TypeExpr | syntax.LikeType, inputs: Mapping[str, TensorType], scope: Scope
) -> tuple[OutputKind, tuple[int, ...]]:
    """Kind and shape of an output: `class[10]`, `float[1]`, `bool[30]`, or `like` one of the `inputs`."""
    if isinstance(declared, syntax.LikeType):
        return "like", _reconstructed(declared, inputs, scope).shape
    if declared.name.text in inputs and not declared.arguments:
        help = f"write `like {declared.name.text}`"
        raise scope.error("E0404", f"`{declared.name.text}` is an input, not a type", declared.name, help)
    _check_kind(declared, "output", OUTPUT_KINDS, scope)
    sizes = _sizes(declared, scope)
    kind = declared.name.text
    if len(sizes) != 1:
        help = f"put `flatten` before it and write `{kind}[{prod(sizes)}]`"
        raise scope.error("E0404", f"`{kind}` of an output takes one number, found {len(sizes)}", declared, help)
    if kind == "class":
        if sizes[0] < 2:
            help = "yes or no is `class[2]`, or `bool[1]`; a number is `float[1]`"
            raise scope.error("E0404", "an output needs at least two classes", declared.arguments[0], help)
        if sizes[0] > MAX_CLASSES:
            raise scope.error("E0404", f"an output has at most {MAX_CLASSES:,} classes", declared.arguments[0])
        return "class", sizes
    return "bool" if kind == "bool" else "float", sizes


def _reconstructed(declared: syntax.LikeType, inputs: Mapping[str, TensorType], scope: Scope) -> TensorType:
    """The type of the input that an output is to be like."""
    name = declared.name.text
    if name not in inputs:
        near = closest(name, inputs)
        help = f"did you mean `{near}`?" if near else f"inputs above this line: {', '.join(f'`{i}`' for i in inputs)}"
        raise scope.error("E0202", f"there is no input `{name}`", declared.name, help)
    if inputs[name].dtype != "float32":
        raise scope.error("E0404", f"`{name}` is `{inputs[name]}`: only numbers can be reconstructed", declared.name)
    if inputs[name].lengths is not None:
        message = f"`{name}` is `{inputs[name]}`: only what has a fixed length can be reconstructed"
        raise scope.error("E0404", message, declared.name, "declare that input without `variable: true`")
    return inputs[name]


def _check_kind(declared: syntax.TypeExpr, port: str, kinds: tuple[str, ...], scope: Scope) -> None:
    name = declared.name.text
    if name not in kinds:
        near = word(port, name, kinds) or closest(name, kinds)
        help = f"write {' or '.join(f'`{k}[...]`' for k in kinds)}"
        if near:
            help = f"write `{_typed(near, declared, scope)}`"
        what = f"an {port} cannot be `{name}`" if name in (*INPUT_KINDS, *OUTPUT_KINDS) else f"unknown type `{name}`"
        raise scope.error("E0404", what, declared.name, help)


def _typed(kind: str, declared: syntax.TypeExpr, scope: Scope) -> str:
    """A type of this kind with the sizes that were written for another one."""
    sizes = [written(a, scope) for a in declared.arguments or ()] or ["40" if kind == "token" else "10"]
    if kind == "token" and not any(a.key for a in declared.arguments or ()):
        sizes.append("vocabulary: 5000")
    return f"{kind}[{', '.join(sizes)}]"


def _sizes(declared: syntax.TypeExpr, scope: Scope) -> tuple[int, ...]:
    if not declared.arguments:
        kind = declared.name.text
        raise scope.error("E0404", f"`{kind}` needs its sizes in brackets", declared, f"write `{kind}[10]`")
    return tuple(_size(argument, scope) for argument in declared.arguments)


def _size(argument: syntax.Argument, scope: Scope) -> int:
    if argument.key is not None:
        raise scope.error("E0404", f"this type has no argument `{argument.key.text}`", argument)
    return _whole(argument, scope)


def _whole(argument: syntax.Argument, scope: Scope) -> int:
    value = evaluate(argument.value, scope)
    if isinstance(value, Word) and value.text != "None":
        raise unknown_word(value.text, argument.value, scope)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_SIDE:
        found = written(argument.value, scope) if isinstance(value, tuple) else None
        help = f"write `{', '.join(map(str, value))}`" if found and "x" in found else None
        if isinstance(value, Word) or value == -1:
            help = "leave it out: the batch dimension is never written"
        message = f"a size is a whole number above 0, found {f'`{found}`' if found else describe(value)}"
        raise scope.error("E0404", message, argument, help)
    return value
