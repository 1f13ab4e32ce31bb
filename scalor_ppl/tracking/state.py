"""Where an interrupted tracking stands, in a file beside the tracks."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scalor_ppl.data.frames import find_sequences
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.programs import Memory, Program
from scalor_ppl.programs.memory import mapped
from scalor_ppl.tracking.outputs import GO_ON


@dataclass(frozen=True)
class State:
    """What is needed to go on.

    Attributes:
        memory: after the frames that are done.
        identities: likewise, see `Tracked.identities`.
        gaps: likewise, see `Tracked.gaps`.
        outputs: what each output's `sync` gave.
        fingerprint: what was tracked, with what and how, in words.
        complete: whether all frames are done, and only the files are to be finished.
    """

    memory: Memory
    identities: dict[str, Any] | None
    gaps: dict[str, Any] | None
    outputs: dict[str, dict[str, Any]]
    fingerprint: dict[str, str]
    complete: bool


def save_state(path: Path, state: State, program: Program) -> None:
    """Write a state, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    stored = {
        # A copy: of a part of a tensor, all of it would be stored.
        "memory": mapped(torch.clone, program.packed(state.memory)),
        "identities": state.identities,
        "gaps": state.gaps,
        "outputs": state.outputs,
        "fingerprint": state.fingerprint,
        "complete": state.complete,
    }
    with written_whole(path, GO_ON) as lent, lent.open("wb") as file:
        torch.save(stored, file)
        file.flush()
        os.fsync(file.fileno())


def load_state(path: Path, program: Program) -> State:
    """Read a state.

    Raises:
        UserError: there is none, or it is no state.
    """
    if not path.is_file():
        raise UserError(f"there is no {path} to go on from: leave --resume out")
    try:
        stored = torch.load(path, weights_only=True, map_location=program.device)
        memory = program.unpacked(stored["memory"])
        names = ("identities", "gaps", "outputs", "fingerprint", "complete")
        return State(memory, *(stored[name] for name in names))
    except Exception as error:  # whatever spoilt bytes make the unpickler do
        reason = str(error).partition(". ")[0] or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}): begin anew with --overwrite") from None


def check_same(path: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Complain where another tracking is asked for than the one that was interrupted.

    Raises:
        UserError: names what differs.
    """
    different = [
        f"{name} (was {before.get(name, 'not asked')}, is {value})"
        if name.startswith("--")
        else name
        for name, value in now.items()
        if before.get(name) != value
    ]
    if different:
        raise UserError(
            f"{path} is of another tracking: {', '.join(different)} changed; give what it was "
            "begun with, or begin anew with --overwrite"
        )


def describe_program(program: Program) -> dict[str, str]:
    """Digests of a run's configuration, weights and calibration, by what they are called."""
    configuration = hashlib.sha256(
        # Settings that came with a later version, and are as they always were, change nothing.
        program.config.model_dump_json(exclude_defaults=True).encode()
    )
    weights = hashlib.sha256()
    for part, module in program.parts.items():
        for name, tensor in sorted(module.state_dict().items()):
            weights.update(f"{part}.{name}{tuple(tensor.shape)}".encode())
            weights.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    found = {
        "the run's configuration": configuration.hexdigest()[:16],
        "the run's weights": weights.hexdigest()[:16],
    }
    if program.calibration is not None:
        calibration = hashlib.sha256(repr(program.calibration).encode())
        found["the run's calibration"] = calibration.hexdigest()[:16]
    return found


def describe_video(path: Path) -> dict[str, str]:
    """Digest of names, sizes and times of a recording's files, by what it is called."""
    digest = hashlib.sha256()
    for sequence in find_sequences(path):
        for file in sequence.files:
            about = file.stat()
            digest.update(f"{file.name} {about.st_size} {about.st_mtime_ns}\n".encode())
    return {"the video": digest.hexdigest()[:16]}
