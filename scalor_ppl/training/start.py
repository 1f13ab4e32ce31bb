"""Beginning or going on with a training: everything that can be wrong is found first."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.data import ClipSource
from scalor_ppl.data.batches import Share
from scalor_ppl.inference.pictures import snapshot
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.parallel.ranks import ALONE, Ranks
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.loader import family_of
from scalor_ppl.programs.trust import trust_own
from scalor_ppl.results.locks import owned_folder
from scalor_ppl.training.checkpoints import all_checkpoints, begin_from
from scalor_ppl.training.devices import pick_device, warn_of_precision
from scalor_ppl.training.loop import Outcome, Silent, Watcher, check_length, frames_needed, train
from scalor_ppl.training.origin import ORIGIN
from scalor_ppl.training.runs import create_run, cut_metrics, last_logged, located, run_config
from scalor_ppl.training.sources import anchored, fitted, open_data, open_unseen


def start_training(
    config: Config,
    out: Path,
    *,
    device: str = "auto",
    source: ClipSource | None = None,
    resume: bool = False,
    watcher: Watcher | None = None,
    also: Callable[[int, Program], None] | None = None,
    ranks: Ranks = ALONE,
) -> Outcome:
    """Check everything that can be wrong, then make the run's folder, then train.

    Args:
        config: of the run.
        out: its folder, which nobody else writes to meanwhile.
        device: as ``pick_device`` takes it.
        source: of training clips, where it is open already; read as the configuration says.
        resume: go on with the run that is there; from its beginning, where it was killed before its
            first checkpoint.
        watcher: told of progress, after the contact sheets were written.
        also: called wherever pictures are written, with the step and the program.
        ranks: that train together, each calling this; files and pictures are the first one's.

    Raises:
        UserError: something is wrong with the configuration, the data, the device or the folder.
        TrainingError: too many steps in a row were not finite.
        RankLostError: another rank has ended, or does not answer.
        ElsewhereError: another rank tells what is wrong.
    """
    with ExitStack() as held:
        with ranks.together():
            where = pick_device(device, ranks.local if ranks.several else None)
            if where.index is not None:
                torch.cuda.set_device(where)  # whatever torch puts on "the" GPU lies there too
            latents = family_of(config.model_file).program.kind_of_latents(config)
            make_estimator(config.train.estimator, config.train.particles, latents)
            Share(ranks.rank, ranks.count).of(config.train.batch)
            source = source or open_data(config.data, "train")
            check_length(source, config.train)
            config = fitted(anchored(config), source)
            program = build_program(config, where)
            warn_of_precision(config.train.precision, where)
            if config.train.initial is not None and not resume:
                begin_from(located(Path(config.train.initial)), program.parts)
            if ranks.first:
                held.enter_context(owned_folder(out))
            begun = resume and not _killed_at_once(out)
        begun = ranks.of_first(begun)
        with ranks.together():
            if ranks.first:
                _make_ready(config, out, resume, begun)
                watcher = _ContactSheets(config, out, source, watcher or Silent(), also)
        return train(program, source, out, resume=begun, watcher=watcher, ranks=ranks)


def _make_ready(config: Config, out: Path, resume: bool, begun: bool) -> None:
    """Make the folder of a new run, or let one begin again that came to no checkpoint."""
    if not resume:
        create_run(out, config)
        trust_own(config.model_dump(mode="json"))
    elif not begun:
        cut_metrics(out, 0)
        (out / ORIGIN).unlink(missing_ok=True)


def _killed_at_once(run: Path) -> bool:
    """Whether a run ended before its first checkpoint was due: it begins again, and loses nothing.

    A run that should have checkpoints and has none is something else, and is told of.
    """
    own = run_config(run).train  # others may be asked for now
    due = min(own.checkpoint_every, own.steps)
    # The step is logged before its checkpoint is written.
    return not all_checkpoints(run) and last_logged(run) <= due


class _ContactSheets:
    """Writes a contact sheet wherever pictures are due, and passes everything on."""

    def __init__(
        self,
        config: Config,
        run: Path,
        source: ClipSource,
        watcher: Watcher,
        also: Callable[[int, Program], None] | None,
    ) -> None:
        self.frames = frames_needed(config.train)
        self.images = run / "images"
        self.source = open_unseen(config.data, source)
        self.watcher = watcher
        self.also = also

    def began(self, step: int) -> None:
        """Pass it on."""
        self.watcher.began(step)

    def stepped(self, step: int, figures: Mapping[str, float]) -> None:
        """Pass it on."""
        self.watcher.stepped(step, figures)

    def pictured(self, step: int, program: Program) -> None:
        """Show a clip that is not trained on, where there are such."""
        snapshot(program, self.source, self.frames, self.images / f"step_{step:07d}.png")
        if self.also is not None:
            self.also(step, program)
        self.watcher.pictured(step, program)
