"""``scalor-ppl particles``: `fit` and trackpy on particles whose every position is known."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.fit import fit
from scalor_ppl.cli.options import PLAIN, Device, Seeds, Threads, parse_seeds
from scalor_ppl.cli.tables import print_table, ruled_table
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned

if TYPE_CHECKING:
    from scalor_ppl.studies.particles import ParticleResult


def particles(
    sets: Annotated[
        str, typer.Option(help="Sets of particles, with commas.")
    ] = "particles-ld,particles-ld-noisy",
    seeds: Seeds = "0,1,2",
    frames: Annotated[int, typer.Option(min=20, help="Length of a clip.")] = 100,
    minutes: Annotated[float, typer.Option(min=0.01, help="Of training on each clip.")] = 10.0,
    out: Annotated[Path, typer.Option(help="Folder for clips and fits.")] = Path("runs/particles"),
    figure: Annotated[
        Path | None, typer.Option(help="Draw precision over recall, NAME.png.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here, a line each.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Fit clips of known particles, and compare positions and physics with trackpy's and the bound.

    Centres and identities are those of `fit`'s own tracks.csv.

    Clips and fits that are there already are taken as they are; one that was interrupted goes on.
    """
    from scalor_ppl.report.rehearsal import POSITIONS, TRACKS
    from scalor_ppl.studies.particles import compare_on_clip, make_clip

    def tracked(clip: Path, folder: Path) -> Path:
        run = folder / "fit"
        if not (run / TRACKS).exists():
            going_on = (run / "config.toml").exists()
            fit(
                clip,
                out=run,
                minutes=minutes,
                overlay=False,
                device=device,
                threads=threads,
                resume=going_on,
            )
        return run / POSITIONS

    results: list[ParticleResult] = []
    with owned(figure, output):
        for name in sets.split(","):
            for seed in parse_seeds(seeds):
                clip = make_clip(name, seed, frames, out / name / f"seed_{seed}")
                results += compare_on_clip(name, seed, clip, tracked)
        print_table(_table(results))
        if output is not None:
            with written_whole(output) as path:
                path.write_text("".join(f"{json.dumps(each.to_dict())}\n" for each in results))
            Console().print(str(output), **PLAIN)
        if figure is not None:
            from scalor_ppl.studies.particle_figure import draw_curves

            draw_curves(results, figure)
            Console().print(str(figure), **PLAIN)


def _table(results: "list[ParticleResult]") -> Table:
    """A row for each tracker and clip, and for the true positions."""
    from scalor_ppl.studies.particles import PEER, PRECISIONS

    headings = ("error / bound", "error (px)", "error / trackpy's", "90 % interval holds")
    recalls = [f"recall at {precision:g}" for precision in PRECISIONS]
    more = ("D / true D", "limit", "alpha", "limit", "D if free / true D", *recalls)
    table = ruled_table("", "set", "seed", "tracker", *headings, *more)
    table.title = "limit: least standard deviation of so many steps (Cramer-Rao), errors known"
    peers = {
        (each.set, each.seed): each.places.isolated.pixels
        for each in results
        if each.tracker == PEER and each.places is not None
    }
    for each in results:
        fit_, limit = each.motion.fit, each.limit
        diffusion, free = (
            _ranged(*(part / each.diffusion for part in estimate))
            for estimate in (fit_.diffusion, fit_.free)
        )
        table.add_row(
            *(each.set, str(each.seed), each.tracker),
            *_errors(each, peers[each.set, each.seed]),
            *(diffusion, f"{limit.diffusion:.3f}"),
            *(_ranged(*fit_.alpha), f"{limit.alpha:.3f}"),
            free,
            *(f"{recall:.3f}" for recall in each.recall),
        )
    return table


def _errors(result: "ParticleResult", peer: float) -> list[str]:
    """Cells of the errors of positions; blank where these are the true ones."""
    if result.places is None:
        return [""] * 4
    isolated = result.places.isolated
    holds = "" if isolated.coverage is None else f"{100 * isolated.coverage:.0f} %"
    ratio, pixels = f"{isolated.ratio:.2f}", f"{isolated.pixels:.3f}"
    return [ratio, pixels, f"{isolated.pixels / peer:.2f}", holds]


def _ranged(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
