"""The layers of a convolutional net."""

from __future__ import annotations

from typing import Any, Self

from pyspark.ml.param import Param, Params, TypeConverters

from sparknet.ml.params.converters import layer_list, shape, whole


class LayerParams(Params):
    """The layers of a convolutional net."""

    layers: Param[list[Any]] = Param(
        Params._dummy(),
        "layers",
        "the layers: a list of layer tuples, `(size, kernel height, kernel width, filters, "
        "'ACTIVATION')`, and of layers as the language writes them, or the text of a chain; a small "
        "convolutional net unless given",
        typeConverter=layer_list,
    )
    numFilters: Param[int] = Param(
        Params._dummy(),
        "numFilters",
        "filters of layer tuples that leave them out",
        typeConverter=whole(1),
    )
    activation: Param[str] = Param(
        Params._dummy(),
        "activation",
        "activation of layer tuples that leave it out",
        typeConverter=TypeConverters.toString,
    )
    inputShape: Param[list[int]] = Param(
        Params._dummy(),
        "inputShape",
        "channels, height and width of the images; read from the column or found from its size unless given",
        typeConverter=shape,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(layers=None, numFilters=32, activation="RELU", inputShape=None)

    def getLayers(self) -> list[Any] | None:
        """The layers; None for a small convolutional net."""
        return self.getOrDefault(self.layers)

    def getNumFilters(self) -> int:
        """Filters of layer tuples that leave them out."""
        return self.getOrDefault(self.numFilters)

    def getActivation(self) -> str:
        """The activation of layer tuples that leave it out."""
        return self.getOrDefault(self.activation)

    def getInputShape(self) -> list[int] | None:
        """Channels, height and width of the images; None where the column tells."""
        return self.getOrDefault(self.inputShape)


class LayerSetters(LayerParams):
    """The setters of `LayerParams`, for estimators."""

    def setLayers(self, value: list[Any]) -> Self:
        """Set the layers: a list of layer tuples and of texts of the language, or one text."""
        return self._set(layers=value)

    def setNumFilters(self, value: int) -> Self:
        """Set the filters of layer tuples that leave them out."""
        return self._set(numFilters=value)

    def setActivation(self, value: str) -> Self:
        """Set the activation of layer tuples that leave it out."""
        return self._set(activation=value)

    def setInputShape(self, value: list[int]) -> Self:
        """Set channels, height and width of the images."""
        return self._set(inputShape=value)
