"""Sections of numbers: how many objects there are, how long they last, how fast they move."""

import numpy as np
from markupsafe import Markup

from scalor_ppl.data.specs import VISIBLE_SHARE
from scalor_ppl.inference.draws import draw_posterior
from scalor_ppl.report.axes import axis_of
from scalor_ppl.report.charts import Band, Line, histogram, line_chart
from scalor_ppl.report.material import Material
from scalor_ppl.report.page import Figure, PageSection
from scalor_ppl.results.samples import Samples

DRAWS = 8


def counts_section(material: Material) -> PageSection:
    """Objects a frame: the tracks shown, draws from the posterior, and the truth if known."""
    samples, _ = draw_posterior(
        material.program, material.clip, draws=DRAWS, seed=material.seed, images=0
    )
    assert isinstance(samples, Samples)  # a report is of a program that finds objects
    drawn = samples.counts_in_view(VISIBLE_SHARE)
    low, high = np.percentile(drawn, (5, 95), axis=0)
    seen = np.arange(1, drawn.shape[1] + 1)
    counted = material.tracks.present().sum(-1)
    name = "most likely account" if material.filed is None else "tracks of the file"
    lines = [
        Line(seen, drawn.mean(0), f"mean of {DRAWS} draws", "c2"),
        Line(np.arange(1, len(counted) + 1), counted, name, "c1"),
    ]
    truth = ""
    if material.truth is not None:
        really = (material.truth.visible >= VISIBLE_SHARE).sum(-1)
        lines.insert(0, Line(seen, really, "truth", "c3 dashed"))
        truth = f"; truth counts objects of which at least {VISIBLE_SHARE:.0%} is in view"
    values = np.concatenate([low, high, *(line.y for line in lines)])
    # A crowd that hardly changes would be a flat line far above 0.
    zero = bool(values.min() < values.max() / 2)
    chart = line_chart(
        lines,
        axis_of(lines[-1].x, whole=True),
        axis_of(values, zero=zero, whole=True),
        bands=[Band(seen, low, high, "5 to 95 % of the draws", "c2")],
        labels=("frame", "objects"),
        size=(900, 260),
        alt="number of objects over the frames",
    )
    return PageSection(
        "counts",
        "Number of objects",
        (
            Figure(
                chart,
                f"Objects in each frame of {material.source}: where the band of {DRAWS} draws from "
                f"the posterior is wide, the program is not sure how many there are{truth}.",
            ),
        ),
    )


def motion_section(material: Material) -> PageSection:
    """Lengths and speeds of the tracks."""
    lives = material.lives
    if not lives:
        return PageSection("motion", "Lengths and speeds", note="There are no tracks to measure.")
    lengths = np.array([len(life.frames) for life in lives])
    speeds = np.array([life.speed for life in lives])
    speeds = speeds[np.isfinite(speeds)]
    rows = [
        ("tracks", str(len(lives))),
        ("median length", f"{np.median(lengths):g} frames of {material.tracks.frames}"),
        ("tracks through all frames", str((lengths == material.tracks.frames).sum())),
    ]
    charts = [
        _panel("Lengths", lengths, ("frames", "tracks"), whole=True),
    ]
    if len(speeds):
        rows += [
            ("median speed", f"{np.median(speeds):.2f} pixels a frame"),
            ("fastest", f"{speeds.max():.2f} pixels a frame"),
        ]
        charts.append(_panel("Speeds", speeds, ("pixels a frame", "tracks"), whole=False))
    cells = [Markup("<tr><th>{}</th><td>{}</td></tr>").format(*row) for row in rows]
    height, width = material.video.shape[1:3]
    return PageSection(
        "motion",
        "Lengths and speeds",
        (
            Figure(
                Markup('<table>{}</table><div class="panels">{}</div>').format(
                    Markup("").join(cells), Markup("").join(charts)
                ),
                f"How many frames each track lasts, and the median way of its centre from frame to "
                f"frame in pixels of the {height} x {width} view ({material.whose}); many short "
                "tracks mean that objects are lost and found again.",
            ),
        ),
    )


def _panel(title: str, values: np.ndarray, labels: tuple[str, str], *, whole: bool) -> Markup:
    chart = histogram(values, labels=labels, whole=whole, alt=f"{title} of the tracks")
    return Markup('<div class="panel"><h3>{}</h3>{}</div>').format(title, chart)
