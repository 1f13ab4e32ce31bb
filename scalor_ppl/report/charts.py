"""Line charts and histograms as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from scalor_ppl.report.axes import Axis, framed, plot_size


@dataclass(frozen=True)
class Line:
    """Values over x, joined; a gap where a value is not finite.

    Attributes:
        x: float [n], rising.
        y: float [n].
        name: for the legend; none leaves it out there.
        style: classes of the page's style sheet: a colour, c1 to c3, and ``faint`` or ``dashed``.
    """

    x: np.ndarray
    y: np.ndarray
    name: str = ""
    style: str = "c1"


@dataclass(frozen=True)
class Band:
    """An area between two values over x.

    Attributes:
        x: float [n], rising.
        low: float [n].
        high: float [n].
        name: for the legend.
        style: a colour's class.
    """

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    name: str = ""
    style: str = "c2"


def line_chart(
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    *,
    bands: Sequence[Band] = (),
    labels: tuple[str, str] = ("", ""),
    size: tuple[int, int] = (320, 190),
    alt: str,
) -> Markup:
    """Lines over bands, with a legend where they are named.

    Args:
        lines: drawn in this order.
        x: the lower axis.
        y: the left axis.
        bands: drawn below the lines.
        labels: of the axes.
        size: width and height of the picture, without the legend.
        alt: what the chart shows.
    """
    plot = plot_size(size)
    shapes = [_band(band, x, y, plot) for band in bands]
    shapes += [shape for line in lines for shape in _line(line, x, y, plot)]
    chart = framed(Markup("").join(shapes), x, y, size=size, labels=labels, alt=alt)
    keys = [(f"key {line.style}", line.name) for line in lines if line.name]
    keys += [(f"key area {band.style}", band.name) for band in bands if band.name]
    if not keys:
        return chart
    entries = [Markup('<span><i class="{}"></i>{}</span>').format(*key) for key in keys]
    return Markup('{}<div class="legend">{}</div>').format(chart, Markup("").join(entries))


def _points(x: Axis, y: Axis, xs: np.ndarray, ys: np.ndarray, plot: tuple[int, int]) -> np.ndarray:
    """Places in the plot ``[n, 2]``."""
    return np.stack([plot[0] * x.places(xs), plot[1] * (1 - y.places(ys))], 1)


def _line(line: Line, x: Axis, y: Axis, plot: tuple[int, int]) -> list[Markup]:
    """A line's pieces; a value without neighbours is a dot."""
    points = _points(x, y, line.x, line.y, plot)
    shapes = []
    known = np.flatnonzero(np.isfinite(points).all(1))
    for piece in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if len(piece) == 1:
            shapes.append(
                Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(
                    line.style, *points[piece[0]]
                )
            )
        elif len(piece):
            shapes.append(
                Markup('<path class="line {}" d="{}"/>').format(line.style, _path(points[piece]))
            )
    return shapes


def _band(band: Band, x: Axis, y: Axis, plot: tuple[int, int]) -> Markup:
    there = _points(x, y, band.x, band.high, plot)
    back = _points(x, y, band.x, band.low, plot)[::-1]
    return Markup('<path class="area {}" d="{}Z"/>').format(
        band.style, _path(np.concatenate([there, back]))
    )


def _path(points: np.ndarray) -> str:
    return "M" + "L".join(f"{px:.1f},{py:.1f}" for px, py in points)


BARS = 20  # at most


def histogram(
    values: np.ndarray, *, labels: tuple[str, str], whole: bool = False, alt: str
) -> Markup:
    """How often values occur.

    Args:
        values: float [n], finite, at least one and none below 0.
        labels: of the axes.
        whole: the values are whole numbers of at least 1, and so are a bar's bounds.
        alt: what the chart shows.
    """
    size = (320, 180)
    edges = _edges(values, whole)
    counts, _ = np.histogram(values, edges)
    x = Axis(float(edges[0]), float(edges[-1]), whole=whole)
    y = Axis(0.0, 1.08 * float(counts.max()), whole=True)
    width, height = plot_size(size)
    places, tops = width * x.places(edges), height * (1 - y.places(counts))
    bars = [
        Markup(
            '<rect class="bar c1" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
            "<title>{}: {}</title></rect>"
        ).format(
            places[n] + 0.5,
            tops[n],
            max(places[n + 1] - places[n] - 1, 0.5),
            height - tops[n],
            _bounds(edges[n], edges[n + 1], whole),
            count,
        )
        for n, count in enumerate(counts.tolist())
        if count
    ]
    return framed(Markup("").join(bars), x, y, size=size, labels=labels, alt=alt)


def _edges(values: np.ndarray, whole: bool) -> np.ndarray:
    """Bounds of the bars, ``[n + 1]`` with n at most ``BARS``."""
    if not whole:
        return np.linspace(0, float(values.max()) or 1.0, BARS + 1)
    most = int(values.max())
    step = -(-most // BARS)
    return 0.5 + step * np.arange(-(-most // step) + 1)


def _bounds(low: float, high: float, whole: bool) -> str:
    """What a bar holds, in words."""
    if not whole:
        return f"{low:.2f} to {high:.2f}"
    first, last = round(low + 0.5), round(high - 0.5)
    return str(first) if first == last else f"{first} to {last}"
