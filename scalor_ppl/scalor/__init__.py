"""What only SCALOR has: slots, priors, networks, refinement, read-out."""

from scalor_ppl.programs import Family
from scalor_ppl.scalor.program import ScalorProgram
from scalor_ppl.scalor.settings import ScalorConfig

SCALOR = Family("scalor", ScalorConfig, ScalorProgram)

__all__ = ["SCALOR", "ScalorConfig", "ScalorProgram"]
