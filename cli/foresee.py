"""``scalor-ppl foresee``: how far off the imagined positions of objects are."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import (
    PLAIN,
    DataFolder,
    Device,
    Seed,
    Threads,
    check_figure,
    labelled,
    use_threads,
)
from scalor_ppl.cli.tables import print_table, ruled_table, wide_console
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned

if TYPE_CHECKING:
    from scalor_ppl.data import ClipSource
    from scalor_ppl.evaluation.foresight import Figures, Foresight
    from scalor_ppl.programs import Program
    from scalor_ppl.studies.foreseeing import ForesightQuestion

ROWS = {
    "point": "mean of draws",
    "likeliest": "most likely",
    "draw": "one draw",
    "energy": "energy score",
    "stays": "stays",
    "velocity": "constant velocity",
}


def foresee(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Runs, each as LABEL=FOLDER or FOLDER.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Set or path; that of the first run by default.", metavar="NAME|PATH"),
    ] = None,
    data_dir: DataFolder = None,
    data_seed: Annotated[int, typer.Option(min=0, help="Of generated clips.")] = 2020,
    clips: Annotated[int, typer.Option(min=1, help="How many clips.")] = 100,
    observe: Annotated[int, typer.Option(min=1, help="Frames of each that are seen.")] = 5,
    ahead: Annotated[int, typer.Option(min=1, help="Frames imagined after them.")] = 10,
    draws: Annotated[int, typer.Option(min=1, help="How often each clip is imagined.")] = 8,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Picture to write: png, svg or pdf.", show_default=False)
    ] = None,
    only_floors: Annotated[
        str | None,
        typer.Option(
            "--floors", metavar="SET", help="No runs: what is had without them, of a gswm set."
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Let runs imagine how clips go on, and measure how far off the positions are.

    Clips of registered sets are fresh ones. No objects are discovered after the observed frames.
    Of sets of G-SWM's benchmark its metric is told too; it sees 10 frames: --observe 10 --ahead 20.
    """
    from scalor_ppl.evaluation.foresight import GROUPS
    from scalor_ppl.studies.foreseeing import ForesightQuestion, foresee_clips
    from scalor_ppl.studies.foreseeing_figures import draw_foresight
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run
    from scalor_ppl.training.sources import chosen, open_data

    use_threads(threads)
    check_figure("--figure", figure)
    question = ForesightQuestion(clips, observe, ahead, draws, seed)
    if only_floors is not None:
        if runs or data is not None or figure is not None:
            raise UserError(
                "--floors is told without runs, --data and --figure: leave them out, or --floors"
            )
        with owned(out):
            _show_floors(only_floors, data_seed, question, out)
        return
    if not runs:
        raise UserError("give runs, each as LABEL=FOLDER or FOLDER, or --floors SET")
    with owned(out, figure):
        folders = labelled(runs)
        where = pick_device(device)
        programs = {label: load_run(folder, where) for label, folder in folders.items()}
        # The same clips for all: of the first run's data, where nothing else is said.
        first = next(iter(programs.values()))
        settings = chosen(first.config.data, data, folder=data_dir, seed=data_seed)
        source = open_data(settings, "test")
        for program in programs.values():
            program.check_fits(source.name, source.height, source.width, source.channels)
        found: dict[str, Foresight] = {}
        with Console(stderr=True).status("foreseeing") as status:

            def tell(label: str, text: str) -> None:
                status.update(f"{label}: {text}")

            for label, program in programs.items():
                found[label] = foresee_clips(program, source, question, partial(tell, label))
            said = _benchmark(programs, source, question, found, tell)
        console = wide_console()
        for label, foresight in found.items():
            console.print(matched_line(label, foresight), **PLAIN)
        for group in GROUPS:
            console.print()
            print_table(foresight_table(found, group))
        for each in said:
            console.print()
            if isinstance(each, str):
                console.print(each, **PLAIN)
            else:
                print_table(each)
        if out is not None:
            document = {
                "data": settings.model_dump(mode="json"),
                "question": asdict(question),
                "runs": {
                    label: {"run": str(folders[label])} | foresight.to_dict()
                    for label, foresight in found.items()
                },
            }
            with written_whole(out) as path:
                path.write_text(json.dumps(document, indent=2, allow_nan=False))
        if figure is not None:
            draw_foresight(found, figure)
            console.print(str(figure), **PLAIN)


