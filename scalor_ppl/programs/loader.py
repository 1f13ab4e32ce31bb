"""Loading of model and guide files: the only way by which the library reaches either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scalor_ppl.code import load_code
from scalor_ppl.errors import UserError
from scalor_ppl.programs.registry import DEFAULT

if TYPE_CHECKING:
    from scalor_ppl.programs.family import Family


def load_model(config: Any) -> Any:
    """The model of a configuration: ``build_model(config)`` of its model file."""
    return _builder(config.model_file, "build_model")(config)


def load_guide(config: Any, model: Any) -> Any:
    """The guide of a configuration: ``build_guide(config, model)`` of its guide file."""
    return _builder(config.guide_file, "build_guide")(config, model)


def family_of(reference: str) -> Family:
    """The family of a model's file, ``package.module`` or ``package.module:name``.

    A file that names none builds on SCALOR, and has SCALOR's settings.

    Raises:
        UserError: no such file or module, the file fails to run, its ``FAMILY`` is none, or has
            settings that take the name of another.
    """
    from scalor_ppl.programs.family import check_family

    module = load_code(_place_and_name(reference)[0])
    found = getattr(module, "FAMILY", None)
    if found is None:
        found = load_code(f"scalor_ppl.models.{DEFAULT}").FAMILY
    return check_family(reference, found)


def _builder(reference: str, function: str) -> Any:
    """The build function behind a file path, ``package.module`` or ``package.module:name``.

    Raises:
        UserError: no such file or module, the file fails to run, or it has no such function.
    """
    place, attribute = _place_and_name(reference)
    attribute = attribute or function
    module = load_code(place)
    builder = getattr(module, attribute, None)
    if not callable(builder):
        what = "guide(config, model)" if function == "build_guide" else "model(config)"
        raise UserError(f"{reference} has no function {attribute}: define build_{what} in it")
    return builder


def _place_and_name(reference: str) -> tuple[str, str]:
    """File or module, and what is named in it (empty: nothing)."""
    place, _, name = reference.partition(":")
    return place, name
