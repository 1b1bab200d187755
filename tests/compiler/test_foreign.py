"""Models that other libraries exported, as layers: what they compute, how they train, what a folder keeps of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F

import sparknet
from sparknet.compiler import CompiledNet, check
from sparknet.compiler.folder import write_compiled
from sparknet.compiler.summary import summarize
from sparknet.grammar import SparkNetError
from tests.compiler import foreign_models
from tests.compiler.engine import Array, Graph
from tests.compiler.exports import Small, classifier, export, looking, small
from tests.compiler.foreign_models import model

SGD = "train { optimizer = sgd(lr: 1) }"


def net_of(folder: Path, layers: str, takes: str = "float[1, 8, 8]", gives: str = "class[10]", more: str = SGD) -> Path:
    path = folder / "net.net"
    path.write_text(f"net N {{\n  input x: {takes}\n  {layers}\n  output y: {gives}\n}}\n{more}\n", "utf-8")
    return path


def tensors(net: CompiledNet, flat: Array) -> dict[str, Array]:
    return {s.name: flat[s.offset : s.offset + s.size].reshape(s.shape) for s in net.parameters}


def stepped(net: CompiledNet, flat: Array, **feeds: Any) -> tuple[float, dict[str, Array]]:
    """The loss of a batch, and what a step of length 1 against the gradient takes from each tensor."""
    state = net.initial_optimizer_state()
    found = Graph(net.step)(parameters=flat, optimizer_state=state, learning_rate=1, seed=0, **feeds)
    return float(found["loss"]), tensors(net, flat - found["new_parameters"])


def digits(rows: int = 6) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    return random.normal(size=(rows, 1, 8, 8)).astype(np.float32), random.integers(0, 10, rows)


# ----- PyTorch -----


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_a_net_of_pytorch_infers_and_trains_as_there(tmp_path: Path, opset: int) -> None:
    module = small()
    export(module, tmp_path / "small.onnx", 1, 8, 8, opset=opset)
    net = sparknet.compile(net_of(tmp_path, 'onnx("small.onnx")'))
    x, y = digits()
    flat = net.initial_parameters()
    own = {name: torch.tensor(value) for name, value in tensors(net, flat).items()}
    for name, tensor in module.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(own.pop(f"onnx1.{name}"), tensor)
    assert not own

    expected = module(torch.tensor(x))
    inferred = Graph(net.inference(flat))(x=x)["y_probability"]
    np.testing.assert_allclose(inferred, F.softmax(expected, 1).detach(), rtol=1e-4, atol=1e-5)
    loss = F.cross_entropy(expected, torch.tensor(y))
    loss.backward()
    found, change = stepped(net, flat, x=x, y=y)
    np.testing.assert_allclose(found, loss.item(), rtol=1e-5)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(change.pop(f"onnx1.{name}"), parameter.grad, rtol=1e-3, atol=1e-5, err_msg=name)
    assert sorted(change) == [f"onnx1.{n}.running_{what}" for n in ("flat", "norm") for what in ("mean", "var")]
    assert not any(value.any() for value in change.values()), "running statistics stay"


def test_a_transformer_of_pytorch_trains_as_there(tmp_path: Path) -> None:
    """Attention is exported with arithmetic on shapes, slices of a tensor of all projections, and turned weights."""
    module = looking()
    export(module, tmp_path / "looking.onnx", 5, 8, whole=False)
    net = sparknet.compile(net_of(tmp_path, 'dense(8) -> onnx("looking.onnx")', "float[5, 8]"))
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4, 5, 8)).astype(np.float32), random.integers(0, 10, 4)
    flat = net.initial_parameters()
    first = {n: torch.tensor(v, requires_grad=True) for n, v in tensors(net, flat).items() if n.startswith("dense")}
    loss = F.cross_entropy(module(torch.tensor(x) @ first["dense1.weight"] + first["dense1.bias"]), torch.tensor(y))
    loss.backward()
    found, change = stepped(net, flat, x=x, y=y)
    np.testing.assert_allclose(found, loss.item(), rtol=1e-5)
    own = {f"onnx1.{name}": parameter for name, parameter in module.named_parameters()}
    named = {name: tensor for name, tensor in (first | own).items() if name in change}
    assert len(named) > 10
    for name, tensor in named.items():
        np.testing.assert_allclose(change.pop(name), tensor.grad, rtol=1e-3, atol=1e-5, err_msg=name)
    turned = [tensor.grad for name, tensor in own.items() if name not in named]
    assert len(change) == len(turned), "the others are products' weights, turned by the exporter and called by numbers"
    sums = sorted(float(g.abs().sum()) for g in turned)
    np.testing.assert_allclose(sorted(float(np.abs(c).sum()) for c in change.values()), sums, rtol=1e-3)


def test_a_batch_in_parts_takes_the_step_of_the_whole(tmp_path: Path) -> None:
    export(small(), tmp_path / "small.onnx", 1, 8, 8)
    x, y = digits()
    whole, parts = (
        sparknet.compile(net_of(tmp_path, 'onnx("small.onnx")', more=f"train {{ {more} optimizer = sgd(lr: 1) }}"))
        for more in ("", "batch = 6\n accumulate = 3\n")
    )
    flat = whole.initial_parameters()
    one, many = (stepped(net, flat, x=x, y=y) for net in (whole, parts))
    np.testing.assert_allclose(many[0], one[0], rtol=1e-5)
    for name, change in one[1].items():
        np.testing.assert_allclose(many[1][name], change, rtol=1e-3, atol=1e-6, err_msg=name)


def test_a_frozen_net_keeps_its_numbers_and_trains_what_is_before_and_behind_it(tmp_path: Path) -> None:
    module = small()
    export(module, tmp_path / "small.onnx", 1, 8, 8)
    cut = next(n.output[0] for n in _nodes(tmp_path / "small.onnx") if n.op_type == "Gemm")  # behind `hidden`
    layers = f'conv(1, 1x1) -> onnx("small.onnx", output: "{cut}", frozen: true) -> dense(10)'
    net = sparknet.compile(net_of(tmp_path, layers))
    x, y = digits()
    flat = net.initial_parameters()
    own = {n: torch.tensor(v, requires_grad=True) for n, v in tensors(net, flat).items() if not n.startswith("onnx")}
    seen = F.conv2d(torch.tensor(x), own["conv1.weight"], own["conv1.bias"])
    features = module.hidden(_until_hidden(module, seen))
    loss = F.cross_entropy(features @ own["dense1.weight"] + own["dense1.bias"], torch.tensor(y))
    loss.backward()
    found, change = stepped(net, flat, x=x, y=y)
    np.testing.assert_allclose(found, loss.item(), rtol=1e-5)
    for name, tensor in own.items():
        np.testing.assert_allclose(change.pop(name), tensor.grad, rtol=1e-3, atol=1e-5, err_msg=name)
    assert change
    assert not any(value.any() for value in change.values())
    assert not [name for name in change if "last" in name or "flat" in name], "the end was left out"


def _nodes(path: Path) -> Any:
    import onnx

    return onnx.load(path).graph.node


def _until_hidden(module: Small, x: torch.Tensor) -> torch.Tensor:
    x = F.max_pool2d(torch.relu(module.norm(module.first(x))), 2)
    return F.hardswish(module.second(x)).flatten(1)


# ----- scikit-learn -----


def test_a_perceptron_of_scikit_learn_is_trained_further(tmp_path: Path) -> None:
    fitted, rows, labels = classifier(tmp_path / "mlp.onnx")
    end = next(n.output[0] for n in _nodes(tmp_path / "mlp.onnx") if n.op_type == "Softmax")
    layer = f'onnx("mlp.onnx", output: "{end}")'
    net = sparknet.compile(net_of(tmp_path, layer, "float[64]", more="train { optimizer = adam(lr: 0.01) }"))
    flat, state = net.initial_parameters(), net.initial_optimizer_state()
    inferred = Graph(net.inference(flat))(x=rows)
    np.testing.assert_allclose(inferred["y_probability"], fitted.predict_proba(rows), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(inferred["y"], fitted.predict(rows))

    step, losses = Graph(net.step), []
    for seed in range(30):
        found = step(x=rows, y=labels, parameters=flat, optimizer_state=state, learning_rate=0.01, seed=seed)
        flat, state = found["new_parameters"], found["new_optimizer_state"]
        losses.append(float(found["loss"]))
    own = -np.log(fitted.predict_proba(rows)[np.arange(len(labels)), labels]).mean()
    np.testing.assert_allclose(losses[0], own, rtol=1e-4)
    assert losses[-1] < losses[0] / 4

    with pytest.raises(SparkNetError, match=r"2 outputs: `output_label`, `output_probability`"):
        check(net_of(tmp_path, 'onnx("mlp.onnx")', "float[64]"))
    with pytest.raises(SparkNetError, match=f"`ZipMap` of `ai.onnx.ml`.*\n(.*\n)*.*pick a value before it: `{end}`"):
        check(net_of(tmp_path, 'onnx("mlp.onnx", output: "output_probability")', "float[64]"))


def test_a_frozen_perceptron_of_scikit_learn_has_a_new_end(tmp_path: Path) -> None:
    _, rows, labels = classifier(tmp_path / "mlp.onnx")
    hidden = next(n.output[0] for n in _nodes(tmp_path / "mlp.onnx") if n.op_type == "Relu")
    net = sparknet.compile(
        net_of(tmp_path, f'onnx("mlp.onnx", output: "{hidden}", frozen: true) -> dense(10)', "float[64]")
    )
    assert [row.parameters for row in net.layers] == [0, 170]
    _, change = stepped(net, net.initial_parameters(), x=rows, y=labels)
    assert [name for name, value in change.items() if value.any()] == ["dense1.weight", "dense1.bias"]


# ----- operators in other forms -----

FORMS: dict[str, tuple[Any, str, str]] = {
    "a view by the sizes of what arrives": (
        model(
            "s = Shape (x) \n n = Gather <axis = 0> (s, zero) \n c = Gather <axis = 0> (s, one) \n k = Mul (c, two)"
            "\n m = Unsqueeze (n, axes) \n r = Unsqueeze (k, axes) \n t = Concat <axis = 0> (m, r)"
            "\n y = Reshape (x, t)",
            "float[N, 3, 2] x", "float[N, K] y",
            "int64 zero = {0}, int64 one = {1}, int64 two = {2}, int64[1] axes = {0}",
        ), "float[3, 2]", "float[6]",
    ),
    "steps joined to rows and parted again": (
        model(
            "a = Reshape (x, rows) \n b = MatMul (a, w) \n y = Reshape (b, back)", "float[N, 3, 2] x", "float[N, 6] y",
            "float[2, 2] w = {1, 2, 3, 4}, int64[2] rows = {-1, 2}, int64[2] back = {-1, 6}",
        ), "float[3, 2]", "float[6]",
    ),
    "axes of one that are not named": (
        model("y = Squeeze (x)", "float[N, 1, 6] x", "float[N, 6] y", "float[1] unused = {0}"),
        "float[1, 6]", "float[6]",
    ),
    "axes as an attribute": (
        model("y = Squeeze <axes = [1]> (x)", "float[N, 1, 6] x", "float[N, 6] y", "float[1] u = {0}", '"": 11'),
        "float[1, 6]", "float[6]",
    ),
    "no axes to reduce": (
        model("y = ReduceMean <noop_with_empty_axes = 1> (x)", "float[N, 6] x", "float[N, 6] y", "float[1] u = {0}"),
        "float[6]", "float[6]",
    ),
    "padding to the same size, the odd row above": (
        model(
            'a = Conv <auto_pad = "SAME_LOWER", strides = [2, 1]> (x, w)'
            '\n b = MaxPool <auto_pad = "SAME_UPPER", kernel_shape = [2, 2]> (a) \n y = Flatten (b)',
            "float[N, 1, 4, 3] x", "float[N, 6] y", "float[1, 1, 2, 2] w = {1, 2, 3, 4}",
        ), "float[1, 4, 3]", "float[6]",
    ),
    "windows that reach beyond the edge": (
        model(
            "a = AveragePool <ceil_mode = 1, kernel_shape = [2], strides = [2]> (x)"
            "\n b = MaxPool <ceil_mode = 1, kernel_shape = [2], strides = [2]> (x) \n c = Concat <axis = 2> (a, b)"
            "\n y = Flatten (c)",
            "float[N, 1, 5] x", "float[N, 6] y", "float[1] u = {0}",
        ), "float[1, 5]", "float[6]",
    ),
    "zeros of a padding that count": (
        model(
            "a = AveragePool <count_include_pad = 1, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)"
            "\n y = Flatten (a)",
            "float[N, 1, 2, 3] x", "float[N, 6] y", "float[1] u = {0}",
        ), "float[1, 2, 3]", "float[6]",
    ),
    "a product with factors": (
        model(
            "a = Gemm <alpha = 0.5, beta = 2.0, transB = 1> (x, w, c)"
            "\n y = BatchNormalization (a, s, s, m, s)",
            "float[N, 2] x", "float[N, 3] y",
            "float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[1, 3] c = {1, 2, 3}, float[3] s = {1, 2, 3},"
            "float[3] m = {0, 1, 2}",
        ), "float[2]", "float[3]",
    ),
    "a transposed product, folded": (
        model(
            "a = Gemm <transB = 1> (x, w, c) \n y = BatchNormalization (a, s, s, m, s)",
            "float[N, 2] x", "float[N, 3] y",
            "float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[3] c = {1, 2, 3}, float[3] s = {1, 2, 3},"
            "float[3] m = {0, 1, 2}",
        ), "float[2]", "float[3]",
    ),
    "constants, dropout and casts that do nothing": (
        model(
            "h = Constant <value_float = 0.5> () \n a = Dropout (x, h) \n b = Cast <to = 1> (a) \n c = Mul (b, h)"
            "\n y = Identity (c)", "float[N, 3] x", "float[N, 3] y", "float[1] u = {0}",
        ), "float[3]", "float[3]",
    ),
    "a mask of infinities": (
        model(
            "a = Add (x, m) \n y = Softmax <axis = -1> (a)", "float[N, 3] x", "float[N, 3] y",
            "float[3] m = {0, -inf, 0}",
        ), "float[3]", "float[3]",
    ),
    "the first step, and sizes by scales": (
        model(
            "a = Gather <axis = 1> (x, zero) \n b = Unsqueeze (a, one)"
            '\n c = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> '
            "(b, , s) \n y = Flatten (c)", "float[N, 4, 2] x", "float[N, 6] y",
            "int64 zero = {0}, int64[1] one = {1}, float[3] s = {1, 1, 3}",
        ), "float[4, 2]", "float[6]",
    ),
}  # fmt: skip
"""Models, what they take and what they give."""


@pytest.mark.parametrize("name", FORMS)
def test_a_form_computes_what_the_model_does(tmp_path: Path, name: str) -> None:
    proto, takes, gives = FORMS[name]
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    net = sparknet.compile(net_of(tmp_path, 'onnx("model.onnx")', takes, gives))
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    flat = net.initial_parameters()
    for rows in (2, 3):
        x = np.random.default_rng(rows).normal(size=(rows, *net.inputs[0].type.shape)).astype(np.float32)
        expected = session.run(None, {"x": x})[0]
        np.testing.assert_allclose(Graph(net.inference(flat))(x=x)["y"], expected, rtol=1e-5, atol=1e-6)
        evaluated = Graph(net.evaluation)(x=x, y=np.zeros_like(expected), parameters=flat)
        np.testing.assert_allclose(evaluated["loss"], np.mean(expected**2), rtol=1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_a_form_trains_what_stands_before_it(tmp_path: Path, name: str) -> None:
    """The gradient of what arrives, by the change that one step makes to what is added to it, against differences."""
    proto, takes, gives = FORMS[name]
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    shape = takes[6:-1]
    size = int(np.prod([int(d) for d in shape.split(",")]))
    layers = f'flatten -> dense({size}) -> reshape({shape}) -> onnx("model.onnx", frozen: true)'
    net = sparknet.compile(net_of(tmp_path, layers, takes, gives))
    random = np.random.default_rng(0)
    x = random.normal(size=(4, *net.inputs[0].type.shape)).astype(np.float32)
    y = random.normal(size=(4, *net.targets[0].type.shape)).astype(np.float32)
    flat = net.initial_parameters()
    _, change = stepped(net, flat, x=x, y=y)
    evaluation = Graph(net.evaluation)
    bias = next(s for s in net.parameters if s.name == "dense1.bias")
    for k in range(size):
        sides = []
        for h in (1e-2, -1e-2):
            moved = flat.copy()
            moved[bias.offset + k] += h
            sides.append(float(evaluation(x=x, y=y, parameters=moved)["loss"]))
        np.testing.assert_allclose(change["dense1.bias"][k], (sides[0] - sides[1]) / 2e-2, rtol=0.05, atol=5e-3)


def test_tokens_are_looked_up_in_a_table_of_the_model(tmp_path: Path) -> None:
    proto = model(
        "e = Gather <axis = 0> (w, x) \n y = ReduceMean <keepdims = 0> (e, axes)",
        "int32[N, 3] x", "float[N, 2] y", "float[5, 2] w = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, int64[1] axes = {1}",
    )  # fmt: skip
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    net = sparknet.compile(net_of(tmp_path, 'onnx("model.onnx")', "token[3, vocabulary: 5]", "float[2]"))
    x, y = np.array([[0, 4, 4], [1, 1, 3]]), np.zeros((2, 2), np.float32)
    table = torch.arange(10.0).reshape(5, 2).requires_grad_()
    F.mse_loss(table[torch.tensor(x)].mean(1), torch.zeros(2, 2)).backward()
    _, change = stepped(net, net.initial_parameters(), x=x, y=y)
    np.testing.assert_allclose(change["onnx1.w"], table.grad, rtol=1e-5)
    with pytest.raises(SparkNetError, match=r"takes int32, but `float\[3\]` arrives"):
        check(net_of(tmp_path, 'onnx("model.onnx")', "float[3]", "float[2]"))


# ----- files -----


def test_a_compiled_folder_keeps_the_model_and_its_net_compiles_there(tmp_path: Path) -> None:
    (tmp_path / "parts" / "weights").mkdir(parents=True)
    export(small(), tmp_path / "parts" / "weights" / "small.onnx", 1, 8, 8)
    (tmp_path / "parts" / "seen.net").write_text('block Seen(still) { onnx("weights/small.onnx", frozen: still) }\n')
    path = net_of(tmp_path, "Seen(true) -> dense(10)")
    path.write_text(f'import "parts/seen.net"\n{path.read_text()}')
    net = sparknet.compile(path)
    files = write_compiled(net, tmp_path / "compiled")
    (stored,) = net.models
    assert f'onnx("{stored}", frozen: still)' in net.source.text
    assert stored in files
    assert (tmp_path / "compiled" / stored).read_bytes() == (tmp_path / "parts" / "weights" / "small.onnx").read_bytes()
    again = sparknet.compile(tmp_path / "compiled" / "net.net")
    assert again.step.SerializeToString(deterministic=True) == net.step.SerializeToString(deterministic=True)
    np.testing.assert_array_equal(again.initial_parameters(), net.initial_parameters())


def test_a_link_leads_out_of_no_folder(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    export(small(), tmp_path / "small.onnx", 1, 8, 8)
    (tmp_path / "inside" / "link.onnx").symlink_to(tmp_path / "small.onnx")
    path = net_of(tmp_path / "inside", 'onnx("link.onnx")')
    with pytest.raises(SparkNetError, match="E0212"):
        check(path)
    assert check(path, root=tmp_path).types["onnx1"].shape == (10,)
    assert check(net_of(tmp_path / "inside", 'onnx("small.onnx")'), root=tmp_path).types["onnx1"].shape == (10,)


def test_a_summary_counts_the_products_inside(tmp_path: Path) -> None:
    export(small(), tmp_path / "small.onnx", 1, 8, 8)
    row = summarize(check(net_of(tmp_path, 'onnx("small.onnx")'))).layers[0]
    assert row.parameters == sum(p.numel() for p in Small().parameters())
    assert row.multiply_adds == 64 * 4 * 9 + 4 * 6 * 4 * 9 + 24 * 12 + 12 * 10


def test_the_models_of_the_catalogue_are_those_of_their_script() -> None:
    files = {path.name: path.read_bytes() for path in foreign_models.FOLDER.iterdir()}
    assert files == foreign_models.contents()
