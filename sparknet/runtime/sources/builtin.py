"""The small sets that scikit-learn carries, read from its folder: importing `sklearn.datasets` takes over a second."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparknet.runtime.problems import problem


def read_built_in(name: str) -> pa.Table:
    """The rows of a set; raises SparkNetError where scikit-learn is not installed."""
    return _SETS[name]()


def _digits() -> pa.Table:
    """`pixels` list<float>[64], 0 to 16, and `label` int64."""
    rows = _numbers(name="digits.csv.gz")
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(rows[:, :64].astype(np.float32).ravel()), 64)
    label = pa.array(rows[:, 64].astype(np.int64))
    return pa.table({"pixels": pixels.cast(pa.list_(pa.float32())), "label": label})


def _iris() -> pa.Table:
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    return _table(_numbers("iris.csv", header=True), names, "species", np.int64)


def _wine() -> pa.Table:
    names = [
        "alcohol",
        "malic_acid",
        "ash",
        "alcalinity_of_ash",
        "magnesium",
        "total_phenols",
        "flavanoids",
        "nonflavanoid_phenols",
        "proanthocyanins",
        "color_intensity",
        "hue",
        "od280_od315_of_diluted_wines",
        "proline",
    ]
    return _table(_numbers("wine_data.csv", header=True), names, "cultivar", np.int64)


def _breast_cancer() -> pa.Table:
    measured = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"]
    measured += ["concave_points", "symmetry", "fractal_dimension"]
    names = [f"{kind}_{name}" for kind in ("mean", "error", "worst") for name in measured]
    return _table(_numbers("breast_cancer.csv", header=True), names, "benign", np.int64)


def _diabetes() -> pa.Table:
    names = ["age", "sex", "bmi", "blood_pressure", "total_cholesterol", "ldl", "hdl", "cholesterol_ratio"]
    names += ["log_triglycerides", "glucose"]
    rows = np.column_stack([_numbers(f"diabetes_{part}.csv.gz", " ") for part in ("data_raw", "target")])
    return _table(rows, names, "progression", np.float64)


_SETS: dict[str, Callable[[], pa.Table]] = {
    "digits": _digits,
    "iris": _iris,
    "wine": _wine,
    "breast_cancer": _breast_cancer,
    "diabetes": _diabetes,
}


def _numbers(name: str, separator: str = ",", header: bool = False) -> NDArray[np.float64]:
    """The numbers of a file in scikit-learn's folder."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        message = f"{name.partition('.')[0]}() comes with scikit-learn, which is not installed"
        raise problem("R0001", message, helps=["pip install scikit-learn"])
    data = Path(package.submodule_search_locations[0], "datasets/data", name).read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("ascii")
    return np.array(list(csv.reader(text.splitlines()[header:], delimiter=separator)), np.float64)


def _table(rows: NDArray[np.float64], names: Sequence[str], target: str, kind: type[np.generic]) -> pa.Table:
    """The columns by their names, the last as the target."""
    columns = {name: pa.array(np.ascontiguousarray(rows[:, i])) for i, name in enumerate(names)}
    return pa.table({**columns, target: pa.array(rows[:, -1].astype(kind))})
