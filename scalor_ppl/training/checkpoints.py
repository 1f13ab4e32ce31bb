"""Checkpoints: a folder each, written whole or not at all.

``weights.safetensors`` holds the parameters (``model.*`` and ``guide.*``); ``training.pt`` what a
resumed run needs to go on bit for bit: optimizer, random state, counts. Neither can run code when
it is read. A reader of a run that is being trained finds whole checkpoints only: an old one is
renamed before it is deleted.
"""

import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from scalor_ppl.errors import UserError
from scalor_ppl.files import explained
from scalor_ppl.nn.older import completed

WEIGHTS = "weights.safetensors"
TRAINING = "training.pt"
KEPT = 2
RETRIES = 10  # checkpoints that may go while a reader looks


def checkpoint_folder(run: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` steps lies."""
    return run / "checkpoints" / f"step_{step:07d}"


def step_of(folder: Path) -> int:
    """The number of steps after which a checkpoint was made."""
    return int(folder.name.removeprefix("step_"))


def save_checkpoint(
    run: Path, step: int, parts: dict[str, nn.Module], training: dict[str, Any]
) -> Path:
    """Write a checkpoint and drop all but the last few.

    Args:
        run: the run's folder.
        step: steps done.
        parts: modules whose parameters and buffers are kept, by name.
        training: tensors, numbers and containers of them.

    Raises:
        UserError: the disk takes no more; checkpoints before this one are as they were.
    """
    folder = checkpoint_folder(run, step)
    for stale in folder.parent.glob(".step_*"):  # of a run that was killed in the middle
        shutil.rmtree(stale, ignore_errors=True)
    weights = {
        f"{part}.{name}": tensor.detach().contiguous()
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    # In memory first: what a full disk says is then the system's own word, not a library's.
    buffer = io.BytesIO()
    torch.save({"step": step, **training}, buffer)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        with explained(folder, "mend that and go on with --resume", lent=temporary):
            temporary.mkdir(parents=True)
            _write(temporary / WEIGHTS, to_bytes(weights))
            _write(temporary / TRAINING, buffer.getvalue())
            if folder.exists():
                _drop(folder)
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in all_checkpoints(run)[:-KEPT]:
        _drop(old)
    return folder


def last_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run.

    Raises:
        UserError: the run has none.
    """
    found = all_checkpoints(run)
    if not found:
        raise UserError(
            f"{run} has no checkpoint: delete it and train again, with a smaller "
            "train.checkpoint_every if training was killed before the first one"
        )
    return found[-1]


def load_newest(run: Path, parts: dict[str, nn.Module]) -> Path:
    """Fill modules with the newest parameters of a run, which may be in training meanwhile.

    Returns:
        The checkpoint that they are of.

    Raises:
        UserError: the run has no checkpoint, or the newest cannot be used.
    """
    for _ in range(RETRIES):
        folder = last_checkpoint(run)
        try:
            load_weights(folder, parts)
        except UserError:
            if folder.exists():
                raise
        else:
            return folder
    raise UserError(f"{run} writes checkpoints faster than they can be read: try again later")


def begin_from(run: Path, parts: dict[str, nn.Module]) -> None:
    """Fill modules with another run's parameters, as far as it has them.

    Raises:
        UserError: the run cannot be used, has parameters that have no place here, or parameters of
            another shape.
    """
    path = last_checkpoint(run) / WEIGHTS
    weights = _read_weights(path)
    for part, module in parts.items():
        own, theirs = module.state_dict(), completed(module, _of_part(weights, part))
        difference = _difference({name: own[name] for name in own if name in theirs}, theirs)
        if difference:
            raise UserError(
                f"{path} cannot be begun from: the {part}'s {difference}; use a configuration that "
                "has what the run has"
            )
        module.load_state_dict(own | theirs)


def load_weights(folder: Path, parts: dict[str, nn.Module]) -> None:
    """Fill modules with a checkpoint's parameters.

    Raises:
        UserError: the file is missing, cut short, or from another configuration, or a parameter is
            not finite.
    """
    path = folder / WEIGHTS
    weights = _read_weights(path)
    for part, module in parts.items():
        own = module.state_dict()
        theirs = completed(module, _of_part(weights, part))
        difference = _difference(own, theirs)
        if difference:
            raise UserError(
                f"{path} is from another configuration: the {part}'s {difference}; use the "
                "configuration that it was trained with"
            )
        for name, tensor in theirs.items():
            if not torch.isfinite(tensor).all():
                raise UserError(
                    f"{path} holds numbers that are not finite, first in {part}.{name}: delete "
                    f"{folder} to go back to the checkpoint before it"
                )
        module.load_state_dict(theirs)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): it is missing or cut short; delete {path.parent} to "
            "go back to the checkpoint before it"
        ) from None


def _of_part(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """The weights of one part, by their names within it."""
    start = f"{part}."
    return {n.removeprefix(start): tensor for n, tensor in weights.items() if n.startswith(start)}


def load_training(folder: Path) -> dict[str, Any]:
    """What :func:`save_checkpoint` was given as ``training``, and ``step``.

    Raises:
        UserError: the file is missing or cut short.
    """
    path = folder / TRAINING
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(found, dict) or not isinstance(found.get("step"), int):
            raise ValueError("it holds something else")
        return found
    except Exception as error:  # whatever spoilt bytes make the unpickler do
        reason = str(error).partition(". ")[0] or type(error).__name__
        raise UserError(
            f"{path} cannot be read ({reason}): it is missing or cut short; delete {folder} to go "
            "back to the checkpoint before it"
        ) from None


def _difference(own: dict[str, Tensor], theirs: dict[str, Tensor]) -> str | None:
    for name in sorted(own.keys() | theirs.keys()):
        if name not in theirs:
            return f"{name} is missing"
        if name not in own:
            return f"{name} is unknown here"
        if own[name].shape != theirs[name].shape:
            return f"{name} is {tuple(theirs[name].shape)}, not {tuple(own[name].shape)}"
    return None


def all_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((run / "checkpoints").glob("step_*"))


def _write(path: Path, data: bytes) -> None:
    """Write a file; the bytes reach the disk before the folder gets its final name."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _drop(folder: Path) -> None:
    """Delete a checkpoint: it is gone at once, and its bytes after that."""
    going = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        folder.rename(going)
    except OSError:
        going = folder
    shutil.rmtree(going, ignore_errors=True)
