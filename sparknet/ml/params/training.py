"""How a net is trained."""

from __future__ import annotations

from typing import Self

from pyspark.ml.param import Param, Params, TypeConverters

from sparknet.ml.params.converters import number, positive, whole, written


class TrainingParams(Params):
    """How a net is trained: the `train` section of the language."""

    maxIter: Param[int] = Param(
        Params._dummy(),
        "maxIter",
        "passes over the training rows, the `epochs` of the language; `numIterations` is another name",
        typeConverter=whole(1),
    )
    blockSize: Param[int] = Param(
        Params._dummy(),
        "blockSize",
        "rows that each worker takes for a step, the `batch` of the language",
        typeConverter=whole(1),
    )
    optimizer: Param[str] = Param(
        Params._dummy(),
        "optimizer",
        "optimizer, as the language writes it: `adam`, `sgd(momentum: 0.9)`",
        typeConverter=written,
    )
    stepSize: Param[float] = Param(
        Params._dummy(),
        "stepSize",
        "learning rate, the `lr` of the optimizer; the optimizer's default unless given",
        typeConverter=positive,
    )
    schedule: Param[str] = Param(
        Params._dummy(),
        "schedule",
        "how the learning rate changes, as the language writes it: `cosine`, `[warmup(epochs: 0.5), cosine]`",
        typeConverter=written,
    )
    loss: Param[str] = Param(
        Params._dummy(),
        "loss",
        "loss, as the language writes it: `cross_entropy(label_smoothing: 0.1)`, `huber`; that of the "
        "task unless given",
        typeConverter=written,
    )
    clip: Param[str] = Param(
        Params._dummy(),
        "clip",
        "how the gradient is kept small, as the language writes it: `norm(1)`, `value(0.5)`",
        typeConverter=written,
    )
    sync: Param[str] = Param(
        Params._dummy(),
        "sync",
        "how workers are brought together, as the language writes it: `average(every: 50)`, `step`, `outer`",
        typeConverter=written,
    )
    numWorkers: Param[int] = Param(
        Params._dummy(),
        "numWorkers",
        "workers that train side by side; as many as there are task slots, while each has 16 steps an "
        "epoch, unless given",
        typeConverter=whole(1),
    )
    seed: Param[int] = Param(
        Params._dummy(),
        "seed",
        "decides the first weights, the order of the rows and dropout",
        typeConverter=whole(0, 2**31 - 1),
    )
    patience: Param[int] = Param(
        Params._dummy(),
        "patience",
        "rounds without a better score on the validation rows after which training ends; needs "
        "`validationIndicatorCol`",
        typeConverter=whole(1),
    )
    tol: Param[float] = Param(
        Params._dummy(),
        "tol",
        "by how much a score must be better to count for `patience`",
        typeConverter=number(0),
    )
    checkpointInterval: Param[int] = Param(
        Params._dummy(),
        "checkpointInterval",
        "rounds from one checkpoint to the next, where `checkpointDir` says where they go",
        typeConverter=whole(1),
    )
    checkpointDir: Param[str] = Param(
        Params._dummy(),
        "checkpointDir",
        "a folder of the driver or a URI for checkpoints: a training that was cut off goes on from them with the next "
        "`fit`, a finished one removes them; none unless given",
        typeConverter=TypeConverters.toString,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(
            maxIter=10,
            blockSize=32,
            optimizer="adam",
            stepSize=None,
            schedule=None,
            loss=None,
            clip=None,
            sync=None,
            numWorkers=None,
            seed=0,
            patience=None,
            tol=0.0,
            checkpointInterval=10,
            checkpointDir=None,
        )

    def getMaxIter(self) -> int:
        """Passes over the training rows."""
        return self.getOrDefault(self.maxIter)

    def getBlockSize(self) -> int:
        """Rows that each worker takes for a step."""
        return self.getOrDefault(self.blockSize)

    def getOptimizer(self) -> str:
        """The optimizer, as the language writes it."""
        return self.getOrDefault(self.optimizer)

    def getStepSize(self) -> float | None:
        """The learning rate; None for the optimizer's default."""
        return self.getOrDefault(self.stepSize)

    def getSchedule(self) -> str | None:
        """How the learning rate changes; None where it does not."""
        return self.getOrDefault(self.schedule)

    def getLoss(self) -> str | None:
        """The loss, as the language writes it; None for that of the task."""
        return self.getOrDefault(self.loss)

    def getClip(self) -> str | None:
        """How the gradient is kept small; None where it is not."""
        return self.getOrDefault(self.clip)

    def getSync(self) -> str | None:
        """How workers are brought together; None for averaging."""
        return self.getOrDefault(self.sync)

    def getNumWorkers(self) -> int | None:
        """Workers that train side by side; None for as many as slots and rows are good for."""
        return self.getOrDefault(self.numWorkers)

    def getSeed(self) -> int:
        """What decides the first weights, the order of the rows and dropout."""
        return self.getOrDefault(self.seed)

    def getPatience(self) -> int | None:
        """Rounds without a better score after which training ends; None for never."""
        return self.getOrDefault(self.patience)

    def getTol(self) -> float:
        """By how much a score must be better to count for `patience`."""
        return self.getOrDefault(self.tol)

    def getCheckpointInterval(self) -> int:
        """Rounds from one checkpoint to the next."""
        return self.getOrDefault(self.checkpointInterval)

    def getCheckpointDir(self) -> str | None:
        """The folder or URI of the checkpoints; None for none."""
        return self.getOrDefault(self.checkpointDir)

    def getNumIterations(self) -> int:
        """Passes over the training rows: another name for `getMaxIter`."""
        return self.getMaxIter()


class TrainingSetters(TrainingParams):
    """The setters of `TrainingParams`, for estimators."""

    def setMaxIter(self, value: int) -> Self:
        """Set the passes over the training rows."""
        return self._set(maxIter=value)

    def setBlockSize(self, value: int) -> Self:
        """Set how many rows each worker takes for a step."""
        return self._set(blockSize=value)

    def setOptimizer(self, value: str) -> Self:
        """Set the optimizer: `adam`, `sgd(momentum: 0.9)` and so on, as the language writes it."""
        return self._set(optimizer=value)

    def setStepSize(self, value: float) -> Self:
        """Set the learning rate, the `lr` of the optimizer."""
        return self._set(stepSize=value)

    def setSchedule(self, value: str) -> Self:
        """Set how the learning rate changes: `cosine`, `step(epochs: 3)` and so on, as the language writes it."""
        return self._set(schedule=value)

    def setLoss(self, value: str) -> Self:
        """Set the loss: `cross_entropy(label_smoothing: 0.1)`, `huber(2)` and so on, as the language writes it."""
        return self._set(loss=value)

    def setClip(self, value: str) -> Self:
        """Set how the gradient is kept small: `norm(1)` or `value(0.5)`, as the language writes it."""
        return self._set(clip=value)

    def setSync(self, value: str) -> Self:
        """Set how workers are brought together: `average(every: 20)`, `step` or `outer`, as the language writes it."""
        return self._set(sync=value)

    def setNumWorkers(self, value: int) -> Self:
        """Set how many workers train side by side."""
        return self._set(numWorkers=value)

    def setSeed(self, value: int) -> Self:
        """Set what decides the first weights, the order of the rows and dropout."""
        return self._set(seed=value)

    def setPatience(self, value: int) -> Self:
        """Set after how many rounds without a better score on the validation rows training ends."""
        return self._set(patience=value)

    def setTol(self, value: float) -> Self:
        """Set by how much a score must be better to count for `patience`."""
        return self._set(tol=value)

    def setCheckpointInterval(self, value: int) -> Self:
        """Set the rounds from one checkpoint to the next."""
        return self._set(checkpointInterval=value)

    def setCheckpointDir(self, value: str) -> Self:
        """Set the folder or URI of the checkpoints."""
        return self._set(checkpointDir=value)

    def setNumIterations(self, value: int) -> Self:
        """Set the passes over the training rows: another name for `setMaxIter`."""
        return self._set(maxIter=value)
