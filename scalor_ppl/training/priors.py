"""Training the priors of a run alone: a new run, or the end of the same one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from scalor_ppl.config.schema import Config
from scalor_ppl.data import ClipSource
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.programs import PriorsRecord, Program, TrainsPriors, require
from scalor_ppl.results.locks import holds_nothing, owned_folder
from scalor_ppl.tracks.deviations import FILE as CALIBRATION
from scalor_ppl.training.checkpoints import last_checkpoint, save_checkpoint, step_of
from scalor_ppl.training.devices import pick_device
from scalor_ppl.training.origin import note_part
from scalor_ppl.training.runs import create_run, load_run, located, write_config
from scalor_ppl.training.sources import open_data

RECORD = "priors.json"
STEPS = 1200  # of the phase, where nobody says how many


def phase_of(config: Config) -> int:
    """Steps of the phase that a configuration's training ends with; 0 where there is none."""
    phase = getattr(config.train, "priors", None)
    return 0 if phase is None else int(phase.steps)


def with_phase(config: Config) -> Config:
    """The configuration with a phase for its priors, where it can have one."""
    phase = getattr(config.train, "priors", None)
    if phase is None or phase.steps:
        return config
    priors = phase.model_copy(update={"steps": STEPS})
    return config.model_copy(update={"train": config.train.model_copy(update={"priors": priors})})


def train_priors_of(
    run: Path,
    config: Config,
    out: Path,
    *,
    device: str = "auto",
    source: ClipSource | None = None,
    tell: Callable[[int, int, str], None] = lambda done, total, figures: None,
) -> PriorsRecord:
    """Train the priors of a run at draws of its posterior; nothing is written before the end.

    Args:
        run: trained, its folder or ``pretrained:NAME``.
        config: the run's own, with the settings of the phase.
        out: folder of the run that results: a new one, or ``run`` itself, whose priors are
            replaced.
        device: as ``pick_device`` takes it.
        source: of training clips, where it is open already.
        tell: gets how much is done, of how much, and figures.

    Raises:
        UserError: the run is none, or has no such priors, or ``out`` holds something else.
        TrainingError: a step was not finite.
    """
    where = pick_device(device)
    if out != run and not holds_nothing(out):
        raise UserError(f"{out} holds something: choose another --out")
    program = load_run(run, where, refine=0)
    program = program.on(
        program.config.model_copy(update={"train": config.train, "data": config.data})
    )
    able = require(program, TrainsPriors, "train --only priors")
    with owned_folder(out):
        trained, record = able.with_trained_priors(source or open_data(config.data, "train"), tell)
        # Refinement was left out for the draws only.
        final = config.model_copy(update={"prior": trained.config.prior})
        _write(run, out, trained.on(final), record)
    return record


def _write(run: Path, out: Path, trained: Program, record: PriorsRecord) -> None:
    """The folder of the run that results: configuration, weights, record, calibration."""
    step, config = step_of(last_checkpoint(located(run))), trained.config
    if out != run:
        create_run(out, config)
        if (located(run) / CALIBRATION).is_file():
            shutil.copyfile(located(run) / CALIBRATION, out / CALIBRATION)
    # There is no optimizer to go on with: a training that goes on begins `--from` this run.
    save_checkpoint(out, step, trained.parts, {})
    write_config(out, config)
    note_part(out, step, trained.device)
    with written_whole(out / RECORD) as path:
        path.write_text(json.dumps(record._asdict(), indent=2), encoding="utf-8")
