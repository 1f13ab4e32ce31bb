"""Processes that train one program together: ranks, as ``torchrun`` starts them.

Each has a copy of the program and its share of every batch; torch's DistributedDataParallel
averages the gradients. Numbers go from GPU to GPU by NCCL, else by gloo; what the processes agree
on beside them (whether to stop, who failed, what a checkpoint holds) goes by gloo and waits for no
GPU.
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from scalor_ppl.errors import ElsewhereError, RankLostError, UserError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)
"""How long ranks wait for one that says nothing: its machine is gone, or it writes pictures.

One that ends is missed at once.
"""


@dataclass(frozen=True)
class Ranks:
    """One process among those that train together, and what they do as one.

    All methods but the properties and :meth:`seed` are collective: every rank calls them, in the
    same order. One process alone gets its own values back.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
        local: its number among those on this machine.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and speaks to the user."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def seed(self, seed: int, step: int) -> int:
        """A seed of this rank's own noise from a step on, unlike those of all other ranks."""
        entropy = np.random.SeedSequence((seed, self.rank, step))
        return int(entropy.generate_state(1, np.uint64)[0])

    # ------------------------------------------------------------------ numbers

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module, whose gradients are the mean over ranks once ``backward`` has ended."""
        if not self.several:
            return module
        # Buffers are constants of the configuration, and some are views that cannot be written to.
        # Newer versions of torch would have another word, which sends them once; they say so.
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            # Clips of one frame leave the propagation without gradients: which parameters have
            # none changes with the length of the clips.
            return DistributedDataParallel(
                _WithSpare(module), find_unused_parameters=True, broadcast_buffers=False
            )

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over ranks, without a gradient."""
        if not self.several:
            return value.detach()
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.count

    def mean_of(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The mean of each figure over the ranks that have it."""
        values: dict[str, list[float]] = {}
        for own in self.gathered(dict(figures)):
            for name, value in own.items():
                values.setdefault(name, []).append(value)
        return {name: sum(each) / len(each) for name, each in values.items()}

    # ------------------------------------------------------------------ agreement

    def any(self, asked: bool) -> bool:
        """Whether it is so for any rank."""
        if not self.several:
            return asked
        answer = torch.tensor(asked, dtype=torch.uint8)
        distributed.all_reduce(answer, distributed.ReduceOp.MAX)
        return bool(answer)

    def gathered(self, value: T) -> list[T]:
        """The values of all ranks, in their order; of tensors those on the CPU only."""
        if not self.several:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def of_first(self, value: T) -> T:
        """The first rank's value: what it saw in files, of which others may see an older state."""
        return self.gathered(value)[0]

    def wait(self) -> None:
        """Until all ranks have come here."""
        self.any(False)

    @contextmanager
    def together(self) -> Iterator[None]:
        """All ranks get through a block, or none does and one of them says why.

        No other collective method may be called in it.

        Raises:
            ElsewhereError: another rank raises what is to be told.
        """
        error: Exception | None = None
        try:
            yield
        except Exception as caught:
            error = caught
        for rank, code in enumerate(self.gathered(_exit_code(error))):
            if code is not None:
                raise error if error and rank == self.rank else ElsewhereError(code)

    def told(self, error: Exception) -> NoReturn:
        """Raise an error that all ranks found alike: one of them says it.

        Raises:
            ElsewhereError: in place of the error, on all ranks but the first.
        """
        raise error if self.first else ElsewhereError(_exit_code(error) or 1)

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Say in one line that another rank has ended, wherever that is noticed.

        Raises:
            RankLostError: one has ended, or does not answer.
        """
        try:
            yield
        except RuntimeError as error:
            if not self.several or not _is_lost(error):
                raise
            reason = str(error).splitlines()[0].split("] ", 1)[-1].partition(". ")[0]
            raise RankLostError(
                f"rank {self.rank} of {self.count}: another process of this training has ended or "
                f"does not answer ({reason}); mend what it said, and go on with --resume"
            ) from None


class _WithSpare(nn.Module):
    """A module, and a parameter that nothing uses: where all were used torch would warn of that."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.spare = nn.Parameter(next(module.parameters()).new_zeros(()))

    def forward(self, *arguments: Any, **more: Any) -> Any:
        return self.module(*arguments, **more)


ALONE = Ranks()
"""A process that trains by itself."""


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started with this one; without it there is this alone.

    It is left when all come to its end; a rank that fails leaves by itself.

    Raises:
        RankLostError: the others cannot be reached.
    """
    # Names that other launchers set too mean nothing without torchrun's own.
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield ALONE
        return
    ranks = Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    nccl = torch.cuda.is_available() and distributed.is_nccl_available()
    with ranks.reaching():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=TIMEOUT)
        try:
            yield ranks
            ranks.wait()  # else torchrun would end those that still write
        finally:
            distributed.destroy_process_group()


def _exit_code(error: Exception | None) -> int | None:
    """With which code the command line ends for an error; none where there is none."""
    if isinstance(error, ElsewhereError):
        return error.code
    return None if error is None else 2 if isinstance(error, UserError) else 1


def _is_lost(error: RuntimeError) -> bool:
    """Whether a collective failed because of another process, by type or gloo's own words."""
    return isinstance(error, distributed.DistError) or "gloo" in str(error)
