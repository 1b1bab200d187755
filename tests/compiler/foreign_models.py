"""Small ONNX models for the catalogue of messages; `python -m tests.compiler.foreign_models` writes the files."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser

FOLDER = Path(__file__).parent / "invalid" / "models"
_DENSE = "h = MatMul (x, w) \n y = Relu (h)"


def model(
    body: str,
    takes: str = "float[N, 4] x",
    gives: str = "float[N, 3] y",
    weights: str = "float[4, 3] w = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1}",
    opsets: str = '"": 20',
    functions: str = "",
) -> onnx.ModelProto:
    """A model of a few operators in ONNX's own text form."""
    return onnx.parser.parse_model(
        f"<ir_version: 9, opset_import: [{opsets}]> g ({takes}) => ({gives}) <{weights}> {{ {body} }} {functions}"
    )


def backbone() -> onnx.ModelProto:
    """What the example in `docs/language.md` names."""
    return model(
        "flat = Flatten (image) \n h = MatMul (flat, w) \n features = Relu (h) \n y = MatMul (features, v)",
        "float[N, 1, 8, 8] image",
        "float[N, 2] y",
        f"float[64, 3] w = {{{', '.join(['0.1'] * 192)}}}, float[3, 2] v = {{1, 2, 3, 4, 5, 6}}",
    )


def _external() -> onnx.ModelProto:
    found = model(_DENSE)
    tensor = found.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return found


def _huge() -> onnx.ModelProto:
    found = model(_DENSE)
    found.graph.initializer[0].dims[0] = 1 << 40
    return found


MODELS = {
    "dense": model(_DENSE),
    "fixed_batch": model(_DENSE, takes="float[1, 4] x", gives="float[1, 3] y"),
    "rows_joined": model("h = MatMul (x, w) \n y = ReduceSum <keepdims = 1> (h)", gives="float[1, 1] y"),
    "rows_fixed": model(
        "h = MatMul (x, w) \n y = Reshape (h, s)",
        gives="float[1, 3] y",
        weights="float[4, 3] w = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1}, int64[2] s = {1, 3}",
    ),
    "no_gradient": model("h = MatMul (x, w) \n y = Hardmax <axis = 1> (h)"),
    "backwards": model(
        "h = MatMul (x, w) \n y = Slice (h, a, b, c, d)",
        weights="float[4, 3] w = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1}, int64[1] a = {2}, int64[1] b = {-9}, "
        "int64[1] c = {1}, int64[1] d = {-1}",
    ),
    "label": model(
        "h = MatMul (x, w) \n p = Softmax <axis = 1> (h) \n y = ai.onnx.ml.ZipMap <classlabels_int64s = [0, 1, 2]> (p)",
        gives="seq(map(int64, float)) y",
        opsets='"": 20, "ai.onnx.ml": 1',
    ),
    "two_outputs": model(_DENSE, gives="float[N, 3] y, float[N, 3] h"),
    "two_inputs": model("y = Add (x, z)", takes="float[N, 3] x, float[N, 3] z"),
    "double": model(
        "y = MatMul (x, w)", takes="double[N, 4] x", gives="double[N, 3] y",
        weights="double[4, 3] w = {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1}",
    ),
    "half": model("h = Cast <to = 10> (x) \n k = Relu (h) \n y = Cast <to = 1> (k)", gives="float[N, 4] y"),
    "whole": model("y = Cast <to = 7> (x)", gives="int64[N, 4] y"),
    "random": model("h = MatMul (x, w) \n n = RandomNormalLike (h) \n y = Add (h, n)"),
    "training": model(
        "y, m, v = BatchNormalization <training_mode = 1> (x, a, a, a, a)", gives="float[N, 4] y",
        weights="float[4] a = {1, 1, 1, 1}",
    ),
    "invalid": model("h = MatMul (x, w) \n y = Softmax <depth = 1> (h)"),
    "old": model(_DENSE, opsets='"": 3'),
    "functions": model(
        "y = my.Twice (x)", gives="float[N, 4] y", opsets='"": 20, "my": 1',
        functions='<domain: "my", opset_import: ["": 20]> Twice (a) => (b) { b = Add (a, a) }',
    ),
    "external": _external(),
    "huge": _huge(),
}  # fmt: skip


def contents() -> dict[str, bytes]:
    """The files, by name."""
    files = {f"{name}.onnx": found.SerializeToString(deterministic=True) for name, found in MODELS.items()}
    return {**files, "text.onnx": b"this is no model\n"}


if __name__ == "__main__":
    for name, data in contents().items():
        (FOLDER / name).write_bytes(data)
