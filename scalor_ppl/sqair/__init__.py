"""What only SQAIR has: slots, priors, networks, read-out."""

from scalor_ppl.programs import Family
from scalor_ppl.sqair.program import SqairProgram
from scalor_ppl.sqair.settings import SqairConfig

SQAIR = Family("sqair", SqairConfig, SqairProgram)

__all__ = ["SQAIR", "SqairConfig", "SqairProgram"]
