"""The layers of a recurrent net."""

from __future__ import annotations

from typing import Self

from pyspark.ml.param import Param, Params, TypeConverters

from sparknet.ml.params.converters import one_of, whole


class SequenceParams(Params):
    """The layers of a recurrent net, and how sequences lie in a column."""

    hiddenLayerSize: Param[int] = Param(
        Params._dummy(),
        "hiddenLayerSize",
        "numbers that a recurrent layer remembers",
        typeConverter=whole(1),
    )
    cell: Param[str] = Param(
        Params._dummy(),
        "cell",
        "kind of the recurrent layers: rnn, gru or lstm",
        typeConverter=one_of("rnn", "gru", "lstm"),
    )
    numLayers: Param[int] = Param(
        Params._dummy(),
        "numLayers",
        "recurrent layers, one behind the other",
        typeConverter=whole(1),
    )
    bidirectional: Param[bool] = Param(
        Params._dummy(),
        "bidirectional",
        "whether the sequences are read from both ends",
        typeConverter=TypeConverters.toBoolean,
    )
    sequenceLength: Param[int] = Param(
        Params._dummy(),
        "sequenceLength",
        "the most steps of a row, the first ones: what stands behind them is cut; of texts 100 words, else "
        "those of the longest row, unless given",
        typeConverter=whole(1),
    )
    featureWidth: Param[int] = Param(
        Params._dummy(),
        "featureWidth",
        "numbers of a step of a flat vector or array; 1 unless given",
        typeConverter=whole(1),
    )
    vocabularySize: Param[int] = Param(
        Params._dummy(),
        "vocabularySize",
        "words that are told apart, the most frequent ones; if it is set, an array of whole numbers holds "
        "tokens below it",
        typeConverter=whole(3),
    )
    embeddingSize: Param[int] = Param(
        Params._dummy(),
        "embeddingSize",
        "numbers that stand for a word",
        typeConverter=whole(1),
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            hiddenLayerSize=100,
            cell="lstm",
            numLayers=1,
            bidirectional=False,
            sequenceLength=None,
            featureWidth=None,
            vocabularySize=5000,
            embeddingSize=64,
        )

    def getHiddenLayerSize(self) -> int:
        """Numbers that a recurrent layer remembers."""
        return self.getOrDefault(self.hiddenLayerSize)

    def getCell(self) -> str:
        """The kind of the recurrent layers: rnn, gru or lstm."""
        return self.getOrDefault(self.cell)

    def getNumLayers(self) -> int:
        """Recurrent layers, one behind the other."""
        return self.getOrDefault(self.numLayers)

    def getBidirectional(self) -> bool:
        """Whether the sequences are read from both ends."""
        return self.getOrDefault(self.bidirectional)

    def getSequenceLength(self) -> int | None:
        """The most steps of a row; None for what the rows have."""
        return self.getOrDefault(self.sequenceLength)

    def getFeatureWidth(self) -> int | None:
        """Numbers of a step; None for 1 in flat columns."""
        return self.getOrDefault(self.featureWidth)

    def getVocabularySize(self) -> int:
        """Words that are told apart."""
        return self.getOrDefault(self.vocabularySize)

    def getEmbeddingSize(self) -> int:
        """Numbers that stand for a word."""
        return self.getOrDefault(self.embeddingSize)


class SequenceSetters(SequenceParams):
    """The setters of `SequenceParams`, for estimators."""

    def setHiddenLayerSize(self, value: int) -> Self:
        """Set how many numbers a recurrent layer remembers."""
        return self._set(hiddenLayerSize=value)

    def setCell(self, value: str) -> Self:
        """Set the kind of the recurrent layers: rnn, gru or lstm."""
        return self._set(cell=value)

    def setNumLayers(self, value: int) -> Self:
        """Set how many recurrent layers stand one behind the other."""
        return self._set(numLayers=value)

    def setBidirectional(self, value: bool) -> Self:
        """Set whether the sequences are read from both ends."""
        return self._set(bidirectional=value)

    def setSequenceLength(self, value: int) -> Self:
        """Set the most steps of a row."""
        return self._set(sequenceLength=value)

    def setFeatureWidth(self, value: int) -> Self:
        """Set the numbers of a step of a flat vector or array."""
        return self._set(featureWidth=value)

    def setVocabularySize(self, value: int) -> Self:
        """Set how many words are told apart; of arrays of whole numbers that they are tokens below it."""
        return self._set(vocabularySize=value)

    def setEmbeddingSize(self, value: int) -> Self:
        """Set how many numbers stand for a word."""
        return self._set(embeddingSize=value)
