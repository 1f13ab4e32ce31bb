"""``scalor-ppl track`` of several videos: a line for each as it is done, or as it fails."""

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from scalor_ppl.cli.options import INTERRUPTED, PLAIN
from scalor_ppl.cli.progress import Bar, say

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
    failed: list[VideoResult] = []
    stopped, done = False, 0
    errors = Console(stderr=True)
    try:
        with (
            closing(results),
            Bar(errors, figures="videos", transient=True, disable=not errors.is_terminal) as bar,
        ):
            for number, result in enumerate(results, start=1):
                if number == 1:
                    bar.show(0, len(many.videos))
                bar.move(number, "videos")
                if result.error is not None:
                    failed.append(result)
                    errors.print("error:", _told(result), style="red", **PLAIN)
                elif result.outcome is not None and result.outcome.interrupted:
                    stopped = True
                elif result.outcome is not None:
                    done += 1
                    Console().print(_line(result), **PLAIN)
    except KeyboardInterrupt:
        stopped = True
    if stopped:
        say(f"interrupted after {done} videos; go on with the same command and --resume")
        raise typer.Exit(INTERRUPTED)
    if failed:
        say(f"{done} videos tracked, {len(failed)} failed")
        raise typer.Exit(1 if any(each.fault for each in failed) else 2)


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
