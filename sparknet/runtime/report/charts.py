"""Geometry of the report's charts, in pixels of their SVG; the template draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from sparknet.runtime.evaluation.histogram import Histogram, Plane

WIDTH, HEIGHT = 460.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 14.0, 12.0, 34.0
_MOST_POINTS = 400
"""Of a curve; of a longer one, the lowest and the highest of each stretch are drawn."""
_LOGARITHMIC = 50.0
"""A curve whose largest value is so many times the smallest one is drawn on a logarithmic scale."""
_MOST_BARS = 48
"""Of few numbers four times their cube root, twice Rice's rule: the width of bars can only be doubled."""
_BEYOND = 0.005
"""Share of errors, at each end, that may be drawn as one bar."""
_MINUS = "\N{MINUS SIGN}"
_SIDE = 300.0
"""Of the plane of true and predicted numbers."""


@dataclass(frozen=True)
class Tick:
    """A place on an axis and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """A line through points, of the style `css`; a single point where there is but one."""

    name: str
    css: str
    path: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class LineChart:
    """Curves over the rounds; `kept` is where the round stands whose weights were kept."""

    title: str
    alt: str
    curves: tuple[Curve, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    kept: float | None
    logarithmic: bool
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


@dataclass(frozen=True)
class Series:
    """A curve's values by the round, as data."""

    name: str
    css: str
    values: Sequence[tuple[int, float]]


def line_chart(title: str, series: Sequence[Series], kept: int | None = None) -> LineChart:
    """Curves of some series, of which one at least has a value."""
    series = [each for each in series if each.values]
    rounds = [x for each in series for x, _ in each.values]
    values = [y for each in series for _, y in each.values]
    logarithmic = min(values) > 0 and max(values) > _LOGARITHMIC * min(values)
    x = _Scale(min(rounds), max(rounds), _LEFT, WIDTH - _RIGHT)
    y = _Scale(*_span(values, logarithmic), HEIGHT - _BOTTOM, _TOP, logarithmic)
    curves = []
    for each in series:
        points = tuple((round(x(a), 1), round(y(b), 1)) for a, b in _thinned(each.values))
        path = "M" + " ".join(f"{a} {b}" for a, b in points)
        curves.append(Curve(each.name, each.css, path, points))
    first_last = "; ".join(
        f"{each.name}: {number(each.values[0][1])} at first, {number(each.values[-1][1])} at the end"
        if len(each.values) > 1
        else f"{each.name}: {number(each.values[0][1])}"
        for each in series
    )
    return LineChart(
        title=title,
        alt=f"{title} by round. {first_last}.",
        curves=tuple(curves),
        x_ticks=tuple(Tick(x(t), f"{t:,}") for t in _whole_ticks(min(rounds), max(rounds))),
        y_ticks=tuple(Tick(y(t), number(t)) for t in y.ticks()),
        kept=None if kept is None else x(kept),
        logarithmic=logarithmic,
    )


@dataclass(frozen=True)
class Bar:
    """A rectangle; one that stands for all that lies beyond an end has `beyond`."""

    x: float
    y: float
    width: float
    height: float
    text: str
    beyond: bool = False


@dataclass(frozen=True)
class BarChart:
    """Bars of a histogram; `zero` is where 0 stands."""

    title: str
    alt: str
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float | None
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    bottom: float = HEIGHT - _BOTTOM


def bar_chart(title: str, histogram: Histogram) -> BarChart:
    """The bars of a histogram, some bins in each, what lies far out in one bar at each end."""
    counts, exponent = list(histogram.counts), histogram.axis.exponent
    total = sum(count for _, count in counts)
    low, high = _middle(counts, total)
    shift = 0
    most = min(_MOST_BARS, ceil(4 * total ** (1 / 3)))
    while (high >> shift) - (low >> shift) >= most:
        shift += 1
    low, high = low >> shift, high >> shift
    bars = dict.fromkeys(range(low - 1, high + 2), 0)
    for place, count in counts:
        bars[min(max(place >> shift, low - 1), high + 1)] += count
    if not bars[low - 1]:
        del bars[low - 1]
    if not bars[high + 1]:
        del bars[high + 1]
    width = 2.0 ** (exponent + shift)
    x = _Scale(min(bars), max(bars) + 1, _LEFT, WIDTH - _RIGHT)
    y = _Scale(0, max(bars.values()), HEIGHT - _BOTTOM, _TOP)
    drawn = []
    for place, count in bars.items():
        beyond = place < low or place > high
        span = f"{number(place * width)} to {number((place + 1) * width)}"
        if beyond:
            span = f"below {number(low * width)}" if place < low else f"above {number((high + 1) * width)}"
        left, right, top = x(place), x(place + 1), y(count)
        box = (round(left + 0.5, 1), round(top, 1), round(right - left - 1, 1), round(HEIGHT - _BOTTOM - top, 1))
        drawn.append(Bar(*box, f"{span}: {count:,}", beyond))
    zero = x(0) if min(bars) <= 0 <= max(bars) + 1 else None
    span = f"from {number(histogram.axis.least)} to {number(histogram.axis.greatest)}"
    peak = max(bars, key=lambda place: bars[place])
    alt = f"{title}: {total:,} numbers {span}, most of them around {number((peak + 0.5) * width)}."
    ticks = _Scale(low * width, (high + 1) * width, x(low), x(high + 1))
    return BarChart(
        title=title,
        alt=alt,
        bars=tuple(drawn),
        x_ticks=tuple(Tick(ticks(t), number(t)) for t in ticks.ticks()),
        y_ticks=tuple(Tick(y(t), f"{t:,.0f}") for t in y.ticks() if t == int(t)),
        zero=zero,
    )


