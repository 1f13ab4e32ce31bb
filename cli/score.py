"""``scalor-ppl score``: tracks of any tracker against ground truth."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.names import told_apart
from scalor_ppl.cli.options import PLAIN, check_figure
from scalor_ppl.cli.score_tables import score_table
from scalor_ppl.cli.tables import print_table, ruled_table
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned

if TYPE_CHECKING:
    from scalor_ppl.evaluation.localisation import Localisation

_POINTS = 6  # of the curve of precision and recall, that are printed


def score(
    tracks: Annotated[
        Path, typer.Argument(help="MOTChallenge rows of a tracker.", show_default=False)
    ],
    truth: Annotated[Path, typer.Argument(help="MOTChallenge rows.", show_default=False)],
    distance: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Gate of the centres, pixels.",
            show_default="twice the mean side of a true box",
        ),
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="First and last frame, from 1: 101-200.", metavar="A-B")
    ] = None,
    ignore: Annotated[
        str | None,
        typer.Option(
            help="Part of the frame that does not count, pixels.", metavar="LEFT,TOP,WIDTH,HEIGHT"
        ),
    ] = None,
    count_ignored: Annotated[
        bool,
        typer.Option(
            "--count-ignored", help="Rows of the truth with confidence 0 count like all others."
        ),
    ] = False,
    confidence: Annotated[
        float | None,
        typer.Option(
            help="Least confidence of a row of tracks that counts.",
            show_default="every row counts",
        ),
    ] = None,
    localisation: Annotated[
        bool,
        typer.Option(
            "--localisation",
            help="Errors of positions beside the Cramer-Rao bound, precision and recall over "
            "confidence; for a set of particles: TRUTH is as `data make` wrote it.",
        ),
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw ways, and which track follows which object.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Score a file of tracks: MOTA, IDF1, HOTA, switches, by centre distance and by box IoU."""
    from scalor_ppl.data.region import Region
    from scalor_ppl.evaluation.files import paired, score_pair

    check_figure("--figure", figure)
    region = None if ignore is None else Region.parse("--ignore", ignore)
    chosen = _frames(frames)
    with owned(figure, output):
        pair = paired(
            tracks,
            truth,
            frames=chosen,
            ignore=region,
            count_ignored=count_ignored,
            confidence=confidence,
        )
        scores = score_pair(pair, distance)
        ours, theirs = tracks.name, truth.name
        if ours == theirs and tracks.resolve() != truth.resolve():
            ours, theirs = told_apart([tracks, truth])
        print_table(score_table(scores, f"{ours} against {theirs}"))
        figures: dict[str, object] = {rule: each.to_dict() for rule, each in scores.items()}
        if localisation:
            from scalor_ppl.evaluation.localisation import localised

            places = localised(tracks, truth, confidence)
            print_table(localisation_table({tracks.stem: places}))
            print_table(_curve_table(places))
            figures["localisation"] = places.to_dict()
        if output is not None:
            with written_whole(output) as path:
                path.write_text(json.dumps(figures, indent=2))
        if figure is not None:
            from scalor_ppl.evaluation.identity_figure import draw_identities

            draw_identities(pair, figure, distance)
            Console().print(str(figure), **PLAIN)


def localisation_table(found: "dict[str, Localisation]") -> Table:
    """Errors of positions of several files of tracks, beside their bound."""
    headings = ("error (px)", "bound (px)", "error / bound", "bias x, y (px)", "without outliers")
    table = ruled_table("", "tracks", "spots", "found", *headings, "90 % interval holds")
    table.title = None
    for name, places in found.items():
        for spots, each in (("isolated", places.isolated), ("all", places.every)):
            if not each.count:
                continue
            holds = "" if each.coverage is None else f"{100 * each.coverage:.0f} %"
            cells = [
                f"{each.pixels:.3f}",
                f"{float((each.bound**2).mean() ** 0.5):.3f}",
                f"{each.ratio:.2f}",
                f"{each.bias[0]:+.3f}, {each.bias[1]:+.3f}",
                f"{float((each.spread**2).mean() ** 0.5):.3f}",
            ]
            table.add_row(name, spots, str(each.count), *cells, holds)
    return table


def _curve_table(places: "Localisation") -> Table:
    """A few of the operating points."""
    table = ruled_table("", "confidence at least", "precision", "recall")
    table.title = None
    step = max(1, -(-len(places.curve) // _POINTS))
    for point in places.curve[::step]:
        table.add_row(f"{point.threshold:.4g}", f"{point.precision:.3f}", f"{point.recall:.3f}")
    return table


def _frames(text: str | None) -> range | None:
    if text is None:
        return None
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise UserError(f"--frames {text}: give the first and last frame, from 1, as in 101-200")
    return range(int(first) - 1, int(last))
