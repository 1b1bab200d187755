"""What the report says of a run, as plain data for the template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sparknet.compiler.encoders import AnyEncoder, Categories
from sparknet.compiler.summary import amount
from sparknet.runtime.evaluation.errors import BoolErrors, ClassErrors, Errors, FloatErrors, LikeErrors
from sparknet.runtime.manifest import Manifest
from sparknet.runtime.report.charts import BarChart, LineChart, PlaneChart, Series, bar_chart, line_chart, number
from sparknet.runtime.report.charts import plane_chart as draw_plane
from sparknet.runtime.training.records import RoundRecord, Score

MATRIX_CLASSES = 16
"""Of more classes, the most confused pairs take the place of the whole matrix."""
_MOST_PAIRS, _MOST_CLASSES, _MOST_ANSWERS = 25, 60, 60
_MOST_ROUNDS = 120
_NONE = "\N{EN DASH}"
_SHARES = frozenset({"accuracy", "precision", "recall", "f1"})


@dataclass(frozen=True)
class Table:
    """Heads, rows and, where it is not complete, what is left out. The first cell of a row is its head."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: str = ""
    wide: bool = False
    """Whether the first column holds text rather than numbers."""


@dataclass(frozen=True)
class MatrixCell:
    """A count, and how much of its row it is, 0 to 1."""

    count: str
    share: float
    right: bool


@dataclass(frozen=True)
class Matrix:
    """A row for each true class, a column for each predicted one."""

    caption: str
    labels: tuple[str, ...]
    rows: tuple[tuple[MatrixCell, ...], ...]


