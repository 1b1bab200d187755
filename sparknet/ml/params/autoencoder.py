"""The layers of an autoencoder, and the columns that it adds."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self, cast

from pyspark.ml.param import Param, Params, TypeConverters

from sparknet.ml.params.converters import layer_list, shape, whole

Half = int | str | tuple[int | str, ...]
"""A layer of an encoder or a decoder: units of a dense layer, a text of the language, or a layer tuple."""


def half(value: Any) -> list[Half]:
    """The layers of one half; raises TypeError, which pyspark shows with the name of the param."""
    items = list(value) if isinstance(value, list | tuple) else value
    if isinstance(items, str):
        return [items]
    if not isinstance(items, list):
        raise TypeError(f"It must be a list of units of dense layers, layer tuples and texts, found {value!r}.")
    found: list[Half] = []
    for item in items:
        if isinstance(item, Integral) and not isinstance(item, bool):
            found.append(whole(1)(item))
        else:
            found.extend(layer_list([item]))
    return found


class CodeColumns(Params):
    """The columns that an autoencoder adds; an empty name adds none."""

    codeCol: Param[str] = Param(
        Params._dummy(),
        "codeCol",
        "new column of the code, a vector; `outputCol` is another name",
        typeConverter=TypeConverters.toString,
    )
    reconstructionCol: Param[str] = Param(
        Params._dummy(),
        "reconstructionCol",
        "new column of the features as the code gives them back, a vector; none where empty",
        typeConverter=TypeConverters.toString,
    )
    errorCol: Param[str] = Param(
        Params._dummy(),
        "errorCol",
        "new column of the mean squared error between the features and what the code gives back, both as the net takes "
        "them: standardized, unless `standardization` is false; none where empty",
        typeConverter=TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(codeCol="code", reconstructionCol="reconstruction", errorCol="reconstructionError")

    def getCodeCol(self) -> str:
        """The new column of the code."""
        return self.getOrDefault(self.codeCol)

    def setCodeCol(self, value: str) -> Self:
        """Set the new column of the code."""
        return self._set(codeCol=value)

    def getOutputCol(self) -> str:
        """The new column of the code: another name for `getCodeCol`."""
        return self.getCodeCol()

    def setOutputCol(self, value: str) -> Self:
        """Set the new column of the code: another name for `setCodeCol`."""
        return self._set(codeCol=value)

    def getReconstructionCol(self) -> str:
        """The new column of the reconstruction."""
        return self.getOrDefault(self.reconstructionCol)

    def setReconstructionCol(self, value: str) -> Self:
        """Set the new column of the reconstruction."""
        return self._set(reconstructionCol=value)

    def getErrorCol(self) -> str:
        """The new column of the error of the reconstruction."""
        return self.getOrDefault(self.errorCol)

    def setErrorCol(self, value: str) -> Self:
        """Set the new column of the error of the reconstruction."""
        return self._set(errorCol=value)


class AutoencoderParams(Params):
    """The layers of an autoencoder."""

    codeSize: Param[int] = Param(
        Params._dummy(),
        "codeSize",
        "numbers of the code",
        typeConverter=whole(1),
    )
    encoder: Param[list[Half]] = Param(
        Params._dummy(),
        "encoder",
        "the layers before the code: units of dense layers, layer tuples, texts of the language",
        typeConverter=cast(Any, half),
    )
    decoder: Param[list[Half]] = Param(
        Params._dummy(),
        "decoder",
        "the layers behind the code, as `encoder`; those of the encoder in reverse unless given",
        typeConverter=cast(Any, half),
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
        "activation of dense layers, and of layer tuples that leave it out",
        typeConverter=TypeConverters.toString,
    )
    inputShape: Param[list[int]] = Param(
        Params._dummy(),
        "inputShape",
        "channels, height and width of images; read from the column or found from its size unless given",
        typeConverter=shape,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(codeSize=8, encoder=[64], decoder=None, numFilters=32, activation="RELU", inputShape=None)

    def getCodeSize(self) -> int:
        """Numbers of the code."""
        return self.getOrDefault(self.codeSize)

    def getEncoder(self) -> list[Half]:
        """The layers before the code."""
        return self.getOrDefault(self.encoder)

    def getDecoder(self) -> list[Half] | None:
        """The layers behind the code; None for those of the encoder in reverse."""
        return self.getOrDefault(self.decoder)

    def getNumFilters(self) -> int:
        """Filters of layer tuples that leave them out."""
        return self.getOrDefault(self.numFilters)

    def getActivation(self) -> str:
        """The activation of dense layers, and of layer tuples that leave it out."""
        return self.getOrDefault(self.activation)

    def getInputShape(self) -> list[int] | None:
        """Channels, height and width of images; None where the column tells."""
        return self.getOrDefault(self.inputShape)


class AutoencoderSetters(AutoencoderParams):
    """The setters of `AutoencoderParams`, for the estimator."""

    def setCodeSize(self, value: int) -> Self:
        """Set the numbers of the code."""
        return self._set(codeSize=value)

    def setEncoder(self, value: list[Half]) -> Self:
        """Set the layers before the code: units of dense layers, layer tuples, texts of the language."""
        return self._set(encoder=value)

    def setDecoder(self, value: list[Half]) -> Self:
        """Set the layers behind the code, as those of the encoder."""
        return self._set(decoder=value)

    def setNumFilters(self, value: int) -> Self:
        """Set the filters of layer tuples that leave them out."""
        return self._set(numFilters=value)

    def setActivation(self, value: str) -> Self:
        """Set the activation of dense layers, and of layer tuples that leave it out."""
        return self._set(activation=value)

    def setInputShape(self, value: list[int]) -> Self:
        """Set channels, height and width of images."""
        return self._set(inputShape=value)
