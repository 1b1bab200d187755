"""The nets that users write themselves: a `.net` text whose sections a stage fills in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparknet.compiler.checking import read
from sparknet.compiler.sections import SOURCE_KEYS
from sparknet.grammar import Source, parse, syntax, write
from sparknet.grammar import construct as c
from sparknet.ml import nets
from sparknet.runtime.problems import listing, problem

if TYPE_CHECKING:
    from sparknet.ml.params.training import TrainingParams


@dataclass(frozen=True)
class Columns:
    """The columns that a stage names; `weight` is None where all rows count alike."""

    features: str
    words: bool
    """Whether the features are texts or words."""
    label: str
    weight: str | None


def fed_source(
    spec: str, stage: TrainingParams, columns: Columns, kind: str, validates: bool
) -> tuple[Source, tuple[str, ...]]:
    """The text with the sections of a stage, and the input that the features feed, if any.

    What the `data` section binds stays as it is, but that the weights of rows are those of the stage, if it names some;
    of what it leaves out, the input is fed by the features and the output, which has to be of a `kind`, by the label.
    Its sources and shares give way to the rows of `fit`.

    Raises SparkNetError for a text that does not parse and a net of other outputs.
    """
    source = read(spec)
    file = parse(source)
    net = next((item for item in file.items if isinstance(item, syntax.Net)), None)
    if net is None:
        raise problem("M0002", f"`{source.name}` has no net", helps=["write one: `net Name { ... }`"])
    sections = {item.name.text: item for item in file.items if isinstance(item, syntax.Section)}
    bindings = {e.key.text: e.value for e in _entries(sections.get("data")) if e.key.text not in SOURCE_KEYS}
    output = _output(net, kind)
    fed = [line.name.text for line in net.body if isinstance(line, syntax.Input)]
    fed = [name for name in fed if name not in bindings]
    if len(fed) > 1:
        raise problem(
            "M0002",
            f"net `{net.name.text}` has several inputs, and `featuresCol` feeds one: {listing(fed)}",
            helps=[f'bind the others in a `data` section, such as `{fed[1]} = column("{fed[1]}")`'],
        )
    feeding = nets.word_binding(columns.features) if columns.words else nets.column_binding(columns.features, False)
    bindings |= dict.fromkeys(fed, feeding)
    bindings.setdefault(output, nets.column_binding(columns.label, False))
    train = nets.train_section(stage, {e.key.text: e.value for e in _entries(sections.get("train"))})
    items = [item for item in file.items if not isinstance(item, syntax.Section) or item.name.text not in _OURS]
    made = c.file(*items, nets.data_section(bindings, validates, columns.weight), train)
    return replace(source, text=write(made)), tuple(fed)


_OURS = ("data", "train")


def _entries(section: syntax.Section | None) -> tuple[syntax.Entry, ...]:
    return () if section is None else section.entries


def _output(net: syntax.Net, kind: str) -> str:
    """The name of the only output, which has to be of a kind."""
    outputs = [line for line in net.body if isinstance(line, syntax.Output)]
    kinds = [line.type.name.text if isinstance(line.type, syntax.TypeExpr) else "like" for line in outputs]
    if kinds != [kind]:
        wanted = "`class[n]`" if kind == "class" else "`float[1]`"
        found = f"{len(kinds)} outputs" if len(kinds) != 1 else f"one of the kind `{kinds[0]}`"
        message = f"net `{net.name.text}` must have one output of the kind {wanted}, found {found}"
        helps = ["`sparknet.train` takes nets with outputs of any kind"]
        if kinds in (["class"], ["float"]):
            helps.insert(0, f"`{'NetClassifier' if kinds == ['class'] else 'NetRegressor'}` takes such a net")
        raise problem("M0002", message, helps=helps)
    return outputs[0].name.text