@dataclass(frozen=True)
class OutputPart:
    """What is told of one output."""

    name: str
    matrices: tuple[Matrix, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[tuple[BarChart, PlaneChart | None], ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Share:
    """A part of the run's time."""

    name: str
    what: str
    seconds: float
    share: float
    css: str


# ----- curves -----


def curves(history: Sequence[RoundRecord], manifest: Manifest) -> list[LineChart]:
    """Loss, each metric, the learning rate where it changes, and the speed, by round."""
    names = ["loss", *history[0].train.metrics]
    charts = [
        line_chart(
            name.replace("_", " "),
            [
                Series("train", "a", [(r.round, _of(r.train, name)) for r in history]),
                *_held_out(history, manifest, name),
            ],
            manifest.kept_round,
        )
        for name in names
    ]
    rates = [(r.round, r.learning_rate) for r in history]
    if len({rate for _, rate in rates}) > 1:
        charts.append(line_chart("learning rate", [Series("learning rate", "c", rates)], manifest.kept_round))
    speed = [(r.round, r.rows_a_second) for r in history]
    return [*charts, line_chart("rows a second", [Series("rows a second", "c", speed)], manifest.kept_round)]


def _held_out(history: Sequence[RoundRecord], manifest: Manifest, name: str) -> list[Series]:
    """The split that each round was scored on, and the test rows where only the kept round was."""
    scored = [(r.round, r.score) for r in history if r.score is not None]
    by_round = [Series(scored[0][1].split, "b", [(at, _of(s, name)) for at, s in scored])] if scored else []
    test = manifest.scores.get("test")
    if test is None or any(each.name == "test" for each in by_round):
        return by_round
    value = test.loss if name == "loss" else test.metrics[name]
    return [*by_round, Series("test", "d", [(manifest.kept_round, value)])]


def _of(score: Score, name: str) -> float:
    return score.loss if name == "loss" else score.metrics[name]


def rounds_table(history: Sequence[RoundRecord]) -> Table:
    """A row a round, of a long run some of them."""
    step = -(-len(history) // _MOST_ROUNDS)
    shown = [r for r in history if r.round == 1 or r.round % step == 0 or r.round == len(history)]
    metrics = list(history[0].train.metrics)
    split = next((r.score.split for r in history if r.score is not None), None)
    heads = ["round", "epoch", "steps", "learning rate", "train loss", *(f"train {m}" for m in metrics)]
    heads += [f"{split} loss", *(f"{split} {m}" for m in metrics)] if split else []
    rows = []
    for r in shown:
        cells = [f"{r.round:,}", f"{r.epoch:,}", f"{r.steps:,}", number(r.learning_rate)]
        for score in r.scores:
            cells += [loss(score.loss), *(metric(m, score.metrics[m]) for m in metrics)]
        rows.append((*cells, f"{r.seconds_total:.2f}", f"{r.rows_a_second:,.0f}"))
    left = "" if step == 1 else f"{len(shown)} of {len(history):,} rounds; metrics.jsonl has all"
    return Table("Rounds", (*heads, "seconds", "rows/s"), tuple(rows), left)


def loss(value: float) -> str:
    """A loss as people read it: `0.0412`, `3,991`."""
    return f"{value:.4f}" if value < 100 else number(value)


def metric(name: str, value: float) -> str:
    """A metric as people read it: `97.1 %`."""
    return f"{100 * value:.1f} %" if is_share(name) else number(value)


def is_share(name: str) -> bool:
    """Whether a metric lies between 0 and 1."""
    last = name.rpartition("_")[2]
    return last in _SHARES or (last.isdecimal() and name.rpartition("_")[0].endswith("top"))


# ----- time -----


def shares(history: Sequence[RoundRecord], manifest: Manifest) -> list[Share]:
    """Where the time of the run went."""
    on_spark = manifest.where.startswith("Spark")
    parts = [
        ("start-up", "the Spark session, where there is one, and opening the data", "s1", manifest.seconds_start),
        ("data", "checking, encoding and placing the rows", "s2", manifest.seconds_data),
        ("compute", "training steps of the slowest worker", "s3", sum(r.seconds_compute for r in history)),
        ("exchange", _exchanged(history), "s4", sum(r.seconds_exchange for r in history)),
        ("evaluation", "scores of the slowest worker", "s5", sum(r.seconds_evaluation for r in history)),
        (
            "Spark" if on_spark else "waiting",
            "planning, scheduling and moving, in the rounds",
            "s6",
            sum(r.seconds_rest for r in history),
        ),
    ]
    total = manifest.seconds_start + manifest.seconds
    rest = total - sum(seconds for *_, seconds in parts)
    parts.append(("rest", "first weights, checkpoints, trackers, the last evaluation", "s7", max(0.0, rest)))
    whole = sum(seconds for *_, seconds in parts) or 1.0
    return [Share(name, what, s, s / whole, css) for name, what, css, s in parts if s > 0]


def _exchanged(history: Sequence[RoundRecord]) -> str:
    down, up = (sum(getattr(record, key) for record in history) for key in ("bytes_down", "bytes_up"))
    moved = f"; {amount(down)} went down to them, {amount(up)} came up" if up else ""
    return f"one set of weights of those of all workers{moved}"


# ----- errors -----


def outputs(errors: Errors, encoders: Mapping[str, AnyEncoder]) -> list[OutputPart]:
    """What is told of each output."""
    parts = []
    for name, found in errors.outputs.items():
        match found:
            case ClassErrors():
                parts.append(_of_classes(name, found, _labels(name, encoders)))
            case BoolErrors():
                parts.append(_of_answers(name, found))
            case FloatErrors():
                parts.append(_of_numbers(name, found))
            case LikeErrors():
                parts.append(_of_likeness(name, found))
    return parts


def _labels(name: str, encoders: Mapping[str, AnyEncoder]) -> Callable[[int], str]:
    """What each class is called: what the encoder learnt, else its number."""
    encoder = encoders.get(name)
    terms = encoder.terms if isinstance(encoder, Categories) else None
    return str if terms is None else lambda place: _short(str(terms[place]))


def _short(text: str, most: int = 28) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _of_classes(name: str, found: ClassErrors, label: Callable[[int], str]) -> OutputPart:
    """The matrix of few classes, the most confused pairs of many; precision and recall of each class."""
    matrices = (_matrix(found, label),) if found.classes <= MATRIX_CLASSES else ()
    tables = []
    pairs = sorted(found.pairs, key=lambda pair: -pair[2])
    true = {place: rows for place, rows, _, _ in found.totals}
    if pairs and found.classes > 2:
        shown = pairs[: _MOST_PAIRS if not matrices else 8]
        confused = tuple((label(t), label(p), f"{n:,}", _percent(n, true.get(t, 0))) for t, p, n in shown)
        left = f"{len(shown)} of {len(pairs):,} pairs" if len(pairs) > len(shown) else ""
        tables.append(
            Table("Most confused", ("true class", "predicted as", "rows", "of the class"), confused, left, wide=True)
        )
    each = [(place, *_rates(rows, said, hits), rows, said) for place, rows, said, hits in found.totals]
    worst = sorted(each, key=lambda row: (row[3], row[0])) if len(each) > _MOST_CLASSES else each
    rows = tuple(
        (label(place), *(_share(v) for v in (precision, recall, f1)), f"{true_rows:,}", f"{said:,}")
        for place, precision, recall, f1, true_rows, said in worst[:_MOST_CLASSES]
    )
    left = f"the {_MOST_CLASSES} of {len(each):,} classes with the lowest F1" if len(each) > _MOST_CLASSES else ""
    heads = ("class", "precision", "recall", "F1", "rows", "predicted")
    tables.append(Table("Each class", heads, rows, left, wide=True))
    absent = found.classes - len(true.keys() - {place for place, rows in true.items() if not rows})
    remark = f"{absent:,} of {found.classes:,} classes do not occur among these rows." if absent else ""
    return OutputPart(name, matrices, tuple(tables), remark=remark)


def _matrix(found: ClassErrors, label: Callable[[int], str]) -> Matrix:
    counts = {(t, p): n for t, p, n in found.pairs} | {(c, c): hits for c, _, _, hits in found.totals}
    true = {place: rows for place, rows, _, _ in found.totals}
    rows = tuple(
        tuple(_cell(counts.get((t, p), 0), true.get(t, 0), t == p) for p in range(found.classes))
        for t in range(found.classes)
    )
    return Matrix("Confusion matrix", tuple(label(i) for i in range(found.classes)), rows)


def _cell(count: int, rows: int, right: bool) -> MatrixCell:
    return MatrixCell(f"{count:,}" if count else "·", round(count / rows, 3) if rows else 0.0, right)


def _of_answers(name: str, found: BoolErrors) -> OutputPart:
    """The matrix of one answer; of several a row each."""
    if len(found.answers) == 1:
        ((yes_yes, no_yes, yes_no, no_no),) = found.answers
        yes, no = yes_yes + yes_no, no_yes + no_no
        cells = (
            (_cell(no_no, no, True), _cell(no_yes, no, False)),
            (_cell(yes_no, yes, False), _cell(yes_yes, yes, True)),
        )
        matrices: tuple[Matrix, ...] = (Matrix("Confusion matrix", ("no", "yes"), cells),)
    else:
        matrices = ()
    each = [
        (i, *_rates(both + missed, both + wrong, both), both, wrong, missed, neither)
        for i, (both, wrong, missed, neither) in enumerate(found.answers)
    ]
    worst = sorted(each, key=lambda row: (row[3], row[0])) if len(each) > _MOST_ANSWERS else each
    rows = tuple((f"{i + 1:,}", *(_share(v) for v in (p, r, f)), *(f"{n:,}" for n in ns)) for i, p, r, f, *ns in worst)
    left = f"the {_MOST_ANSWERS} of {len(each):,} answers with the lowest F1" if len(each) > _MOST_ANSWERS else ""
    heads = (
        "answer",
        "precision",
        "recall",
        "F1",
        "both yes",
        "only predicted",
        "only true",
        "both no",
    )
    return OutputPart(name, matrices, (Table("Each answer", heads, rows[:_MOST_ANSWERS], left),))


def _rates(true: int, said: int, hits: int) -> tuple[float | None, float | None, float]:
    """Precision, recall and F1; None where there is nothing to divide by."""
    f1 = 2 * hits / (true + said) if true + said else 0.0
    return hits / said if said else None, hits / true if true else None, f1


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{100 * value:.1f} %"


def _percent(part: int, whole: int) -> str:
    return _share(part / whole if whole else None)


def _of_numbers(name: str, found: FloatErrors) -> OutputPart:
    """A histogram of errors and a plane of true and predicted for the first numbers, and a table of all."""
    several = len(found.error.sums) > 1
    titles = [f"{name} {i + 1}" if several else name for i in range(len(found.histograms))]
    charts = tuple(
        (bar_chart(f"error of {title}", histogram), draw_plane(title, plane))
        for title, histogram, plane in zip(titles, found.histograms, found.planes, strict=True)
    )
    bias, size, squares = found.error.means(), found.size.means(), found.error.mean_squares()
    spread = found.true.variances()
    shown = min(len(bias), _MOST_ANSWERS)
    rows = tuple(
        (
            f"{name} {i + 1}" if several else name,
            number(size[i]),
            number(squares[i] ** 0.5),
            number(bias[i]),
            _NONE if not spread[i] else number(1 - squares[i] / spread[i]),
        )
        for i in range(shown)
    )
    left = f"the first {shown} of {len(bias):,} numbers" if len(bias) > shown else ""
    heads = ("output", "mean absolute error", "root mean squared error", "mean error", "R²")
    remark = f"Charts are those of the first {len(charts)} of {len(bias):,} numbers." if len(bias) > len(charts) else ""
    table = Table("Errors, predicted less true", heads, rows, left, wide=True)
    return OutputPart(name, tables=(table,), charts=charts, remark=remark)


def _of_likeness(name: str, found: LikeErrors) -> OutputPart:
    rows = (
        (
            name,
            number(found.error.means()[0]),
            number(found.histogram.axis.least),
            number(found.histogram.axis.greatest),
        ),
    )
    heads = ("output", "mean", "least", "greatest")
    table = Table("Mean squared error of a row", heads, rows, wide=True)
    return OutputPart(name, tables=(table,), charts=((bar_chart(f"error of {name}, by row", found.histogram), None),))
