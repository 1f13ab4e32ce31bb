"""``scalor-ppl generate``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scalor_ppl.cli.options import Device, Run, Seed, Threads, use_threads
from scalor_ppl.errors import UserError
from scalor_ppl.inference.generation import continue_clip, imagine
from scalor_ppl.inference.pictures import write_generated
from scalor_ppl.inference.runs import load_run
from scalor_ppl.inference.sources import open_clip
from scalor_ppl.inference.training import pick_device


def generate(
    run: Run,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files.", show_default="RUN/generated")
    ] = None,
    videos: Annotated[int, typer.Option(min=1, help="How many videos.")] = 1,
    frames: Annotated[int, typer.Option(min=1, help="How long, observed frames included.")] = 20,
    seed: Seed = 0,
    first_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Chance that a cell has an object in frame 1 (0.2)."),
    ] = None,
    discovery: Annotated[
        bool | None,
        typer.Option(help="Let objects enter later; off by default after an observed clip."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Chance per cell and later frame that one enters."),
    ] = None,
    observe: Annotated[
        str | None, typer.Option(help="Continue this clip (set, or path).", metavar="NAME|PATH")
    ] = None,
    observe_frames: Annotated[int, typer.Option(min=1, help="Frames of it that are seen.")] = 5,
    clip: Annotated[int, typer.Option(min=0, help="Which clip of it.")] = 0,
    boxes: Annotated[bool, typer.Option("--boxes", help="Draw boxes in id colours.")] = False,
    fps: Annotated[float, typer.Option(min=0.1, help="Frames a second of the videos.")] = 10.0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Sample videos from the priors, or continue an observed clip."""
    use_threads(threads)
    if discovery is False and rate is not None:
        raise UserError("--no-discovery and --rate contradict each other: leave one out")
    if observe is not None and (videos > 1 or first_rate is not None):
        raise UserError("--videos and --first-rate are for videos from scratch, not with --observe")
    program = load_run(run, pick_device(device))
    folder = out or run / "generated"
    wanted = rate if discovery is not False else 0.0
    seen = None
    if observe is None:
        scene = imagine(
            program, videos=videos, frames=frames, seed=seed, first_rate=first_rate, rate=wanted
        )
    else:
        off = discovery is None and rate is None
        seen = open_clip(program.config.data, observe, clip, observe_frames)
        scene = continue_clip(
            program,
            seen,
            observe=observe_frames,
            frames=frames,
            seed=seed,
            rate=0.0 if off else wanted,
        )
    for path in write_generated(scene, folder, observed=seen, boxes=boxes, fps=fps):
        Console().print(str(path), highlight=False, soft_wrap=True)
