"""Which net a transformer has."""

from __future__ import annotations

from typing import Self

from pyspark.ml.param import Param, Params, TypeConverters

from sparknet.ml.params.converters import shape


class NetParams(Params):
    """Which net a transformer has."""

    path: Param[str] = Param(
        Params._dummy(),
        "path",
        "a run folder, or an ONNX file that another library wrote",
        typeConverter=TypeConverters.toString,
    )
    inputShape: Param[list[int]] = Param(
        Params._dummy(),
        "inputShape",
        "the shape of a row that an ONNX file takes; as the file says unless given",
        typeConverter=shape,
    )
    output: Param[str] = Param(
        Params._dummy(),
        "output",
        "the value of an ONNX file that is added, any that it computes; its only output unless given",
        typeConverter=TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(path=None, inputShape=None, output=None)

    def getPath(self) -> str | None:
        """The run folder or the ONNX file; None where there is none."""
        return self.getOrDefault(self.path)

    def getInputShape(self) -> list[int] | None:
        """The shape of a row; None where the file says it."""
        return self.getOrDefault(self.inputShape)

    def getOutput(self) -> str | None:
        """The value that is added; None for the only output."""
        return self.getOrDefault(self.output)

    def setInputShape(self, value: list[int]) -> Self:
        """Set the shape of a row that an ONNX file takes."""
        return self._set(inputShape=value)

    def setOutput(self, value: str) -> Self:
        """Set which value of an ONNX file is added."""
        return self._set(output=value)
