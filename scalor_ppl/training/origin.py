"""Where a run was trained: machine, versions and commit of each part of its training."""

import json
from pathlib import Path
from typing import Any

import torch

from scalor_ppl.environment import commit, environment
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole

ORIGIN = "origin.json"


def note_part(run: Path, step: int, device: torch.device, processes: int = 1) -> None:
    """Note that training begins, or goes on after ``step`` steps, here and now."""
    part = {"step": step, "commit": commit(), **environment(device)}
    if processes > 1:
        part["processes"] = processes
    parts = [*read_parts(run), part]
    with written_whole(run / ORIGIN) as path:
        path.write_text(json.dumps(parts, indent=2))


def read_parts(run: Path) -> list[dict[str, Any]]:
    """The parts of a run's training, in order; none where the run does not say.

    Raises:
        UserError: the file is spoilt.
    """
    path = run / ORIGIN
    if not path.is_file():
        return []
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error}): delete it, or mend it") from None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise UserError(f"{path} is no list of the parts of a training: delete it, or mend it")
    return parts
