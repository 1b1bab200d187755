"""Params of all stages: what is declared, what setters set and getters get, what constructors take, are one."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from sparknet import ml
from sparknet.grammar import SparkNetError
from sparknet.ml.base import ALIASES, NetEstimator, NetModel
from tests.runtime.conftest import only

ESTIMATORS = [
    ml.CNNClassifier,
    ml.CNNRegressor,
    ml.NetClassifier,
    ml.NetRegressor,
    ml.RNNClassifier,
    ml.RNNRegressor,
]
STAGES: list[type[Any]] = [*ESTIMATORS, ml.NetTransformer]
VALUES: dict[str, Any] = {
    "optimizer": "sgd(momentum: 0.9)",
    "schedule": "cosine",
    "loss": "cross_entropy",
    "clip": "norm(1)",
    "sync": "step",
    "cell": "gru",
    "layers": [(8, 3, 3, 4, "RELU"), "flatten"],
    "inputShape": [1, 8, 8],
    "thresholds": [0.5, 0.5],
}
"""A value of each param that takes neither any text nor any number."""


def value_of(kind: str, name: str) -> Any:
    if name in VALUES:
        return VALUES[name]
    return {"str": "other", "int": 7, "float": 0.25, "bool": True}[kind.partition(" ")[0]]


@pytest.mark.parametrize("stage", STAGES)
def test_params_setters_getters_and_keywords_are_one(stage: type[Any]) -> None:
    keywords = {k: p for k, p in inspect.signature(stage.__init__).parameters.items() if k != "self"}
    made = stage()
    declared = {param.name for param in made.params}
    assert set(keywords) == declared | {name for name, param in ALIASES.items() if param in declared}
    assert all(keyword.kind is keyword.KEYWORD_ONLY for keyword in keywords.values())
    for name, keyword in keywords.items():
        param = made.getParam(ALIASES.get(name, name))
        assert param.doc
        assert getattr(stage, f"set{name[0].upper()}{name[1:]}").__doc__
        getter = getattr(made, f"get{name[0].upper()}{name[1:]}")
        assert name in ALIASES or keyword.default == (getter() if made.isDefined(param) else None)
        value = value_of(str(keyword.annotation), name)
        assert getattr(stage(), f"set{name[0].upper()}{name[1:]}")(value).getOrDefault(param.name) == value
        given = stage(**{name: value})
        assert (getattr(given, f"get{name[0].upper()}{name[1:]}")(), given.isSet(param.name)) == (value, True)
        assert not made.isSet(param)
        assert f"{param.name}: {param.doc}" in made.explainParams()


@pytest.mark.parametrize("stage", ESTIMATORS)
def test_models_get_what_was_set(stage: type[NetEstimator]) -> None:
    params = {param.name for param in stage().params} - {"spec"}
    missing = [p for p in params if not hasattr(stage.model_class, f"get{p[0].upper()}{p[1:]}")]
    assert not missing
    assert issubclass(stage.model_class, NetModel)
    assert inspect.getmodule(stage) is inspect.getmodule(stage.model_class)


def test_copies_keep_uid_and_take_extra() -> None:
    stage = ml.RNNClassifier(hiddenLayerSize=100, numIterations=10, inputCol="text", outputCol="mood")
    assert (stage.getMaxIter(), stage.getFeaturesCol(), stage.getPredictionCol()) == (10, "text", "mood")
    copied = stage.copy({stage.maxIter: 3})
    assert (copied.uid, copied.getNumIterations(), stage.getMaxIter()) == (stage.uid, 3, 10)
    assert stage.uid.startswith("RNNClassifier_")


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"maxIter": 0},
            'Invalid param value given for param "maxIter". It must be a whole number from 1 on, found 0.',
        ),
        (
            {"stepSize": -0.1},
            'Invalid param value given for param "stepSize". It must be a number above 0, found -0.1.',
        ),
        (
            {"cell": "LTSM"},
            "Invalid param value given for param \"cell\". It must be one of rnn, gru, lstm, found 'LTSM'.",
        ),
        (
            {"seed": 2**31},
            'Invalid param value given for param "seed". It must be a whole number from 0 to 2,147,483,647, '
            "found 2147483648.",
        ),
    ],
)
def test_values_are_checked_when_they_are_set(params: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError) as error:
        ml.RNNClassifier(**params)
    assert str(error.value) == said


def test_set_names_the_param() -> None:
    stage = ml.CNNClassifier()
    with pytest.raises(TypeError, match=r'param "maxIter"\. It must be a whole number from 1 on, found -4'):
        stage.set(stage.maxIter, -4)
    with pytest.raises(TypeError, match=r'param "inputShape"\. It must be a whole number from 1 on, found 0'):
        stage.setInputShape([1, 0, 8])
    assert {*ml.__all__} <= {*dir(ml)}


@pytest.mark.parametrize(
    ("stage", "params", "said"),
    [
        (ml.CNNClassifier, {"layers": (8, 3, 3, 16, "RELU")}, r"a list too: \[\(8, 3, 3, 16, 'RELU'\)\]"),
        (ml.CNNClassifier, {"layers": [()]}, r"A layer is a tuple such as .* found \(\)"),
        (ml.Autoencoder, {"encoder": 128}, "It must be a list of units of dense layers, .* found 128"),
    ],
)
def test_what_is_no_list_of_layers(stage: type[Any], params: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        stage(**params)


def test_contradictions_are_told() -> None:
    with pytest.raises(SparkNetError) as error:
        ml.CNNClassifier(inputCol="a", featuresCol="b")
    assert only(error) == "M0001 `inputCol` is 'a' and `featuresCol` is 'b', but they are one param"
    with pytest.raises(SparkNetError) as error:
        ml.CNNClassifier(optimizer="adam(lr 0.1)")
    assert error.value.diagnostics[0].labels


@pytest.mark.parametrize("stage", [*STAGES, ml.Autoencoder, ml.ImageFeature])
def test_a_constructor_says_what_it_takes_in_the_place_of_a_wrong_name(stage: type[Any]) -> None:
    names = sorted(inspect.signature(stage).parameters)
    wrong = f"{names[0]}s"
    with pytest.raises(TypeError) as error:
        stage(**{wrong: 5})
    every = ", ".join(f"`{name}`" for name in names)
    assert str(error.value) == f"{stage.__name__} has no param `{wrong}`; did you mean `{names[0]}`? it has {every}"
    with pytest.raises(TypeError, match=rf"^{stage.__name__} has no param `{wrong}`; did you mean `\w+`\? it has `"):
        stage().setParams(**{wrong: 5})


def test_a_name_that_is_like_none_is_refused_without_a_guess() -> None:
    with pytest.raises(TypeError, match=r"^CNNClassifier has no param `epochs`; it has `activation`, .*`maxIter`"):
        ml.CNNClassifier(epochs=5)  # type: ignore[call-arg]
