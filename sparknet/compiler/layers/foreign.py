"""ONNX models of other libraries as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import InstanceOf

from sparknet.compiler.foreign.file import ForeignModel, ModelError
from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError, Trainable
from sparknet.compiler.types import TensorType
from sparknet.grammar.diagnostics import Label

if TYPE_CHECKING:
    from sparknet.compiler.foreign.model import ForeignGraph


class Onnx(Trainable):
    """`onnx("model.onnx", output: "name")`: a model that another library exported, trained further unless frozen.

    Its float tensors become parameters. `output` picks any value of the model, so that its end is left out.
    """

    name: ClassVar[str] = "onnx"

    file: str
    output: str | None = None


class ForeignLayer(Onnx):
    """An `onnx` whose file has been read."""

    takes_tokens: ClassVar[bool] = True

    model: InstanceOf[ForeignModel]
    place: InstanceOf[Label]
    """Where the path of the file is written."""
    output_place: InstanceOf[Label]
    """Where the output is named; for one that is not, the layer."""

    def graph(self, x: TensorType) -> ForeignGraph:
        """What it computes on rows of `x`; raises ModelError."""
        from sparknet.compiler.foreign.model import graph_of

        return graph_of(self.model, self.output, x)

    def infer(self, x: TensorType) -> TensorType:
        """What the model says."""
        try:
            return self.graph(x).result
        except ModelError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: ModelError) -> ShapeError:
        place = self.place if error.at == "file" else self.output_place
        return ShapeError(f"`{self.file}` cannot be used: {error.message}", error.help, "E0213", place)

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """Weights as the file has them, then the running statistics of its batch normalisations, which stay."""
        graph = self.graph(x)
        return (
            *(ParameterSpec(n, a.shape, "zeros", 1, 1, start=a) for n, a in graph.weights.items()),
            *(ParameterSpec(n, a.shape, "zeros", 1, 1, "frozen", start=a) for n, a in graph.statistics.items()),
        )

    def check_gradients(self, x: TensorType, *, inward: bool) -> None:
        """Raise ShapeError where it, or with `inward` what stands before it, cannot be trained through it."""
        from sparknet.compiler.differentiate import MissingGradientError

        try:
            self.graph(x).check_gradients(x, inward=inward, frozen=self.frozen)
        except ModelError as error:
            raise self._unusable(error) from error
        except MissingGradientError as error:
            why = f": {error.why}" if error.why else ""
            message = f"`{self.file}` cannot be trained through its operator `{error.op}`, which has no gradient{why}"
            where = ["it"] * (not self.frozen) + ["all layers before it"] * inward
            help = f"write `frozen: true` in {' and in '.join(where)}, or pick an earlier value of it by `output:`"
            raise ShapeError(message, help, "E0405") from error

    def multiply_adds(self, x: TensorType) -> int:
        """Those of its convolutions and matrix products."""
        return self.graph(x).multiply_adds()

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """The operators of the model."""
        return self.graph(t).lower(low.graph, x, low.parameters)


LAYERS: tuple[type[Layer], ...] = (Onnx,)
