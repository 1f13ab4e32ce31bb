"""Axes of charts: their range, ticks and the frame around the plot, as inline SVG.

Colours come from the page's style sheet, by class, so that charts follow its light or dark mode.
"""

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

# Space around the plot, in units of the picture: numbers on the left, numbers and a label below.
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 36


@dataclass(frozen=True)
class Axis:
    """A range of values along one side of a chart.

    Attributes:
        low: the value at the left or lower end.
        high: the value at the other end, above ``low``.
        log: places are proportional to logarithms; then ``low`` is above 0.
        whole: ticks are whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def places(self, values: np.ndarray) -> np.ndarray:
        """Where values lie, as shares of the axis; NaN for what has no place (0 on a log axis)."""
        values = np.asarray(values, float)
        if not self.log:
            return (values - self.low) / (self.high - self.low)
        known = np.log(np.where(values > 0, values, np.nan))
        return (known - math.log(self.low)) / (math.log(self.high) - math.log(self.low))

    def ticks(self, number: int = 5) -> list[float]:
        """About ``number`` round values inside the range."""
        return _decades(self) if self.log else _steps(self, number)


def axis_of(
    values: np.ndarray, *, log: bool = False, zero: bool = False, whole: bool = False
) -> Axis:
    """An axis on which values find room.

    Args:
        values: of any shape; what is not finite (or not above 0 on a log axis) does not count.
        log: as in ``Axis``.
        zero: begin at 0.
        whole: as in ``Axis``.
    """
    values = np.asarray(values, float).ravel()
    known = values[np.isfinite(values) & ((values > 0) | (not log))]
    if log:
        low, high = (known.min(), known.max()) if len(known) else (1.0, 10.0)
        return Axis(low / 1.3, high * 1.3, log=True)
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    if zero:
        low = min(low, 0.0)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return Axis(low if zero and not low else low - room, high + room, whole=whole)


def _steps(axis: Axis, number: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    rough = (axis.high - axis.low) / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    if axis.whole:
        step = max(1.0, step)
    first, last = math.ceil(axis.low / step), math.floor(axis.high / step)
    return [round(n * step, 12) for n in range(first, last + 1)]


def _decades(axis: Axis) -> list[float]:
    """Powers of ten; with 2 and 5 times these where there are few."""
    powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    for factors in ((1,), (1, 2, 5)):
        ticks = [float(f"{n}e{p}") for p in powers for n in factors]
        inside = [tick for tick in ticks if axis.low <= tick <= axis.high]
        if len(inside) > 2:
            break
    return inside


def words(value: float) -> str:
    """A tick's number: 12k for 12000, with a true minus."""
    text = f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"
    return text.replace("-", "\N{MINUS SIGN}")


def framed(
    inside: Markup, x: Axis, y: Axis, *, size: tuple[int, int], labels: tuple[str, str], alt: str
) -> Markup:
    """A chart: its axes, and inside them what was drawn in a plot of ``plot_size(size)``.

    Args:
        inside: SVG elements; what lies beyond the plot is cut off.
        x: the lower axis.
        y: the left axis.
        size: width and height of the picture.
        labels: of the lower axis, and of the left one (written above it).
        alt: what the chart shows, for those who cannot see it.
    """
    width, height = plot_size(size)
    parts = []
    for tick, share in zip(y.ticks(), y.places(np.array(y.ticks())), strict=True):
        at = TOP + height * (1 - share)
        parts.append(
            Markup(
                '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
                '<text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
            ).format(LEFT, LEFT + width, at, LEFT - 6, at + 3.5, words(tick))
        )
    for tick, share in zip(x.ticks(), x.places(np.array(x.ticks())), strict=True):
        at = LEFT + width * share
        parts.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                at, TOP + height + 14, words(tick)
            )
        )
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            LEFT + width / 2, size[1] - 6, labels[0]
        )
    )
    if labels[1]:
        middle = TOP + height / 2
        parts.append(
            Markup(
                '<text x="9" y="{0}" text-anchor="middle" transform="rotate(-90 9 {0})">{1}</text>'
            ).format(middle, labels[1])
        )
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<svg x="{}" y="{}" width="{}" height="{}">{}</svg></svg>'
    ).format(*size, alt, Markup("").join(parts), LEFT, TOP, width, height, inside)


def plot_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the plot inside a chart of a size."""
    return size[0] - LEFT - RIGHT, size[1] - TOP - BOTTOM
