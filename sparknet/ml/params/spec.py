"""The `.net` text of a stage whose net the user writes."""

from __future__ import annotations

from typing import Self

from pyspark.ml.param import Param, Params, TypeConverters


class SpecSetters(Params):
    """The net of an estimator; a model has its text as a property."""

    spec: Param[str] = Param(
        Params._dummy(),
        "spec",
        "the net: a `.net` text, or the path of a `.net` file",
        typeConverter=TypeConverters.toString,
    )

    def getSpec(self) -> str:
        """The net: a `.net` text, or the path of a `.net` file."""
        return self.getOrDefault(self.spec)

    def setSpec(self, value: str) -> Self:
        """Set the net: a `.net` text, or the path of a `.net` file."""
        return self._set(spec=value)
