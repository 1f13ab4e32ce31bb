"""``scalor-ppl generate``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from scalor_ppl.cli.options import (
    PLAIN,
    DataFolder,
    Device,
    Run,
    Seed,
    Temperature,
    Threads,
    use_threads,
)
from scalor_ppl.errors import UserError
from scalor_ppl.files import check_writable
from scalor_ppl.results.locks import owned, owned_folder

# Of `interventions.FORMS`, which is not imported for a help text.
FORMS = "remove ID@FRAME, move ID@FRAME X,Y, freeze ID@FRAME; or FRAME-FRAME in the last two"


def generate(
    run: Run,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for pictures, or NAME.nc for the draws.", show_default="RUN/generated"
        ),
    ] = None,
    videos: Annotated[int, typer.Option(min=1, help="How many videos.")] = 1,
    frames: Annotated[int, typer.Option(min=1, help="How long, observed frames included.")] = 20,
    seed: Seed = 0,
    first_rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Chance that a cell has an object in frame 1; the priors' own, if any, or 0.2.",
        ),
    ] = None,
    discovery: Annotated[
        bool | None,
        typer.Option(help="Let objects enter later; off by default after an observed clip."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Chance per cell and later frame that one enters."),
    ] = None,
    temperature: Temperature = 1.0,
    observe: Annotated[
        str | None, typer.Option(help="Continue this clip (set, or path).", metavar="NAME|PATH")
    ] = None,
    data_dir: DataFolder = None,
    observe_frames: Annotated[int, typer.Option(min=1, help="Frames of it that are seen.")] = 5,
    clip: Annotated[int, typer.Option(min=0, help="Which clip of it.")] = 0,
    do: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What if: {FORMS}. Frames count from 1; may be repeated.", metavar="WORDS"
        ),
    ] = None,
    boxes: Annotated[bool, typer.Option("--boxes", help="Draw boxes in id colours.")] = False,
    fps: Annotated[float, typer.Option(min=0.1, help="Frames a second of the videos.")] = 10.0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Sample videos from the priors, or continue an observed clip, as it is or what if."""
    from scalor_ppl.inference.generation import continue_clip, imagine
    from scalor_ppl.inference.interventions import parse_intervention
    from scalor_ppl.inference.pictures import write_compared, write_generated, write_grid
    from scalor_ppl.inference.trees import prior_tree
    from scalor_ppl.programs import TrainsParts
    from scalor_ppl.results.datatree import SUFFIX, write_tree
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run, own_folder
    from scalor_ppl.training.sources import chosen, open_clip

    use_threads(threads)
    if discovery is False and rate is not None:
        raise UserError("--no-discovery and --rate contradict each other: leave one out")
    if observe is not None and (videos > 1 or first_rate is not None):
        raise UserError("--videos and --first-rate are for videos from scratch, not with --observe")
    if temperature < 1 and (observe is not None or (out is not None and out.suffix == SUFFIX)):
        raise UserError("--temperature is for pictures of videos from scratch: leave it out")
    if do and observe is None:
        raise UserError("--do acts on the objects of an observed clip: give one with --observe")
    interventions = [parse_intervention(words) for words in do or []]
    table = out if out is not None and out.suffix == SUFFIX else None
    if table is not None:
        if observe is not None or boxes:
            raise UserError(f"--out {out} is for videos from scratch, without --observe or --boxes")
        check_writable(table)
    program = load_run(run, pick_device(device))
    folder = out or own_folder(run) / "generated"
    wanted = rate if discovery is not False else 0.0
    sampled: dict[str, Any] = {"frames": frames, "seed": seed}
    if table is not None:
        with owned(table):
            tree = prior_tree(program, videos=videos, first_rate=first_rate, rate=wanted, **sampled)
            write_tree(tree, table)
        Console().print(str(table), **PLAIN)
        return
    with owned_folder(folder), Console(stderr=True).status("sampling") as status:
        if observe is None:
            sampled |= {"videos": videos, "first_rate": first_rate, "rate": wanted}
            scene = imagine(program, **sampled, temperature=temperature)
            paths = []
            for path in write_generated(program, scene, folder, boxes=boxes, fps=fps):
                status.update(f"{path.name} of {videos} videos")
                paths.append(path)
            if videos > 1:
                paths += write_grid(scene, folder, fps=fps)
        else:
            data = chosen(program.config.data, folder=data_dir)
            seen = open_clip(data, observe, clip, observe_frames)
            off = discovery is None and rate is None
            question: dict[str, Any] = {
                "observe": observe_frames,
                "rate": 0.0 if off else wanted,
                **sampled,
            }
            scene = continue_clip(program, seen, interventions=interventions, **question)
            without = continue_clip(program, seen, **question) if interventions else None
            paths = [*write_generated(program, scene, folder, observed=seen, boxes=boxes, fps=fps)]
            if without is not None:
                label = "\n".join(map(str, interventions))
                paths += write_compared(program, without, scene, label, seen, folder, fps=fps)
    for path in paths:
        Console().print(str(path), **PLAIN)
    if observe is None and isinstance(program, TrainsParts) and not program.knows_what_enters:
        Console(stderr=True).print(
            "the priors were not trained alone, and videos from scratch are little like the data: "
            f"`scalor-ppl train --only priors --from {run} --out FOLDER` makes a run that samples "
            "better",
            **PLAIN,
        )
