"""The training loop: SVI with a torch optimizer, schedules, checkpoints, and a calm end.

Deterministic by seed: batch number i is a pure function of the data's seed and i, and a resumed
run restores the optimizer and the random state, so that on a CPU it goes on bit for bit. Several
processes (see parallel.ranks) run this loop side by side, each on its share of every batch; what
decides how it goes on is the same in all of them.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from scalor_ppl.config.schedules import value_at
from scalor_ppl.config.schema import TrainConfig
from scalor_ppl.data import Batch, ClipSource, batches
from scalor_ppl.data.batches import Share, place_of
from scalor_ppl.errors import NotFiniteError, TrainingError, UserError
from scalor_ppl.nn.pixels import to_device, to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.culprits import culprit, parameters_culprit
from scalor_ppl.objectives.estimate import Estimate
from scalor_ppl.objectives.particles import ParticleEstimator
from scalor_ppl.parallel.ranks import ALONE, Ranks
from scalor_ppl.programs import Memory, Program
from scalor_ppl.training.checkpoints import (
    all_checkpoints,
    checkpoint_folder,
    last_checkpoint,
    load_training,
    load_weights,
    save_checkpoint,
)
from scalor_ppl.training.collector import long_lived_set_aside
from scalor_ppl.training.origin import note_part
from scalor_ppl.training.runs import (
    CONFIG,
    append_metrics,
    cut_metrics,
    run_config,
    write_config,
)
from scalor_ppl.training.signals import stop_signals
from scalor_ppl.training.state import Progress, check_alike, pack, unpack
from scalor_ppl.training.step import TrainingStep, Update

log = logging.getLogger(__name__)

ECHO = 10.0
"""Seconds in which several processes take a signal that comes again for the same one."""


class Watcher(Protocol):
    """Who is told how training goes (the command line's progress, a notebook, a test)."""

    def began(self, step: int) -> None:
        """Everything is ready; so many steps were done before, which is 0 but for a resumed run."""

    def stepped(self, step: int, figures: Mapping[str, float]) -> None:
        """A logged step is done: its number and its figures."""

    def pictured(self, step: int, program: Program) -> None:
        """It is time for pictures of what the program makes of the data."""


class Silent:
    """A watcher that says nothing."""

    def began(self, step: int) -> None:
        """Nothing."""

    def stepped(self, step: int, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def pictured(self, step: int, program: Program) -> None:
        """Nothing."""


@dataclass
class Outcome:
    """How a training ended.

    Attributes:
        step: steps done.
        skipped: steps left out because a loss or gradient was not finite.
        interrupted: whether a signal ended it.
        checkpoint: the last checkpoint.
        minutes: wall-clock time of the training, with its checkpoints and pictures; that of the
            parts before an interruption included, from checkpoint to checkpoint.
        figures: of the last logged step.
    """

    step: int
    skipped: int
    interrupted: bool
    checkpoint: Path
    minutes: float
    figures: dict[str, float] = field(default_factory=dict)


def train(
    program: Program,
    source: ClipSource,
    run: Path,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    ranks: Ranks = ALONE,
) -> Outcome:
    """Train a program on a source of clips; write figures and checkpoints into the run's folder.

    Args:
        program: fresh from ``build_program``, or with the weights of ``train.initial``.
        source: of training clips.
        run: the run's folder, made by ``create_run``.
        resume: go on from the run's newest checkpoint.
        watcher: told of progress, by the first rank alone.
        ranks: that train together; all call this, the first alone writes.

    Returns:
        How it ended; SIGINT and SIGTERM end it after the step at hand, with a checkpoint.

    Raises:
        TrainingError: ``train.patience`` steps in a row were not finite.
        UserError: the checkpoint cannot be used, the source is too short, or the batch cannot be
            shared by so many ranks.
        RankLostError: another rank has ended or does not answer.
    """
    with ranks.reaching():
        return _Training(program, source, run, watcher or Silent(), ranks).run_all(resume)


class _Training:
    """The state of one training."""

    def __init__(
        self, program: Program, source: ClipSource, run: Path, watcher: Watcher, ranks: Ranks
    ) -> None:
        self.program = program
        self.config: TrainConfig = program.config.train
        self.source = source
        self.run = run
        self.watcher = watcher
        self.ranks = ranks
        self.progress = Progress()
        self.step = TrainingStep(program, ranks)
        if self.config.chunks > 1 and not isinstance(self.step.estimator, ParticleEstimator):
            raise UserError(
                f"train.chunks = {self.config.chunks} wants an estimator of this package: "
                f"{self.config.estimator} does not tell what to go on with"
            )
        # After the clips of the step before, where they are to go on (``train.chunks``).
        self.memory: Memory | None = None
        # What was found at the last step that was not finite.
        self.found = ""

    def run_all(self, resume: bool) -> Outcome:
        """Train to the end, or until a signal comes."""
        config = self.config
        torch.manual_seed(config.seed)
        checkpoint: Path | None = None
        if resume:
            checkpoint = self._restore()
        elif config.initial is None:  # otherwise it has been begun by another run's weights
            self.program.begin(self.source)
        check_alike(self.progress, self.step)
        if not resume and not self.ranks.first:
            torch.manual_seed(self.ranks.seed(config.seed, 0))
        if self.ranks.first:
            self._begin(resume)
        figures: dict[str, float] = {}
        stream = batches(
            self.source,
            batch=config.batch,
            frames=lambda step: round(value_at(config.frames, step, config.steps)),
            seed=config.seed,
            start=self.progress.step,
            augment=self.program.config.data.augment,
            upright=self.program.config.upright,
            chunks=config.chunks,
            chunks_from=config.chunks_from,
            share=Share(self.ranks.rank, self.ranks.count),
        )
        echo = ECHO if self.ranks.several else 0.0
        with fast_pyro(), long_lived_set_aside(), stop_signals(echo) as asked:

            def stopped() -> bool:
                return self.ranks.any(asked())

            self.progress.begin()
            try:
                while self.progress.step < config.steps and not stopped():
                    figures = self._step(next(stream)) or figures
                    checkpoint = self._afterwards(figures) or checkpoint
            finally:
                stream.close()
            if checkpoint != checkpoint_folder(self.run, self.progress.step):
                checkpoint = self._save()
            interrupted = stopped()  # by which the checkpoint is there for all
        return Outcome(
            self.progress.step,
            self.progress.skipped,
            interrupted,
            checkpoint,
            self.progress.seconds / 60,
            figures,
        )

    def _begin(self, resume: bool) -> None:
        """Bring the run's files into the state that training begins or goes on with."""
        if resume:
            cut_metrics(self.run, self.progress.step)
            if self.program.config != run_config(self.run):  # another number of steps
                write_config(self.run, self.program.config)
        if self.progress.step < self.config.steps:
            note_part(self.run, self.progress.step, self.program.device, self.ranks.count)
        self.watcher.began(self.progress.step)

    def _step(self, batch: Batch) -> dict[str, float] | None:
        """One optimizer step; its figures where it is a logged one."""
        config, step = self.config, self.progress.step
        driven = self.step.drive_to(step)
        rate = value_at(config.learning_rate, step, config.steps)
        rate *= min(1.0, (step + 1) / (config.warmup + 1))
        for group in self.step.optimizer.param_groups:
            group["lr"] = rate
        video = to_video(batch.video, self.program.device)
        where = None if batch.corner is None else to_device(batch.corner, video.device)
        arguments = self.program.inputs(video, where)
        told = (step + 1) % config.log_every == 0 or step + 1 == config.steps
        estimate = self._estimate(arguments, told)
        own_loss = self.step.per_frame(estimate.loss, video)
        self.step.backward(own_loss)
        update = self.step.update(own_loss)
        if update.finite:
            self.progress.in_a_row = 0
        else:
            self._skip(update, arguments, estimate)
        self.progress.step += 1
        if update.finite and told:
            figures = {
                "loss": update.loss.item(),
                "gradient_norm": update.norm.item(),
                "learning_rate": rate,
                **driven,
            }
            return self._logged(estimate, figures, video.shape[0] * video.shape[1])
        return None

    def _estimate(self, arguments: tuple[Tensor, ...], told: bool) -> Estimate:
        """The objective of all clips; where chunks follow one another, the memory goes on.

        Args:
            arguments: of the program.
            told: whether it is to be logged, for which traces are wanted.
        """
        place = place_of(self.progress.step, self.config.chunks, self.config.chunks_from)
        if place.chunks == 1:
            return self.step.estimate(*arguments, traces=told)
        before = self.memory if place.chunk else None
        estimate = self.step.estimate(*arguments, traces=told, memory=before)
        self.memory = None
        if place.chunk + 1 == place.chunks:
            return estimate
        if estimate.memory is not None:
            self.memory = estimate.memory.detached()
        # With neither nothing could be drawn: the step is skipped.
        elif estimate.traces is not None:
            self.memory = self.program.remembered(
                before, arguments[0].shape[1], estimate.scene, estimate.inferred
            )
        return estimate

    def _logged(
        self, estimate: Estimate, figures: dict[str, float], frames: int
    ) -> dict[str, float]:
        """The figures of a step, with those of its estimate, written and told."""
        worked = self.progress.processor_seconds
        figures = {
            "step": self.progress.step,
            "seconds": round(self.progress.seconds, 3),
            **({} if worked is None else {"processor_seconds": round(worked, 3)}),
            **figures,
            "skipped": self.progress.skipped,
        }
        own = {name: value / frames for name, value in estimate.parts().items()}
        if estimate.scene is not None:
            own |= self.program.figures(estimate.scene)
        figures |= self.ranks.mean_of(own)
        if self.ranks.first:
            append_metrics(self.run, figures)
            self.watcher.stepped(self.progress.step, figures)
        return figures

    def _afterwards(self, figures: Mapping[str, float]) -> Path | None:
        step, config = self.progress.step, self.config
        if self.ranks.first and config.image_every and step % config.image_every == 0:
            device = self.program.device
            with torch.random.fork_rng([device] if device.type == "cuda" else []):
                try:
                    self.watcher.pictured(step, self.program)
                except NotFiniteError as error:  # the steps that follow decide whether it heals
                    log.warning("no pictures after step %d: %s", step, error)
        # After a step that was not finite the parameters may be the reason: they are not "good".
        good = not self.progress.in_a_row
        return self._save() if good and step % config.checkpoint_every == 0 else None

    def _skip(self, update: Update, arguments: tuple[Tensor, ...], estimate: Estimate) -> None:
        """Count a step that was not finite, say why; give up after several in a row."""
        self.progress.skipped += 1
        self.progress.in_a_row += 1
        # Clips that follow would go on from numbers that are none.
        self.memory = None
        found = self._culprit(arguments, estimate)
        if self.progress.in_a_row < self.config.patience:
            if found != self.found and self.ranks.first:
                log.warning("step %d was skipped: %s", self.progress.step + 1, found)
            self.found = found
            return
        self.ranks.told(
            TrainingError(
                f"{self.progress.in_a_row} steps in a row were not finite "
                f"(loss {update.loss.item():.3g}, gradient norm {update.norm.item():.3g}; "
                f"{found}); lower train.learning_rate or train.clip, or raise model.sigma, "
                f"{self._way_on()}"
            )
        )

    def _culprit(self, arguments: tuple[Tensor, ...], estimate: Estimate) -> str:
        """What was not finite first; of several ranks that of one whose own clips did it."""
        found = culprit(self.program.parts, arguments, estimate.traces)
        found = found or "all parameters and gradients are finite, the loss is not"
        all_found = self.ranks.gathered((bool(torch.isfinite(estimate.loss)), found))
        return min(all_found, key=lambda each: each[0])[1]

    def _way_on(self) -> str:
        kept = all_checkpoints(self.run)
        if not kept:
            return "and train again: there is no checkpoint yet"
        return f"in {self.run / CONFIG} and --resume: the last good checkpoint is {kept[-1]}"

    def _save(self) -> Path:
        """Write a checkpoint, of parameters that can be used again.

        Raises:
            TrainingError: the last step left one that is not finite.
        """
        found = parameters_culprit(self.program.parts)
        if found is not None:
            self.ranks.told(
                TrainingError(
                    f"step {self.progress.step} left parameters that are not finite ({found}), "
                    "though loss and gradient were; no checkpoint was written; lower "
                    f"train.learning_rate, {self._way_on()}"
                )
            )
        training = pack(self.progress, self.step, self.memory)
        if not self.ranks.first:
            return checkpoint_folder(self.run, self.progress.step)
        return save_checkpoint(self.run, self.progress.step, self.program.parts, training)

    def _restore(self) -> Path:
        """Go on from the newest checkpoint, which is returned."""
        with self.ranks.together():
            folder = last_checkpoint(self.run)
            load_weights(folder, self.program.parts)
            try:
                self.progress, self.memory = unpack(
                    load_training(folder), self.step, self.config.seed
                )
            except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
                raise UserError(
                    f"{folder} does not fit this configuration ({error}); resume with the "
                    "configuration that it was trained with"
                ) from None
        return folder


def frames_needed(config: TrainConfig) -> int:
    """The longest clip of a training step."""
    if isinstance(config.frames, int):
        return config.frames
    return math.ceil(max(config.frames.start, config.frames.end))


def check_length(source: ClipSource, config: TrainConfig) -> None:
    """Complain now about a source that is too short for the longest clips of the training."""
    frames = config.chunks * frames_needed(config)
    if source.starts(frames) < 1:
        source.clip(0, frames)  # says what is wrong
