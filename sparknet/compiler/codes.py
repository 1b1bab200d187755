"""Codes of the compiler's diagnostics, each with its one-line title."""

CODES: dict[str, str] = {
    # ----- names and structure -----
    "E0201": "unknown layer or value",
    "E0202": "unknown word in an expression",
    "E0203": "a file needs exactly one net",
    "E0204": "a net needs an input and an output",
    "E0205": "a name is used twice",
    "E0206": "no value at hand",
    "E0207": "operands of the wrong kind",
    "E0208": "a limit on the size of nets",
    "E0209": "a construct that is not understood here",
    "E0210": "a file that cannot be read",
    "E0211": "imports in a circle",
    "E0212": "a file from outside the folder",
    "E0213": "an ONNX model that cannot be a layer",
    "E0215": "a choice that cannot be made",
    # ----- arguments -----
    "E0301": "unknown argument",
    "E0302": "missing argument",
    "E0303": "argument of the wrong kind",
    "E0304": "too many arguments",
    "E0305": "argument given twice",
    # ----- types and shapes -----
    "E0401": "a layer cannot take what arrives",
    "E0402": "a tuple's size differs from what arrives",
    "E0403": "an output does not fit its value",
    "E0404": "unknown or malformed type",
    "E0405": "training through an operator that has no gradient",
    # ----- sections -----
    "E0501": "unknown key",
    "E0502": "key of the wrong kind",
    "E0503": "an input or output without a column",
    "E0504": "missing key",
    "E0505": "binding that is not an expression over one column",
    "E0506": "a setting that means nothing",
    "E0507": "what the engine of the run cannot train",
    # ----- folders -----
    "E0601": "a folder that cannot be written",
}
