"""The nets of `Autoencoder`: an encoder, the code, and a decoder, which mirrors the encoder unless it is given."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from sparknet.grammar import construct as c
from sparknet.grammar import syntax
from sparknet.ml.nets import filled, layer_lines
from sparknet.ml.origins import Given, layer_origins
from sparknet.ml.params.autoencoder import Half
from sparknet.runtime.problems import problem

Shape = tuple[int, ...]


def takes_images(encoder: Sequence[Half]) -> bool:
    """Whether an encoder has layers other than dense ones, so that the shape of what arrives counts."""
    return not all(isinstance(item, int) for item in encoder)


def autoencoder(
    encoder: Sequence[Half], decoder: Sequence[Half] | None, code: int, filters: int, activation: str, shape: Shape
) -> tuple[list[syntax.Statement], list[Given | None]]:
    """The body of a net that encodes features of a `shape` as `code` numbers and gives them back.

    Beside it the params that its statements come from, those of the two parts one by one. Raises SparkNetError for an
    encoder that cannot be mirrored where there is no `decoder`.
    """
    there, origins = _half("encoder", encoder, filters, activation)
    origins = [None, *origins, Given("codeSize", code)]
    if decoder is None:
        back = _mirrored(encoder, filters, activation, shape)
        mirrored = [Given(f"encoder[{place}]", item) for place, item in enumerate(encoder)]
        origins += [None, *reversed(mirrored)]
    else:
        back, more = _half("decoder", decoder, filters, activation)
        origins += more
        if not decoder or isinstance(decoder[-1], int):
            back.append(_shaped(shape, None))
    body: list[syntax.Statement] = [
        c.input("features", "float", *shape),
        c.part("encoder", *there, c.chain(*_flat(encoder), _dense(code, None))),
        c.part("decoder", *back),
        c.output("rebuilt", "like features"),
    ]
    return body, origins


def _half(
    param: str, layers: Sequence[Half], filters: int, activation: str
) -> tuple[list[syntax.Statement], list[Given | None]]:
    made: list[list[syntax.Statement]] = []
    for place, item in enumerate(layers):
        if isinstance(item, int):
            made.append([c.chain(*_flat(layers[:place]), _dense(item, activation))])
        else:
            made.append(layer_lines(item, filters, activation, f"{param}[{place}]"))
    return [line for lines in made for line in lines], [*layer_origins(param, layers, list(map(len, made)))]


def _flat(before: Sequence[Half]) -> list[syntax.Call]:
    """What a dense layer needs in front of it."""
    return [c.layer("flatten")] if before and not isinstance(before[-1], int) else []


def _dense(units: int, activation: str | None) -> syntax.Call:
    return c.layer("dense", units, *([] if activation is None else [c.word(activation.lower())]))


def _shaped(shape: Shape, activation: str | None) -> syntax.Chain:
    """A dense layer that gives the numbers of a shape, in that shape."""
    return c.chain(_dense(prod(shape), activation), *([c.layer("reshape", *shape)] if len(shape) > 1 else []))


# ----- the mirror -----


def _mirrored(encoder: Sequence[Half], filters: int, activation: str, shape: Shape) -> list[syntax.Statement]:
    """The layers of an encoder in reverse: dense layers, layer tuples and poolings that divide the sides.

    What gives the features back, the mirror image of the first layer with weights, has no activation.
    """
    back: list[syntax.Statement] = []
    made: str | None = None
    for item in encoder:
        step, shape = _reversed(item, filters, activation, made, shape)
        back.insert(0, step)
        made = made if _pooling(item) is not None else activation
    return [_shaped(shape, made), *back]


def _reversed(
    item: Half, filters: int, activation: str, made: str | None, shape: Shape
) -> tuple[syntax.Statement, Shape]:
    """What undoes a layer that takes `shape`, with the activation `made`, and the shape that the layer gives."""
    if isinstance(item, int):
        return _shaped(shape, made), (item,)
    if isinstance(item, tuple) and len(shape) == 3:
        size, height, width, count, name = filled(item, filters, activation)
        if isinstance(count, int):
            again = c.layer("conv", shape[0], c.expr(f"{height}x{width}"))
            return c.chain(again if made is None else (size, height, width, shape[0], name)), (count, *shape[1:])
    window = _pooling(item)
    if window is not None and len(shape) == 3 and shape[1] % window == 0 and shape[2] % window == 0:
        return c.chain(c.layer("upsample", window)), (shape[0], shape[1] // window, shape[2] // window)
    raise problem(
        "M0001",
        f"`encoder` has a layer without a mirror image: {item!r}",
        helps=[
            "say with `decoder` what comes behind the code; of themselves are mirrored dense layers, layer tuples, and "
            "poolings that divide the sides"
        ],
    )


def _pooling(item: Half) -> int | None:
    """The window of a text that is one pooling, `maxpool(2)`."""
    statements = c.lines(item) if isinstance(item, str) else ()
    match statements:
        case (syntax.Chain(steps=(syntax.Call(name=name, arguments=(syntax.Argument(key=None, value=value),)),)),):
            found = value.value if isinstance(value, syntax.Number) else None
            return found if name.text in ("maxpool", "avgpool") and isinstance(found, int) and found > 0 else None
    return None
