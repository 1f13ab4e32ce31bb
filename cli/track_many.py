"""``scalor-ppl track`` of several videos: a line for each as it is done, or as it fails."""

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from rich.console import Console

from scalor_ppl.cli.options import PLAIN
from scalor_ppl.cli.side_by_side import told_as_they_come

if TYPE_CHECKING:
    from scalor_ppl.tracking.many import ManyVideos, VideoResult
    from scalor_ppl.tracking.workers import RunChoice


def track_side_by_side(
    choice: "RunChoice",
    many: "ManyVideos",
    *,
    options: Mapping[str, Any],
    batch: int,
    jobs: int,
    scheduler: str | None,
    resume: bool,
    overwrite: bool,
) -> None:
    """Track the videos and print what became of each; see `tracking.many.track_videos`.

    Raises:
        typer.Exit: with 2 where videos failed by their own fault, 1 by another, 130 after a signal.
    """
    from scalor_ppl.tracking.many import track_videos

    results = track_videos(
        choice,
        many,
        options=options,
        batch=batch,
        jobs=jobs,
        scheduler=scheduler,
        resume=resume,
        overwrite=overwrite,
    )
    go_on = "go on with the same command and --resume"
    with (
        told_as_they_come(len(many.videos), "videos", "tracked", go_on) as tally,
        closing(results),
    ):
        for result in results:
            if result.error is not None:
                tally.refused(_told(result), fault=result.fault)
            elif result.outcome is not None and result.outcome.interrupted:
                tally.stopped = True
            elif result.outcome is not None:
                tally.succeeded()
                Console().print(_line(result), **PLAIN)


def _line(result: "VideoResult") -> str:
    outcome = result.outcome
    assert outcome is not None
    return (
        f"{result.out}: {outcome.frames} frames, {outcome.tracks} tracks, "
        f"{outcome.fps:.1f} frames per second"
    )


def _told(result: "VideoResult") -> str:
    """Why a video failed; which one it was is said once."""
    error = result.error or ""
    return error if result.video.name in error else f"{result.video}: {error}"
