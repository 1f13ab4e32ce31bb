"""Every set that is generated from a seed, by name."""

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.gswm_specs import GSWM_SETS, GswmSpec
from scalor_ppl.data.particle_specs import PARTICLE_SETS, ParticleSpec
from scalor_ppl.data.records import GeneratedSource, Split
from scalor_ppl.data.specs import TOY_SETS, ToySpec

REGISTERED: dict[str, ToySpec | ParticleSpec | GswmSpec] = {
    **TOY_SETS,
    **PARTICLE_SETS,
    **GSWM_SETS,
}
"""Every registered set, by name."""


def open_registered(
    name: str, *, split: Split, seed: int, options: SourceOptions
) -> GeneratedSource:
    """Open a registered set.

    Raises:
        UserError: the set has no use for an option, or its files are missing.
    """
    # Imported when needed: what names and probes sets wants neither the compiler nor scipy.
    spec = REGISTERED[name]
    if isinstance(spec, ParticleSpec):
        from scalor_ppl.data.particles import ParticleSource

        return ParticleSource(spec, split=split, seed=seed, options=options)
    if isinstance(spec, GswmSpec):
        from scalor_ppl.data.discs import DiscSource

        return DiscSource(spec, split=split, seed=seed, options=options)
    from scalor_ppl.data.toys import ToySource

    return ToySource(spec, split=split, seed=seed, options=options)
