"""Tables of scores, and a bound in words."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import PLAIN
from scalor_ppl.cli.tables import print_table, ruled_table

if TYPE_CHECKING:
    from scalor_ppl.evaluation import Scores
    from scalor_ppl.evaluation.edges import EdgeErrors
    from scalor_ppl.inference.bounds import Bound
    from scalor_ppl.studies.evaluating import Evaluated, Evaluation

# Figure, heading, format. The headings are short, so that the table fits 80 columns.
COLUMNS = (
    ("mota", "MOTA", ".3f"),
    ("precision", "prec", ".3f"),
    ("recall", "rec", ".3f"),
    ("id_switches", "IDSW", "d"),
    ("idf1", "IDF1", ".3f"),
    ("hota", "HOTA", ".3f"),
    ("count_mae", "count", ".3f"),
    ("mse", "MSE", ".4f"),
    ("propagation_rate", "prop", ".3f"),
)


def show_evaluated(found: "Evaluated", asked: "Evaluation", name: str = "") -> None:
    """Print the figures of a run, under its name where there are several."""
    before = f"{name}, " if name else ""
    if found.bound is not None:
        Console().print(before + bound_line(found.bound), **PLAIN)
    if found.mse is not None:
        told = f"{before}mean squared error {found.mse:.5f} (the program finds no objects)"
        Console().print(told, **PLAIN)
    if found.scores is not None:
        title = f"{before}{found.source}: {asked.clips} clips of {asked.frames} frames"
        print_table(score_table(found.scores, title))
    if found.edges is not None:
        print_table(edge_table(found.edges))


def bound_line(bound: "Bound") -> str:
    """A bound in words."""
    error = "" if bound.error is None else f" +- {bound.error:.1f}"
    presence = "" if bound.presence is None else f"{bound.presence} presence, "
    return (
        f"log p(x) >= {bound.per_video:.1f}{error} nats a clip, "
        f"{bound.per_pixel:.4f} a pixel and channel: {bound.estimator}, {bound.particles} "
        f"particles, {presence}{bound.clips} clips; "
        f"effective sample size {bound.effective:.1f}"
    )


def score_table(scores: "Mapping[str, Scores]", title: str) -> Table:
    """The figures by scoring rule."""
    headings = (heading for _, heading, _ in COLUMNS)
    table = ruled_table(title, "rule", *headings, title_justify="center")
    for rule, figures in scores.items():
        table.add_row(rule, *(f"{getattr(figures, name):{form}}" for name, _, form in COLUMNS))
    return table


def edge_table(errors: "Sequence[EdgeErrors]") -> Table:
    """Errors of centres by the share of the object in view."""
    headings = ("objects", "error, px", "inwards, px", "speed, of true")
    table = ruled_table("centres at the edge of the view", "in view", *headings)
    for each in errors:
        share = "all" if each.inwards is None else f"{each.low:.2f} to {each.high:.2f}"
        inwards = "" if each.inwards is None else f"{each.inwards:.2f}"
        table.add_row(share, str(each.objects), f"{each.error:.2f}", inwards, f"{each.speed:.2f}")
    return table


def mean_table(found: "Mapping[str, Evaluated]") -> Table:
    """Mean and standard deviation of each figure over the runs that have it, by scoring rule."""
    table = ruled_table("mean over runs (standard deviation)", "figure", title_justify="center")
    rules = dict.fromkeys(rule for each in found.values() for rule in each.scores or ())
    for rule in rules:
        table.add_column(rule, justify="right")
    for name, heading, form in COLUMNS:
        form = ".1f" if form == "d" else form
        cells = []
        for rule in rules:
            held = [each.scores[rule] for each in found.values() if each.scores]
            values = [float(getattr(scores, name)) for scores in held]
            cells.append(f"{mean(values):{form}} ({stdev(values):{form}})" if values[1:] else "")
        table.add_row(heading, *cells)
    return table
