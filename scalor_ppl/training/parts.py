"""Training a part of a run alone: into a new run, or at the end of the same one."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from scalor_ppl.config.schema import Config
from scalor_ppl.data import ClipSource
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.programs import PartRecord, Program, Tell, TrainsParts, require
from scalor_ppl.results.locks import holds_nothing, owned_folder
from scalor_ppl.tracks.deviations import FILE as CALIBRATION
from scalor_ppl.tracks.deviations import read_calibration, write_calibration
from scalor_ppl.training.checkpoints import last_checkpoint, save_checkpoint, step_of
from scalor_ppl.training.devices import pick_device
from scalor_ppl.training.origin import note_part
from scalor_ppl.training.runs import (
    RECORDS,
    create_run,
    load_run,
    located,
    run_config,
    write_config,
)
from scalor_ppl.training.sources import open_data

Part = Literal["priors", "decoder", "background", "guide"]
STEPS = 1200  # of the phase, where nobody says how many


def phase_of(config: Config) -> int:
    """Steps of the phase that a configuration's training ends with; 0 where there is none."""
    phase = getattr(config.train, "priors", None)
    return 0 if phase is None else int(phase.steps)


def phase_left(run: Path) -> bool:
    """Whether a run's training is to end with a phase that it has not had."""
    return bool(phase_of(run_config(run))) and not (run / RECORDS["priors"]).is_file()


def with_phase(config: Config) -> Config:
    """The configuration with a phase for its priors, where it can have one."""
    phase = getattr(config.train, "priors", None)
    if phase is None or phase.steps:
        return config
    priors = phase.model_copy(update={"steps": STEPS})
    return config.model_copy(update={"train": config.train.model_copy(update={"priors": priors})})


def check_goes_on(run: Path) -> None:
    """Complain about a run that cannot go on, as a part of it was trained alone.

    Raises:
        UserError: it has the record of one.
    """
    if any((run / name).is_file() for name in RECORDS.values()):
        raise UserError(
            f"a part of {run} was trained alone, which ends a training: begin another --from {run}"
        )


def train_part(
    part: Part,
    run: Path,
    config: Config,
    out: Path,
    *,
    device: str = "auto",
    source: ClipSource | None = None,
    tell: Tell = lambda done, total, figures: None,
) -> PartRecord:
    """Train a part of a run at draws of its posterior; nothing is written before the end.

    Args:
        part: ``priors``, ``decoder``, ``background`` or ``guide``.
        run: trained, its folder or ``pretrained:NAME``.
        config: the run's own, with the settings of the training.
        out: folder of the run that results: a new one, or ``run`` itself, whose part is replaced.
        device: as ``pick_device`` takes it.
        source: of training clips, where it is open already.
        tell: of progress.

    Raises:
        UserError: the run is none, or has no such part, or ``out`` holds something else.
        TrainingError: a step was not finite.
    """
    where = pick_device(device)
    if out != run and not holds_nothing(out):
        raise UserError(f"{out} holds something: choose another --out")
    program = load_run(run, where)
    able = require(program.refined(0), TrainsParts, f"train --only {part}")
    _check_part(part, able.settings_of_parts[part], program.config, config)
    train = {
        "priors": able.with_trained_priors,
        "decoder": able.with_trained_decoder,
        "background": able.with_trained_background,
        "guide": able.with_trained_guide,
    }[part]
    source = source or open_data(config.data, "train")
    _check_size(source, program.config)
    with owned_folder(out):
        trained, record = train(config, source, tell)
        # Refinement was left out for the draws only.
        _write(part, run, out, trained.refined(program.refinement), record)
    return record


def _check_size(source: ClipSource, own: Config) -> None:
    """Complain about clips of another size than a program was trained on."""
    frames = f"{source.height} x {source.width}"
    known = f"{own.model.height} x {own.model.width}"
    if frames != known:
        raise UserError(
            f"{source.name} has frames of {frames}, the run was trained on {known}: give "
            f"--set data.resize=[{own.model.height},{own.model.width}], or other --data"
        )


def _check_part(part: Part, free: tuple[str, ...], own: Config, asked: Config) -> None:
    """Complain about settings that a training of a part leaves as they are.

    Args:
        part: that is trained.
        free: tables and settings that it may change.
        own: the run's.
        asked: what is asked for; what it does not say is the run's.

    Raises:
        UserError: names the first one that is other than the run's.
    """
    before, after = (_flat(each.model_dump(mode="json")) for each in (own, asked))
    for name, value in after.items():
        kept = not any(f"{name}.".startswith(f"{each}.") for each in ("data", "train", *free))
        if kept and value is not None and name in before and value != before[name]:
            raise UserError(
                f"--only {part} leaves {name} at {before[name]}, not {value}: leave it out; it "
                f"goes by {' and '.join((*free, f'train.{part}'))}"
            )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def _keep_calibration(part: Part, before: Path, out: Path) -> None:
    """Keep of the stored calibrations those that still hold.

    Positions do not depend on the priors; on the background they do where they are refined, and on
    decoder and guide always.
    """
    if part == "priors":
        if (before / CALIBRATION).is_file() and not (out / CALIBRATION).exists():
            shutil.copyfile(before / CALIBRATION, out / CALIBRATION)
        return
    unrefined = read_calibration(before, 0) if part == "background" else None
    (out / CALIBRATION).unlink(missing_ok=True)
    if unrefined is not None:
        write_calibration(out, unrefined)


def _write(part: Part, run: Path, out: Path, trained: Program, record: PartRecord) -> None:
    """The folder of the run that results: configuration, weights, records, calibration."""
    before = located(run)
    step, config = step_of(last_checkpoint(before)), trained.config
    if out != run:
        create_run(out, config)
        for name in RECORDS.values():
            if (before / name).is_file():
                shutil.copyfile(before / name, out / name)
    _keep_calibration(part, before, out)
    # There is no optimizer to go on with: a training that goes on begins `--from` this run.
    save_checkpoint(out, step, trained.parts, {})
    write_config(out, config)
    note_part(out, step, trained.device)
    with written_whole(out / RECORDS[part]) as path:
        path.write_text(json.dumps(record._asdict(), indent=2), encoding="utf-8")
