"""A family of programs: those that share settings and abilities."""

from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel

from scalor_ppl.config.schema import Config, ModelSettings
from scalor_ppl.errors import UserError
from scalor_ppl.programs.program import Program

FROM_DATA = {"height": "height", "width": "width", "channels": "number of channels"}
"""Settings of every model that are filled in from the video, and what they are of it."""


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


@cache
def misnamed_setting(config: type[Config]) -> str | None:
    """What is wrong with a program's settings: one that takes a name which means something else.

    A setting of the program's own may have another default than the one of every program that it
    redefines, but not another meaning: the package would read and write it in the old sense.

    Args:
        config: of a family.

    Returns:
        One sentence; none where all is well.
    """
    for table, field in Config.model_fields.items():
        mine = config.model_fields[table].annotation
        base = field.annotation
        assert isinstance(base, type)
        if not (isinstance(mine, type) and issubclass(mine, base)):
            return f"{table} must be a {base.__name__}, or a subclass of it, not {mine!r}"
        if not issubclass(base, BaseModel):
            continue
        for name, known in base.model_fields.items():
            own = mine.model_fields.get(name)
            hidden = any(name in vars(each) for each in mine.__mro__)  # a property, or a method
            same = own is not None and not hidden and own.annotation == known.annotation
            if base is ModelSettings and name in FROM_DATA:
                if not same or own is None or own.default is not None:
                    return (
                        f"model.{name} is the video's {FROM_DATA[name]}, filled in from the data: "
                        "call the program's own setting something else"
                    )
            elif not same:
                return (
                    f"{table}.{name} is a setting of every program, of another kind "
                    f"({known.annotation}): call the program's own something else"
                )
    return None


def check_family(reference: str, found: object) -> Family:
    """The family that a model's file names.

    Args:
        reference: the file, for messages.
        found: its ``FAMILY``.

    Raises:
        UserError: that is none, or its settings take names that mean something else.
    """
    if not isinstance(found, Family):
        raise UserError(f"{reference}: FAMILY is no scalor_ppl.programs.Family, but {found!r}")
    wrong = misnamed_setting(found.config)
    if wrong is not None:
        raise UserError(f"{reference}: {wrong}")
    return found
