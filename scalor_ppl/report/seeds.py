"""A video fitted with several seeds: a run of each, here or on a worker."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.report.rehearsal import REPORT, TRACKS, report_fit, track_fit
from scalor_ppl.results.locks import owned_folder
from scalor_ppl.training.checkpoints import all_checkpoints, step_of
from scalor_ppl.training.devices import pick_device
from scalor_ppl.training.loop import Outcome
from scalor_ppl.training.parts import phase_left, train_part
from scalor_ppl.training.runs import CONFIG, load_run, run_config
from scalor_ppl.training.sources import anchored
from scalor_ppl.training.start import start_training


@dataclass(frozen=True)
class SeedFit:
    """A fit with one seed, planned.

    Attributes:
        video: the file or folder.
        run: the folder of this seed.
        config: with this seed, and its number of steps.
        overlay: write the video with boxes, too.
        device: as ``pick_device`` takes it.
        threads: of the processor; none leaves them as they are.
    """

    video: Path
    run: Path
    config: Config
    overlay: bool
    device: str = "auto"
    threads: int | None = None

    def seeded(self, seed: int, run: Path) -> "SeedFit":
        """The same with another seed, in another folder."""
        train = self.config.train.model_copy(update={"seed": seed})
        return replace(self, run=run, config=self.config.model_copy(update={"train": train}))

    def anywhere(self) -> "SeedFit":
        """The same from any directory."""
        video, run = self.video.resolve(), self.run.resolve()
        return replace(self, video=video, run=run, config=anchored(self.config))


def fit_seed(asked: SeedFit, training: Callable[..., Outcome] = start_training) -> bool:
    """Train, track and report, or go on with what is there.

    Args:
        asked: what.
        training: called like `start_training`.

    Returns:
        Whether it was done to the end; a signal ends it before.

    Raises:
        UserError: as `start_training` and `track_to_files` say.
        TrainingError: likewise.
    """
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    run, device = asked.run, pick_device(asked.device)
    with owned_folder(run):
        begun = (run / CONFIG).is_file()
        config = run_config(run) if begun else asked.config
        if steps_done(run) < config.train.steps:
            outcome = training(config, run, device=asked.device, resume=begun)
            if outcome.interrupted:
                return False
        looks = ""
        if not (run / TRACKS).exists():
            tracked = track_fit(
                load_run(run, device),
                asked.video,
                run,
                overlay=asked.overlay,
                resume=(run / f"{TRACKS}.resume").exists(),
            )
            if tracked.interrupted:
                return False
            looks = tracked.looks
        if looks or not (run / REPORT).exists():
            report_fit(run, device, looks=looks)
        if phase_left(run):
            train_part("priors", run, run_config(run), run, device=asked.device)
    return True


def steps_done(run: Path) -> int:
    """Steps that a run's newest checkpoint has; 0 without one."""
    kept = all_checkpoints(run)
    return step_of(kept[-1]) if kept else 0
