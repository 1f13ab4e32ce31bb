"""Section: how long objects were followed, and how fast they move."""

import numpy as np
from markupsafe import Markup

from scalor_ppl.report.histogram import histogram
from scalor_ppl.report.material import Material
from scalor_ppl.report.parts import Figure, Section


def motion_section(material: Material) -> Section:
    """Lengths and speeds of the tracks."""
    lives = material.lives
    if not lives:
        return Section("motion", "Lengths and speeds", note="There are no tracks to measure.")
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
    return Section(
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
