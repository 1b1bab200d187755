"""What classifiers and regressors share: the net of a stage, from its params and from what the data says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sparknet.compiler.checking import read
from sparknet.compiler.sections import ROW_WEIGHT
from sparknet.grammar import Source, syntax, write
from sparknet.grammar import construct as c
from sparknet.ml import given, nets, schema, sequences
from sparknet.ml.base import M, NetEstimator, Plan
from sparknet.ml.cutting import cut_rows
from sparknet.ml.origins import Given, Origins
from sparknet.ml.params.columns import StandardizationSetters
from sparknet.ml.params.layers import LayerSetters
from sparknet.ml.params.sequence import SequenceSetters
from sparknet.ml.params.spec import SpecSetters
from sparknet.ml.persistence import Facts
from sparknet.runtime.problems import problem

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructField


def _labels(dataset: DataFrame, field: StructField, classes: bool) -> schema.Labels | None:
    return schema.labels(dataset, field) if classes else None


class PlansImages(NetEstimator[M], LayerSetters, StandardizationSetters):
    """A convolutional net for images."""

    _classes: bool

    def _plan(self, dataset: DataFrame, validates: bool) -> Plan:
        features, label = self._numbers(dataset), self._label(dataset)
        found = schema.features(dataset, features)
        shape = nets.image_shape(found, self.getInputShape(), self.getLayers(), features.name)
        labels = _labels(dataset, label, self._classes)
        task = nets.Task(None if labels is None else labels.classes)
        body, origins = nets.convolutional(self.getLayers(), self.getNumFilters(), self.getActivation(), shape, task)
        binding = nets.column_binding(features.name, self.getStandardization())
        data = _data(self, dataset, {"image": binding}, label, validates)
        return _planned(self, body, data, "image", labels, origins)


class PlansSequences(NetEstimator[M], SequenceSetters, StandardizationSetters):
    """A recurrent net for sequences."""

    _classes: bool

    def _plan(self, dataset: DataFrame, validates: bool) -> Plan:
        features, label = self._features(dataset), self._label(dataset)
        read = sequences.sequence(dataset, features, self, self.getStandardization())
        labels = _labels(dataset, label, self._classes)
        body = sequences.recurrent(read, self, nets.Task(None if labels is None else labels.classes))
        data = _data(self, dataset, {"sequence": read.binding}, label, validates)
        plan = _planned(self, body, data, "sequence", labels)
        if read.longest is None:
            return plan
        rows = cut_rows(dataset, features.name, read.longest) if read.cuts else None
        return replace(plan, facts=plan.facts.model_copy(update={"longest": read.longest}), rows=rows)


def _data(
    stage: NetEstimator[M], dataset: DataFrame, fed: dict[str, syntax.Expr], label: StructField, validates: bool
) -> syntax.Section:
    bindings = {**fed, "label": nets.column_binding(label.name, False)}
    return nets.data_section(bindings, validates, stage._weight(dataset))


def _planned(
    stage: NetEstimator[M],
    body: list[syntax.Statement],
    data: syntax.Section,
    input: str,
    labels: schema.Labels | None,
    origins: Sequence[Given | None] = (),
) -> Plan:
    name = type(stage).__name__
    file = c.file(c.net(name, *body), data, nets.train_section(stage))
    facts = Facts(fed=(input,), labels=None if labels is None else labels.names)
    columns = {input: "featuresCol", "label": "labelCol", ROW_WEIGHT: "weightCol"}
    return Plan(Source(name, write(file)), facts, Origins(origins, columns))


class PlansGiven(NetEstimator[M], SpecSetters):
    """A net that the user has written."""

    _classes: bool

    def _plan(self, dataset: DataFrame, validates: bool) -> Plan:
        if not self.isDefined(self.spec):
            raise problem("M0001", "`spec`, the net, is not set", helps=[f"write `{type(self).__name__}(spec=...)`"])
        kind = "class" if self._classes else "float"
        features = self.getFeaturesCol()
        words = features in dataset.columns and schema.holds_words(dataset.schema[features].dataType)
        columns = given.Columns(features, words, self.getLabelCol(), self._weight(dataset))
        source, fed = given.fed_source(self.getSpec(), self, columns, kind, validates)
        if fed and not words:
            self._numbers(dataset)
        said = schema.said_labels(self._label(dataset)) if self._classes else None
        facts = Facts(fed=fed, labels=None if said is None else said.names)
        filled = dict.fromkeys(fed, "featuresCol") | ({ROW_WEIGHT: "weightCol"} if columns.weight else {})
        return Plan(source, facts, Origins(data=filled, own=read(self.getSpec())))
