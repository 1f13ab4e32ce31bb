"""``scalor-ppl realism``: how hard sampled videos are to tell from real ones."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import (
    PLAIN,
    DataFolder,
    Device,
    Refine,
    Run,
    Seed,
    Temperature,
    Threads,
    use_threads,
)
from scalor_ppl.cli.tables import print_table, ruled_table, shown
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned

if TYPE_CHECKING:
    from scalor_ppl.realism.measure import Realism


def realism(
    run: Run,
    data: Annotated[
        str | None,
        typer.Option(help="Set or path; the run's own by default.", metavar="NAME|PATH"),
    ] = None,
    data_dir: DataFolder = None,
    data_seed: Annotated[int, typer.Option(min=0, help="Of generated clips.")] = 2020,
    videos: Annotated[int, typer.Option(help="Clips of each side, at least 8.")] = 100,
    frames: Annotated[int, typer.Option(help="Length of each, at least 3.")] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="Classifiers of each kind.")] = 3,
    seed: Seed = 0,
    temperature: Temperature = 1.0,
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Rows of real and sampled clips, NAME.png.", show_default=False),
    ] = None,
    blind: Annotated[
        int | None,
        typer.Option(
            min=0, help="Shuffle the picture's rows by this seed; NAME.txt beside it is the key."
        ),
    ] = None,
    refine: Refine = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Compare videos sampled from the priors with real clips that were not trained on.

    Each figure stands beside its floor (real against other real clips) and two controls: the real
    clips as the program reconstructs them, and with their frames shuffled in time. The column
    "priors" tells sampled from reconstructed videos: what is due to the priors alone.
    """
    from scalor_ppl.realism.figure import draw_rows
    from scalor_ppl.realism.measure import measure_realism
    from scalor_ppl.realism.reading import reader_for
    from scalor_ppl.realism.sides import RealismQuestion
    from scalor_ppl.realism.training_clips import training_clips
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run
    from scalor_ppl.training.sources import chosen, open_data

    use_threads(threads)
    question = RealismQuestion(videos, frames, seeds, seed, temperature)
    if figure is not None and figure.suffix != ".png":
        raise UserError(f"--figure {figure}: end it in .png")
    if blind is not None and figure is None:
        raise UserError("--blind shuffles the rows of a picture: give one with --figure NAME.png")
    key = figure.with_suffix(".txt") if figure is not None and blind is not None else None
    with owned(out, figure, key):
        program = load_run(run, pick_device(device), refine=refine)
        settings = chosen(program.config.data, data, folder=data_dir, seed=data_seed)
        source = open_data(settings, "test")
        program.check_fits(source.name, source.height, source.width, source.channels)
        own = chosen(program.config.data, folder=data_dir)
        trained_on = training_clips(program.config, own, question) if data is None else None
        reader = reader_for(open_data(settings, "train"), source, seed, seeds)
        with Console(stderr=True).status("realism") as status:
            found = measure_realism(
                program,
                source,
                question,
                training=trained_on,
                reader=None if isinstance(reader, str) else reader,
                tell=status.update,
            )
        print_table(realism_table(found, f"{source.name}: {videos} clips of {frames} frames"))
        if isinstance(reader, str):
            found.missing["read"] = reader
        elif found.read is not None:
            print_table(reading_table(found.read))
        for name, reason in found.missing.items():
            Console().print(f"{name}: {reason}", **PLAIN)
        if out is not None:
            document = {
                "run": str(run),
                "data": settings.model_dump(mode="json"),
                "question": asdict(question) | {"refine": refine},
                **found.to_dict(),
            }
            with written_whole(out) as path:
                path.write_text(json.dumps(document, indent=2, allow_nan=False))
        if figure is not None:
            draw_rows(found.real, found.samples, figure, blind=blind, key=key)
            Console().print(str(figure), **PLAIN)


def realism_table(found: "Realism", title: str) -> Table:
    """A row for each figure, a column for each side."""
    from scalor_ppl.realism.measure import PRIORS, SIDES, UNITS

    columns = (*SIDES, PRIORS)
    table = ruled_table(title, "figure", *columns, "p (sampled)")
    for name, unit in UNITS.items():
        values = (shown(found.figures[name][side], ".3f") for side in columns)
        chance = found.p.get(name, {}).get("sampled")
        table.add_row(f"{name} {unit}".strip(), *values, shown(chance, ".3f"))
    return table


def reading_table(read: "dict[str, Any]") -> Table:
    """What the objects of each side are read as."""
    sides = {side: shares for side, shares in read.items() if side != "accuracy" and shares}
    kinds = dict.fromkeys(kind for shares in sides.values() for kind in shares)
    title = f"shares read with confidence (accuracy on held-out objects {read['accuracy']:.3f})"
    table = ruled_table(title, "side", *kinds)
    for side, shares in sides.items():
        table.add_row(side, *(f"{shares[kind]:.3f}" for kind in kinds))
    return table
