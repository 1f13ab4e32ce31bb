"""Everything imported, and one step done: processes forked from here begin at once."""

from __future__ import annotations

import torch
import torch.distributed
from tiny import CPU, config_of

from scalor_ppl.programs.build import build_program
from scalor_ppl.training import start  # noqa: F401
from scalor_ppl.training.step import TrainingStep

torch.set_num_threads(1)
_step = TrainingStep(build_program(config_of(), CPU))
_step.backward(_step.estimate(torch.rand(2, 3, 3, 16, 16)).loss)
