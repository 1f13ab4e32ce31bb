"""The seam: what a program is, what it can do, and how it is found.

A *program* is a generative model and its guide, with settings of their own. The rest of the package
trains it, infers with it and scores it through what is said here, and knows no particular one.

A model's file has

* ``FAMILY``, a :class:`Family`: the program's name, its settings (a subclass of
  :class:`~scalor_ppl.config.schema.Config`) and, where it can do more than any program, its
  :class:`Program`;
* ``build_model(config)``, which gives a module whose ``forward(video, *, memory, videos, frames)``
  is a Pyro program and returns a scene (:class:`~scalor_ppl.programs.program.Scene`).

A guide's file has ``build_guide(config, model)``. What a program can do beyond that are
:mod:`capabilities <scalor_ppl.programs.capabilities>`.
"""

from scalor_ppl.programs.capabilities import (
    CountsObjects,
    FindsObjects,
    FrameViews,
    Intervenes,
    ObjectArrays,
    PartRecord,
    ProposesSettings,
    Tell,
    TrainsParts,
    ViewsFrames,
    require,
    require_of,
)
from scalor_ppl.programs.family import Family
from scalor_ppl.programs.memory import Memory
from scalor_ppl.programs.once import Once
from scalor_ppl.programs.program import Program, Scene, TimedPart

__all__ = [
    "CountsObjects",
    "Family",
    "FindsObjects",
    "FrameViews",
    "Intervenes",
    "Memory",
    "ObjectArrays",
    "Once",
    "PartRecord",
    "Program",
    "ProposesSettings",
    "Scene",
    "Tell",
    "TimedPart",
    "TrainsParts",
    "ViewsFrames",
    "require",
    "require_of",
]