def _show_floors(
    name: str, data_seed: int, question: "ForesightQuestion", out: Path | None
) -> None:
    """The floors of a set, without any run, as a table and into a file."""
    from scalor_ppl.cli.summed import summed_table
    from scalor_ppl.data.gswm_specs import GSWM_SETS
    from scalor_ppl.studies.gswm_benchmark import DiscSource, floors

    if name not in GSWM_SETS:
        raise UserError(f"--floors {name}: give one of {', '.join(GSWM_SETS)}")
    found = floors(DiscSource(GSWM_SETS[name], split="test", seed=data_seed), question)
    print_table(summed_table(name, found, {}))
    if out is not None:
        document = {
            "data": {"source": name, "seed": data_seed},
            "question": asdict(question),
            "floors": {known: asdict(error) for known, error in found.items()},
        }
        with written_whole(out) as path:
            path.write_text(json.dumps(document, indent=2, allow_nan=False))


def _benchmark(
    programs: "Mapping[str, Program]",
    source: "ClipSource",
    question: "ForesightQuestion",
    found: "Mapping[str, Foresight]",
    tell: Callable[[str, str], None],
) -> list[Table | str]:
    """The table of G-SWM's benchmark, and where its single ball goes; nothing of other sets."""
    from scalor_ppl.cli.summed import summed_table
    from scalor_ppl.studies.gswm_benchmark import DiscSource, floors, foreseen, turns

    if not isinstance(source, DiscSource):
        return []
    rows, energies, said = {}, {}, []
    for label, program in programs.items():
        rows[label] = foreseen(program, source, question, partial(tell, label))
        energy = found[label].figures["all"]["energy"].mean
        energies[label] = tuple(value / source.height for value in energy)
        if source.spec.motion == "falls" and question.frames == source.spec.frames:
            way = turns(program, source, question)
            said.append(
                f"{label}: {way.left:.1%} of {way.draws} draws go left; "
                f"{way.fully:.1%} end in a corner"
            )
    table = summed_table(source.name, rows | floors(source, question), energies)
    return [table, *said]


def matched_line(label: str, foresight: "Foresight") -> str:
    """How many objects the figures are of, in words."""
    return (
        f"{label}: {foresight.matched} of {foresight.objects} objects are tracked in the last "
        f"observed frame of {foresight.clips} clips"
    )


def foresight_table(found: "Mapping[str, Foresight]", group: str) -> Table:
    """The figures of a group of objects: a few rows a run, a column for each of three frames."""
    from scalor_ppl.studies.foreseeing_figures import PANELS

    first = next(iter(found.values())).figures[group]["point"]
    frames = milestones(len(first.mean))
    title = f"{PANELS[group]}: distance in pixels, mean +- error (median)"
    table = ruled_table(title, "run")
    table.add_column("frames ahead", no_wrap=True)
    for frame in frames:
        table.add_column(str(frame), justify="right", no_wrap=True)
    for label, foresight in found.items():
        own = foresight.figures[group]
        for place, (name, row) in enumerate(ROWS.items()):
            cells = (in_words(own[name], frame) for frame in frames)
            table.add_row(label if place == 0 else "", row, *cells)
        died = (own["died"].mean[frame - 1] for frame in frames)
        table.add_row("", "died", *("" if math.isnan(d) else f"{d:.1%}" for d in died))
        table.add_row("", "objects", *(str(own["died"].objects[frame - 1]) for frame in frames))
    return table


def milestones(ahead: int) -> list[int]:
    """The first, a middle and the last of the frames ahead."""
    return sorted({1, max(1, ahead // 2), ahead})


def in_words(figures: "Figures", frame: int) -> str:
    """A figure so many frames ahead: ``2.31 +- 0.12 (1.80)``."""
    mean, error, median = (
        values[frame - 1] for values in (figures.mean, figures.error, figures.median)
    )
    if math.isnan(mean):
        return ""
    shown = "" if math.isnan(error) else f" +- {error:.2f}"
    return f"{mean:.2f}{shown} ({median:.2f})"
