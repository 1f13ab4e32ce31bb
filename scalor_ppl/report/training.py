"""Section: the course of the training, as it was logged."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from scalor_ppl.report.axes import axis_of
from scalor_ppl.report.charts import Line, line_chart
from scalor_ppl.report.material import Material
from scalor_ppl.report.page import Figure, PageSection
from scalor_ppl.studies.curves import CURVE, read_curve
from scalor_ppl.training.runs import METRICS


def read_figures(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics by rising step; none where the run has none.

    Of steps logged twice (after a crash) the later line counts.
    """
    path = run / METRICS
    by_step: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        with suppress(json.JSONDecodeError, KeyError, TypeError):  # cut short by a crash
            figures = json.loads(line)
            by_step[int(figures["step"])] = figures
    return [by_step[step] for step in sorted(by_step)]


# Title of the panel by the figure's name; others follow under their own names.
PANELS: Final = {
    "loss": "Loss, nats a frame",
    "log_likelihood": "Log-likelihood, nats a frame",
    "kl": "KL divergence of all latents, nats a frame",
    "objects": "Objects a frame",
    "discoveries": "Discoveries a clip",
    "gradient_norm": "Gradient norm, before clipping",
    "learning_rate": "Learning rate",
    "temperature": "Temperature of presence",
}
SCORES: Final = {
    "mota": "MOTA",
    "idf1": "IDF1",
    "hota": "HOTA",
    "precision": "Precision",
    "recall": "Recall",
    "count_mae": "Error of the count",
}
_LOG: Final = frozenset({"gradient_norm"})
_APART: Final = frozenset({"step", "seconds", "processor_seconds", "skipped"})
_MEANS: Final = 40  # points of the smooth line
_POINTS: Final = 600  # of the faint line, at most


def training_section(material: Material) -> PageSection:
    """Loss, divergence, objects and what else was logged, over the steps; and scores, if any."""
    section = PageSection("training", "Training")
    lines = [_with_total(line) for line in read_figures(material.run)]
    if not lines:
        return PageSection(
            section.name,
            section.title,
            note="This run has no log of its training: nothing to plot.",
        )
    figures = [
        Figure(
            _panels(lines, PANELS | _others(lines)),
            "What the training logged, over its steps (where they are many, faint: as logged, "
            "bold: means of equal stretches; the wildest hundredth may lie outside the axes): loss "
            "should fall and level off, objects and discoveries settle at what is in the videos.",
        )
    ]
    if (material.run / CURVE).is_file():
        figures.append(
            Figure(
                _panels(read_curve(material.run), SCORES),
                "Scores on clips that were not trained on, taken during the training.",
            )
        )
    return PageSection(section.name, section.title, tuple(figures))


def _with_total(line: Mapping[str, Any]) -> dict[str, Any]:
    """A logged line, with the divergences of all sites as one figure."""
    parts = [value for name, value in line.items() if name.startswith("kl_")]
    rest = {name: value for name, value in line.items() if not name.startswith("kl_")}
    return rest | {"kl": sum(parts)} if parts else rest


def _others(lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Figures that have no title of their own."""
    names = dict.fromkeys(name for line in lines for name in line)
    return {n: n.replace("_", " ") for n in names if n not in PANELS and n not in _APART}


def _panels(lines: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Markup:
    """One chart a figure that was logged."""
    panels = []
    for name, title in titles.items():
        known = [(x["step"], x[name]) for x in lines if isinstance(x.get(name), int | float)]
        if known:
            steps, values = np.array(known, float).T
            panels.append(
                Markup('<div class="panel"><h3>{}</h3>{}</div>').format(
                    title, _chart(steps, values, title, log=name in _LOG)
                )
            )
    return Markup('<div class="panels">{}</div>').format(Markup("").join(panels))


def _chart(steps: np.ndarray, values: np.ndarray, title: str, *, log: bool) -> Markup:
    """One figure over the steps; with a smooth line where there is enough to smooth."""
    smooth = len(values) > 2 * _MEANS
    lines = [Line(*_means(steps, values, _POINTS), style="c1 faint" if smooth else "c1")]
    if smooth:
        lines.append(Line(*_means(steps, values, _MEANS)))
    return line_chart(
        lines,
        axis_of(steps, whole=True),
        axis_of(_tamed(values), log=log),
        labels=("step", ""),
        alt=f"{title} over the steps of the training",
    )


def _means(steps: np.ndarray, values: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of steps and values over equal stretches; themselves where they are no more."""
    if len(values) <= number:
        return steps, values
    pieces = [np.array_split(each, number) for each in (steps, values)]
    means = [np.array([piece.mean() for piece in each]) for each in pieces]
    return means[0], means[1]


def _tamed(values: np.ndarray) -> np.ndarray:
    """Values without the wildest hundredth at either end, where they are many."""
    known = values[np.isfinite(values)]
    if len(known) < 50:
        return known
    low, high = np.percentile(known, (1, 99))
    return known.clip(low, high)
