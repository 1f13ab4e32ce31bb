"""Histograms as inline SVG."""

import numpy as np
from markupsafe import Markup

from scalor_ppl.report.axes import Axis, framed, plot_size

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
            _range(edges[n], edges[n + 1], whole),
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


def _range(low: float, high: float, whole: bool) -> str:
    """What a bar holds, in words."""
    if not whole:
        return f"{low:.2f} to {high:.2f}"
    first, last = round(low + 0.5), round(high - 0.5)
    return str(first) if first == last else f"{first} to {last}"
