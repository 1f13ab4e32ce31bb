"""Everything that comes after a training, tried before it: a fault costs seconds, not the night."""

import tempfile
from pathlib import Path

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.data import ClipSource
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.trust import trust_own
from scalor_ppl.report.material import gather
from scalor_ppl.report.write import write_report
from scalor_ppl.tracking import TrackingOutcome, TrackingWatcher, track_to_files
from scalor_ppl.training.loop import train
from scalor_ppl.training.runs import create_run, load_run
from scalor_ppl.training.sources import anchored, fitted

TRACKS, POSITIONS, EVENTS = "tracks.txt", "tracks.csv", "events.csv"
OVERLAY, REPORT = "overlay.mp4", "report.html"
"""What a fit writes into its folder."""

_FRAMES = 3  # that are tracked and reported


def rehearse(
    config: Config, video: Path, source: ClipSource, device: torch.device, *, overlay: bool
) -> None:
    """Train one step, track a few frames and report them, in a folder that is thrown away.

    Args:
        config: of the training.
        video: that will be tracked.
        source: of training clips, opened as the configuration says.
        device: where to compute.
        overlay: whether the video with boxes will be written, too.

    Raises:
        UserError: something that the user can put right, in the words of what failed.
        KeyboardInterrupt: a signal came meanwhile.
    """
    short = fitted(anchored(config), source)
    steps = short.train.model_copy(update={"steps": 1, "image_every": 0})
    stop = short.data.start + 1 + (_FRAMES - 1) * short.data.stride
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        data = short.data.model_copy(update={"stop": stop})
        short = short.model_copy(update={"train": steps})
        create_run(run, short.model_copy(update={"data": data}))
        trust_own(short.model_dump(mode="json"))
        program = build_program(short, device)
        if train(program, source, run).interrupted:
            raise KeyboardInterrupt
        track_fit(load_run(run, device), video, run, overlay=overlay)
        report_fit(run, device, frames=_FRAMES)


def track_fit(
    program: Program,
    video: Path,
    run: Path,
    *,
    overlay: bool,
    resume: bool = False,
    watcher: TrackingWatcher | None = None,
) -> TrackingOutcome:
    """Track the range of a fit's video into its folder.

    Centres are measured in the frames (`tracking.registration`).

    Args:
        program: that was trained on the video.
        video: the file or folder.
        run: its folder.
        overlay: write the video with boxes, too.
        resume: go on with an interrupted tracking.
        watcher: told of progress.

    Raises:
        UserError: as `track_to_files`.
    """
    data = program.config.data
    return track_to_files(
        program,
        video,
        run / TRACKS,
        overlay=run / OVERLAY if overlay else None,
        events=run / EVENTS,
        positions=run / POSITIONS,
        measure=True,
        start=data.start,
        stop=data.stop,
        resume=resume,
        watcher=watcher,
    )


def report_fit(run: Path, device: torch.device, *, frames: int = 20, looks: str = "") -> None:
    """Write the report of a fit, with its tracks.

    Args:
        run: its folder.
        device: where to compute.
        frames: that it shows, at most.
        looks: whether they told objects apart, see `TrackingOutcome`.

    Raises:
        UserError: as `gather` and `write_report`.
    """
    material = gather(run, device, tracks=run / TRACKS, frames=frames)
    write_report(material, run / REPORT, [("identities", looks)] if looks else [])
