"""What a training goes on from beside its weights: counts, optimizer, random state, memory.

All ranks take the same steps, so that counts and optimizer are one; each has a random state and a
memory of its own. A checkpoint holds those of the first as if it were alone, and those of the
others beside them.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import torch
from torch import nn

from scalor_ppl.errors import UserError
from scalor_ppl.programs import Memory
from scalor_ppl.programs.memory import mapped
from scalor_ppl.training.step import TrainingStep

log = logging.getLogger(__name__)

OTHERS = "other_ranks"


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: steps done.
        skipped: those left out because they were not finite.
        in_a_row: how many of these were the last ones.
        before: seconds of the parts before this one.
        since: reading of the clock at the beginning of this part.
        worked_before: processor seconds of the parts before; none where one did not count them.
        worked_since: reading of the processor's clock at the beginning of this part.
    """

    step: int = 0
    skipped: int = 0
    in_a_row: int = 0
    before: float = 0.0
    since: float = 0.0
    worked_before: float | None = 0.0
    worked_since: float = 0.0

    def begin(self) -> None:
        """Let this part begin now."""
        self.since = time.perf_counter()
        self.worked_since = time.process_time()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training up to now."""
        return self.before + time.perf_counter() - self.since

    @property
    def processor_seconds(self) -> float | None:
        """What processors worked for it up to now, in seconds, all threads together.

        Where other programs run, too, this says better than the clock what a training cost.
        """
        if self.worked_before is None:
            return None
        return self.worked_before + time.process_time() - self.worked_since


def pack(progress: Progress, step: TrainingStep, memory: Memory | None) -> dict[str, Any]:
    """What a checkpoint holds of a training; collective over ranks.

    Args:
        progress: of the training.
        step: with its optimizer, program and ranks.
        memory: that this rank goes on with; none at the end of its clips.
    """
    own = {"random": torch.get_rng_state()}
    if memory is not None:
        own["memory"] = step.program.packed(_on(torch.device("cpu"), memory))
    if step.program.device.type == "cuda":
        own["random_cuda"] = torch.cuda.get_rng_state(step.program.device)
    first, *others = step.ranks.gathered(own)
    training = {
        "optimizer": step.optimizer.state_dict(),
        "skipped": progress.skipped,
        "in_a_row": progress.in_a_row,
        "seconds": progress.seconds,
        "processor_seconds": progress.processor_seconds,
        **first,
    }
    return training | {OTHERS: others} if others else training


def unpack(
    training: Mapping[str, Any], step: TrainingStep, seed: int
) -> tuple[Progress, Memory | None]:
    """Go on from what :func:`pack` gave, with the same number of ranks or another one.

    Args:
        training: what it gave, and the step after which that was.
        step: whose optimizer is filled.
        seed: of noise that no rank had before.

    Returns:
        The progress, and the memory that this rank goes on with. With another number of ranks
        clips are shared otherwise: none then has a memory of its own.

    Raises:
        KeyError, ValueError, TypeError, RuntimeError, AttributeError: it does not fit.
    """
    step.optimizer.load_state_dict(training["optimizer"])
    progress = Progress(
        training["step"],
        training["skipped"],
        training["in_a_row"],
        training["seconds"],
        worked_before=training.get("processor_seconds"),
    )
    ranks, device = step.ranks, step.program.device
    states = [training, *training.get(OTHERS, [])]
    if ranks.rank >= len(states):
        torch.manual_seed(ranks.seed(seed, progress.step))
        return progress, None
    own = states[ranks.rank]
    torch.set_rng_state(own["random"])
    if "random_cuda" in own and device.type == "cuda":
        torch.cuda.set_rng_state(own["random_cuda"], device)
    if "memory" not in own:
        return progress, None
    if len(states) != ranks.count:
        if ranks.first:
            log.warning(
                "the checkpoint is of another number of processes (%d, not %d), in the middle of "
                "their clips: what is left of these clips begins without what came before in them",
                len(states),
                ranks.count,
            )
        return progress, None
    return progress, _on(device, step.program.unpacked(own["memory"]))


def check_alike(progress: Progress, step: TrainingStep) -> None:
    """Complain about ranks that would train something else than the first one; collective.

    Raises:
        UserError: one begins with other steps, settings or weights.
    """
    if not step.ranks.several:
        return
    own = {
        "steps": progress.step,
        "settings": step.program.config.model_dump_json(),
        "weights": _fingerprint(step.program.parts.values()),
    }
    everybody = step.ranks.gathered(own)
    for rank, other in enumerate(everybody):
        for what, value in everybody[0].items():
            if other[what] != value:
                step.ranks.told(
                    UserError(
                        f"process {rank} begins with other {what} than process 0: give all "
                        "machines the same files, the same versions and one folder of runs"
                    )
                )


def _fingerprint(parts: Iterable[nn.Module]) -> int:
    """A number that other weights do not have."""
    found = 0
    for part in parts:
        for tensor in part.state_dict().values():
            found = crc32(tensor.detach().cpu().contiguous().numpy().tobytes(), found)
    return found


def _on(device: torch.device, memory: Memory) -> Memory:
    return Memory(*mapped(lambda tensor: tensor.to(device), tuple(memory)))
