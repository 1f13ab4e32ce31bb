"""The folder of a run: its configuration, figures, pictures and checkpoints.

runs/NAME/config.toml       the resolved configuration
runs/NAME/metrics.jsonl     one line per logged step
runs/NAME/images/           contact sheets
runs/NAME/checkpoints/      see checkpoints
runs/NAME/calibration.json  what makes standard deviations honest, where that was fitted
runs/NAME/priors.json       what a training of its priors alone was
runs/NAME/decoder.json      likewise of its decoder; background.json of its background
runs/NAME/origin.json       machine, versions and commit of each part of the training

``pretrained:NAME`` in the place of a folder is a run that ships with the package: configuration,
weights and calibration only.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w
import torch
from safetensors.torch import load_file, save_file

from scalor_ppl.config.schema import Config
from scalor_ppl.config.settings import nearest
from scalor_ppl.errors import UserError
from scalor_ppl.files import check_writable, explained, written_whole
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import read_config
from scalor_ppl.results.locks import holds_nothing
from scalor_ppl.tracks.deviations import FILE as CALIBRATION
from scalor_ppl.tracks.deviations import read_calibration
from scalor_ppl.training.checkpoints import WEIGHTS, last_checkpoint, load_newest, step_of

CONFIG = "config.toml"
METRICS = "metrics.jsonl"
# Of parts that were trained alone.
RECORDS = {part: f"{part}.json" for part in ("priors", "decoder", "background", "guide")}
SHIPPED = "pretrained:"
LARGEST = 3_000_000  # bytes of a program that ships with the package


def load_run(
    run: Path, device: torch.device, *, refine: int | None = None, compiled: bool = False
) -> Program:
    """The trained program of a run, from its newest checkpoint, calibrated where it is.

    Args:
        run: its folder, or ``pretrained:NAME``.
        device: to put it on.
        refine: steps of gradient that better what the networks infer of a frame, in place of the
            run's own ``guide.refine``.
        compiled: compile what can be of its inference, at first use; see ``Program.compiled``.

    Raises:
        UserError: the folder is no run, or its checkpoint cannot be used.
    """
    run = located(run)
    program = build_program(run_config(run), device)
    folder = load_newest(run, program.parts)
    program.drive_to(step_of(folder))
    program.model.eval()
    program.guide.eval()
    program = program if refine is None else program.refined(refine)
    program = program.compiled() if compiled else program
    return replace(program, calibration=read_calibration(run, program.refinement))


def run_config(run: Path) -> Config:
    """The resolved configuration of a run.

    Raises:
        UserError: there is no such folder, or it is not a run.
    """
    run = located(run)
    if not run.is_dir():
        raise UserError(f"no such run: {run}; train one with: scalor-ppl train --out {run}")
    if not (run / CONFIG).is_file():
        raise UserError(f"{run} is not a run: it has no {CONFIG}")
    return read_config(run / CONFIG)


def located(run: Path) -> Path:
    """The folder of a run: itself, or that of ``pretrained:NAME`` inside the package.

    Raises:
        UserError: no program of that name ships with the package.
    """
    name = str(run)
    if not name.startswith(SHIPPED):
        return run
    name = name.removeprefix(SHIPPED)
    if name not in pretrained_names():
        raise UserError(f"no pretrained program named {name!r}{nearest(name, pretrained_names())}")
    return _pretrained() / name


def own_folder(run: Path) -> Path:
    """Where what is made of a run goes: its folder; for a shipped one a folder of its name here."""
    return Path(str(run).removeprefix(SHIPPED))


def pretrained_names() -> list[str]:
    """Names of the trained programs that ship with the package."""
    return sorted(p.name for p in _pretrained().iterdir() if (p / CONFIG).is_file())


def _pretrained() -> Path:
    return Path(str(files("scalor_ppl.pretrained")))


def check_export(folder: Path) -> None:
    """Complain now about a folder that an export must not replace.

    Raises:
        UserError: something else than a former export is there.
    """
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    known = {CONFIG, CALIBRATION, "checkpoints", *RECORDS.values()}
    training = list(folder.glob("checkpoints/*/training.pt"))
    if folder.exists() and (not folder.is_dir() or held - known or training):
        raise UserError(f"{folder} is there and no former export: choose another --export")
    check_writable(folder / CONFIG)


def export_run(run: Path, folder: Path) -> None:
    """Copy what is needed to use a run: configuration, newest weights, calibration; no more.

    Weights that would take more than ``LARGEST`` bytes are rounded to half precision.

    Args:
        run: a trained run on a registered set.
        folder: to be made; a former export there is replaced, whole.

    Raises:
        UserError: the run is none, or the folder holds something else or cannot be written.
    """
    config, checkpoint = run_config(run), last_checkpoint(run)
    check_export(folder)
    weights = load_file(checkpoint / WEIGHTS)
    if (checkpoint / WEIGHTS).stat().st_size > LARGEST:
        weights = {name: tensor.half() for name, tensor in weights.items()}
    data = config.data.model_copy(update={"folder": None})
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".export-", dir=folder.parent) as temporary:
        made = Path(temporary) / "run"
        target = made / "checkpoints" / checkpoint.name
        target.mkdir(parents=True)
        save_file(weights, target / WEIGHTS)
        # Where it began is a folder of this machine.
        train = config.train.model_copy(update={"initial": None})
        write_config(made, config.model_copy(update={"data": data, "train": train}))
        for name in (CALIBRATION, *RECORDS.values()):
            if (located(run) / name).is_file():
                shutil.copyfile(located(run) / name, made / name)
        if folder.exists():
            folder.rename(Path(temporary) / "former")
        made.rename(folder)


def create_run(run: Path, config: Config) -> None:
    """Make the folder of a new run.

    Raises:
        UserError: the folder exists and holds something, or it cannot be made.
    """
    if not holds_nothing(run):
        if (run / CONFIG).is_file():
            raise UserError(f"{run} is a run already: go on with --resume, or choose another --out")
        raise UserError(f"{run} exists and is not a run: choose another --out")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot make {run}: {reason}; choose another --out") from None
    write_config(run, config)


def write_config(run: Path, config: Config) -> None:
    """Write the resolved configuration of a run."""
    document = tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
    with written_whole(run / CONFIG) as path:
        path.write_text(document, encoding="utf-8")


def append_metrics(run: Path, line: Mapping[str, Any]) -> None:
    """Add a line to the run's figures."""
    path = run / METRICS
    with explained(path, "mend that and go on with --resume"), path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def last_logged(run: Path) -> int:
    """The last step of a run that was logged; 0 where none was."""
    path, last = run / METRICS, 0
    lines = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in lines.splitlines():
        try:
            last = max(last, int(json.loads(line)["step"]))
        except (ValueError, KeyError, TypeError):
            continue  # cut short in the middle of a line
    return last


def cut_metrics(run: Path, step: int) -> None:
    """Drop figures after a step: those of an interrupted run that its checkpoint does not hold."""
    path = run / METRICS
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # cut short in the middle of a line
    with written_whole(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
