"""A family of programs: those that share settings and abilities."""

from dataclasses import dataclass

from scalor_ppl.config.schema import Config
from scalor_ppl.programs.program import Program


@dataclass(frozen=True)
class Family:
    """What a model's file says of its program, as ``FAMILY``.

    Attributes:
        name: for people, presets and error messages.
        config: its settings; keys that it does not know are refused.
        program: what such a program can do.
    """

    name: str
    config: type[Config] = Config
    program: type[Program] = Program
