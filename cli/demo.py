"""``scalor-ppl demo``: the main job on the embedded toy data, start to end."""

import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from scalor_ppl.cli.options import (
    INTERRUPTED,
    PLAIN,
    Device,
    Seeds,
    nested,
    parse_seeds,
    use_threads,
)
from scalor_ppl.cli.progress import show_part_training, shown_training
from scalor_ppl.cli.score_tables import score_table
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned

if TYPE_CHECKING:
    from scalor_ppl.training.parts import Part

PRESET = "moving-dsprites-vld"
# The paper's priors, which the training uses, sample no videos that one would look at.
PRIOR_STEPS, PRIOR_CLIPS = 250, 256
# The decoder that finds objects quickly rounds their corners.
DECODER = {"decoder": "wide", "glimpse": (24, 24), "occlusion": 1.0}
DECODER_STEPS = 1500
PARTS: "tuple[Part, ...]" = ("decoder", "priors")
# Less of their noise, most of which is jitter.
TEMPERATURE = 0.15


def demo(
    out: Annotated[Path, typer.Option(help="Folder for runs and pictures.")] = Path("runs/demo"),
    seeds: Seeds = "0",
    clips: Annotated[int, typer.Option(min=1, help="Unseen clips to score.")] = 100,
    device: Device = "auto",
    threads: Annotated[
        int, typer.Option(min=1, help="CPU threads; more make such small networks little faster.")
    ] = 1,
) -> None:
    """Train on moving sprites, track unseen clips, imagine new ones; print the figures.

    The training ends with a finer decoder, and with priors that imagine; tracks stay as they are.
    """
    from scalor_ppl.inference.generation import imagine
    from scalor_ppl.inference.pictures import write_generated, write_tracked
    from scalor_ppl.inference.scoring import tracked
    from scalor_ppl.programs.configuration import resolve
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run
    from scalor_ppl.training.sources import open_data

    use_threads(threads)
    console = Console()
    figures: list[dict[str, Any]] = []
    for seed in parse_seeds(seeds):
        run = fresh(out / f"seed_{seed}")
        own = nested(
            train__seed=seed,
            train__priors__steps=PRIOR_STEPS,
            train__priors__clips=PRIOR_CLIPS,
            train__decoder__steps=DECODER_STEPS,
        )
        config = resolve(PRESET, [], own)
        begin = time.perf_counter()
        outcome = shown_training(config, run, device=device)
        minutes = (time.perf_counter() - begin) / 60
        if outcome.interrupted:
            raise typer.Exit(INTERRUPTED)
        finer = resolve(PRESET, [], own | {"model": DECODER})
        for part in PARTS:
            show_part_training(part, run, finer, run, device=device)
        imagining = (time.perf_counter() - begin) / 60 - minutes
        program = load_run(run, pick_device(device))
        unseen = open_data(config.data, "test")
        scores = tracked(program, unseen, clips=clips, frames=10).scores
        paths = write_tracked(program, unseen, 10, run / "tracked")
        scene = imagine(program, videos=4, frames=20, seed=seed, temperature=TEMPERATURE)
        paths += write_generated(program, scene, run / "generated")
        console.print(score_table(scores, f"seed {seed}: {clips} unseen clips, {minutes:.1f} min"))
        for path in paths:
            console.print(str(path), **PLAIN)
        figures.append(
            {
                "seed": seed,
                "minutes": minutes,
                "imagining_minutes": imagining,
                "scores": {rule: each.to_dict() for rule, each in scores.items()},
            }
        )
    motas = [each["scores"]["standard"]["mota"] for each in figures]
    slowest, longest = (max(each[f"{of}minutes"] for each in figures) for of in ("", "imagining_"))
    console.print(
        f"MOTA {statistics.median(motas):.3f} (median of {len(motas)}; "
        f"worst {min(motas):.3f}), at most {slowest:.1f} min of training "
        f"and {longest:.1f} min of decoder and priors",
        highlight=False,
    )
    with owned(out / "figures.json", wait=10), written_whole(out / "figures.json") as path:
        path.write_text(json.dumps(figures, indent=2))


def fresh(folder: Path) -> Path:
    """The folder, or the next free name after it, so that no earlier run is lost."""
    candidate, number = folder, 1
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}_{number}")
    return candidate
