"""The columns that stages read and add, under pyspark's names."""

from __future__ import annotations

from typing import Self

from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasStandardization,
    HasValidationIndicatorCol,
    HasWeightCol,
)


class FeatureParams(HasFeaturesCol):
    """`featuresCol`, which `inputCol` is another name of."""

    def setFeaturesCol(self, value: str) -> Self:
        """Set the column of the features."""
        return self._set(featuresCol=value)

    def getInputCol(self) -> str:
        """The column of the features: another name for `getFeaturesCol`."""
        return self.getFeaturesCol()

    def setInputCol(self, value: str) -> Self:
        """Set the column of the features: another name for `setFeaturesCol`."""
        return self._set(featuresCol=value)


class ColumnParams(FeatureParams, HasPredictionCol):
    """`featuresCol` and `predictionCol`, which `inputCol` and `outputCol` are other names of."""

    def getOutputCol(self) -> str:
        """The column of the predictions: another name for `getPredictionCol`."""
        return self.getPredictionCol()

    def setOutputCol(self, value: str) -> Self:
        """Set the column of the predictions: another name for `setPredictionCol`."""
        return self._set(predictionCol=value)


class FitParams(HasValidationIndicatorCol):
    """Which rows are for validation."""


class FitSetters(FitParams):
    """The setters of `FitParams`, for estimators."""

    def setValidationIndicatorCol(self, value: str) -> Self:
        """Set the boolean column that is true in the rows by which the best round is chosen."""
        return self._set(validationIndicatorCol=value)


class StandardizationSetters(HasStandardization):
    """The setter of `standardization`, for estimators."""

    def setStandardization(self, value: bool) -> Self:
        """Set whether the features are standardized by the means and deviations of the training rows."""
        return self._set(standardization=value)


class RowParams(FitParams, HasLabelCol, HasWeightCol):
    """What estimators that predict read beside the features."""


class RowSetters(RowParams, FitSetters):
    """The setters of `RowParams`, for estimators; pyspark's own bases have `setLabelCol`."""

    def setWeightCol(self, value: str) -> Self:
        """Set the column of what each row counts in the training loss."""
        return self._set(weightCol=value)
