"""Programs from configurations."""

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.programs.loader import family_of, load_guide, load_model
from scalor_ppl.programs.outer_plates import runs_within_plates
from scalor_ppl.programs.program import Program


def build_program(config: Config, device: torch.device) -> Program:
    """Build model and guide of a configuration on a device; parameters as the seed says.

    Raises:
        UserError: one of the files cannot be used, or the program cannot do what is asked for.
    """
    family = family_of(config.model_file)
    torch.manual_seed(config.train.seed)
    # Channels last: what convolutions over thousands of small glimpses run fastest in.
    model = load_model(config).to(device, memory_format=torch.channels_last)
    guide = load_guide(config, model).to(device, memory_format=torch.channels_last)
    for part in (model, guide):
        runs_within_plates(part)
    program = family.program(config, model, guide, device, family.name)
    program.prepare()
    return program
