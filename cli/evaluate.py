"""``scalor-ppl evaluate``."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.calibration import fit_and_store, show_calibration
from scalor_ppl.cli.options import (
    PLAIN,
    Compile,
    DataFolder,
    Device,
    Refine,
    Run,
    Threads,
    check_figure,
    use_threads,
)
from scalor_ppl.cli.tables import print_table, ruled_table
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned

if TYPE_CHECKING:
    from scalor_ppl.data import ClipSource
    from scalor_ppl.evaluation import Scores
    from scalor_ppl.inference.bounds import Bound

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


def evaluate(
    run: Run,
    data: Annotated[
        str | None, typer.Option(help="Set or path; the run's own by default.", metavar="NAME|PATH")
    ] = None,
    data_dir: DataFolder = None,
    data_seed: Annotated[
        int | None, typer.Option(min=0, help="Of generated clips; the run's own by default.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="How many clips.")] = 100,
    frames: Annotated[int, typer.Option(min=1, help="Length of each.")] = 10,
    recognise: Annotated[
        bool, typer.Option(help="Identities by looks where objects covered each other.")
    ] = True,
    bound: Annotated[
        str | None, typer.Option(help="Bound log p(x) too: elbo or iwae, with hard presence.")
    ] = None,
    particles: Annotated[int, typer.Option(min=1, help="Draws per clip for the bound.")] = 100,
    calibration: Annotated[
        bool,
        typer.Option(help="In place of scores: how honest the stated uncertainty is."),
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            help="Fit what makes standard deviations honest on other clips of the set, and store "
            "it with the run; then as --calibration."
        ),
    ] = False,
    calibration_seed: Annotated[
        int, typer.Option(min=0, help="Data seed of the clips of --calibrate.")
    ] = 777,
    draws: Annotated[
        int, typer.Option(min=0, help="Draws per clip for --calibration; 0: tracks alone.")
    ] = 40,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Picture of --calibration; calibration.png in the run's folder by default.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    refine: Refine = None,
    compiled: Compile = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score a run on fresh clips: its tracks against ground truth, or its reconstruction.

    Clips of registered sets are fresh ones, never those of the training.
    """
    from scalor_ppl.inference.bounds import bound_of
    from scalor_ppl.inference.calibrating import judge_calibration
    from scalor_ppl.inference.scoring import reconstruction_error, score
    from scalor_ppl.programs import FindsObjects
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run, own_folder
    from scalor_ppl.training.sources import chosen, open_data

    use_threads(threads)
    check_figure("--plot", plot)
    with owned(out, plot):
        program = load_run(run, pick_device(device), refine=refine, compiled=compiled)
        settings = chosen(program.config.data, data, folder=data_dir, seed=data_seed)
        source = open_data(settings, "test")
        title = f"{settings.source}: {clips} clips of {frames} frames"
        if calibration or calibrate:
            if calibrate:
                program = fit_and_store(
                    run, program, settings, seed=calibration_seed, clips=clips, frames=frames
                )
            honesty = judge_calibration(program, source, clips=clips, frames=frames, draws=draws)
            show_calibration(honesty, title, plot or own_folder(run) / "calibration.png", out)
            return
        figures: dict[str, Any] = {}
        if bound is not None:
            bounded = bound_of(
                program, source, estimator=bound, particles=particles, clips=clips, frames=frames
            )
            Console().print(bound_line(bounded), **PLAIN)
            figures["bound"] = bounded.to_dict()
        if not isinstance(program, FindsObjects):
            error = reconstruction_error(program, source, clips=clips, frames=frames)
            Console().print(f"mean squared error {error:.5f} ({program.name} finds no objects)")
            figures["mse"] = error
        elif bound is None or has_truth(source, frames):
            scores = score(program, source, clips=clips, frames=frames, recognise=recognise)
            print_table(score_table(scores, title))
            figures |= {rule: each.to_dict() for rule, each in scores.items()}
        if out is not None:
            with written_whole(out) as path:
                path.write_text(json.dumps(figures, indent=2))


def has_truth(source: "ClipSource", frames: int) -> bool:
    """Whether there is something to score; a bound needs no ground truth."""
    return source.clip(0, frames).truth is not None


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