@dataclass(frozen=True)
class Cell:
    """A rectangle of the plane; `share` is how dark it is, 0 to 1."""

    x: float
    y: float
    width: float
    height: float
    share: float
    text: str


@dataclass(frozen=True)
class PlaneChart:
    """True numbers across, predicted ones up; on the line both are equal."""

    title: str
    alt: str
    cells: tuple[Cell, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    size: float = _SIDE + _LEFT + _RIGHT
    left: float = _LEFT
    right: float = _LEFT + _SIDE
    top: float = _TOP
    bottom: float = _TOP + _SIDE
    height: float = _TOP + _SIDE + _BOTTOM


def plane_chart(title: str, plane: Plane) -> PlaneChart:
    """The cells of a plane, both axes over the same span."""
    across, up = plane.x.width, plane.y.width
    lows = [min(a * across, b * up) for a, b, _ in plane.cells]
    highs = [max((a + 1) * across, (b + 1) * up) for a, b, _ in plane.cells]
    x = _Scale(min(lows), max(highs), _LEFT, _LEFT + _SIDE)
    y = _Scale(min(lows), max(highs), _TOP + _SIDE, _TOP)
    most = max(count for *_, count in plane.cells)
    cells = []
    for a, b, count in plane.cells:
        left, right, low, high = x(a * across), x((a + 1) * across), y(b * up), y((b + 1) * up)
        text = f"true from {number(a * across)}, predicted from {number(b * up)}: {count:,}"
        box = (round(left, 1), round(high, 1), max(round(right - left, 1), 1.0), max(round(low - high, 1), 1.0))
        cells.append(Cell(*box, round(0.15 + 0.85 * (count / most) ** 0.5, 2), text))
    ticks = x.ticks()
    return PlaneChart(
        title=title,
        alt=f"{title}: predicted against true, true numbers from {number(plane.x.least)} to "
        f"{number(plane.x.greatest)}, predicted ones from {number(plane.y.least)} to {number(plane.y.greatest)}.",
        cells=tuple(cells),
        x_ticks=tuple(Tick(x(t), number(t)) for t in ticks),
        y_ticks=tuple(Tick(y(t), number(t)) for t in ticks),
    )


def number(value: float) -> str:
    """A number as people read it: four digits, no exponent where that is short."""
    if value == 0:
        return "0"
    if abs(value) < 1e7 and (value == int(value) or abs(value) >= 1000):
        return f"{value:,.0f}".replace("-", _MINUS)
    return f"{value:.4g}".replace("-", _MINUS)


# ----- scales -----


@dataclass(frozen=True)
class _Scale:
    """Numbers from `low` to `high` as pixels from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (log10(v) if self.logarithmic else v for v in (self.low, self.high, value))
        share = 0.5 if high == low else (value - low) / (high - low)
        return self.start + share * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Round numbers on the scale, three to seven of them where it spans anything."""
        if self.logarithmic:
            exponents = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            digits = (1, 2, 5) if len(exponents) <= 4 else (1,)
            found = [d * 10.0**e for e in exponents for d in digits]
            return [t for t in found if self.low <= t * (1 + 1e-9) and t <= self.high * (1 + 1e-9)]
        if self.high == self.low:
            return [self.low]
        rough = (self.high - self.low) / 5
        power = 10.0 ** floor(log10(rough))
        step = next(d * power for d in (1, 2, 2.5, 5, 10) if d * power >= rough)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [n * step for n in range(first, last + 1)]


def _span(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if logarithmic:
        return low / 1.1, high * 1.1
    if low == high:
        return low - abs(low) / 10 - 1e-6, high + abs(high) / 10 + 1e-6
    room = (high - low) * 0.05
    return (low - room if low < 0 or low > room else 0.0), high + room


def _whole_ticks(low: int, high: int) -> list[int]:
    step = max(1, *(s for s in (round(t) for t in _steps(high - low)) if s >= 1)) if high > low else 1
    first = low if low % step == 0 else low + step - low % step
    return sorted({low, *range(first, high + 1, step)} if step == 1 else {*range(first, high + 1, step)} or {low})


def _steps(span: float) -> list[float]:
    power = 10.0 ** floor(log10(max(span, 1) / 6)) if span > 6 else 1.0
    return [next(d * power for d in (1, 2, 5, 10) if d * power * 7 >= span)]


def _thinned(values: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """At most `_MOST_POINTS` points: of each stretch the lowest and the highest, the very last one too."""
    if len(values) <= _MOST_POINTS:
        return values
    size = ceil(len(values) / (_MOST_POINTS // 2))
    kept = {values[-1]}
    for start in range(0, len(values), size):
        stretch = values[start : start + size]
        kept |= {min(stretch, key=lambda v: v[1]), max(stretch, key=lambda v: v[1])}
    return sorted(kept)


def _middle(counts: Sequence[tuple[int, int]], total: int) -> tuple[int, int]:
    """The first and the last bin but for the `_BEYOND` of the counts at each end."""
    return _edge(counts, total), _edge(counts[::-1], total)


def _edge(counts: Sequence[tuple[int, int]], total: int) -> int:
    passed = 0
    for place, count in counts:
        passed += count
        if passed > _BEYOND * total:
            return place
    return counts[-1][0]
