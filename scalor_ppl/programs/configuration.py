"""The configuration of a program: its settings checked, with errors that name the key."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from scalor_ppl.config.schema import Config
from scalor_ppl.config.settings import (
    merged,
    nearest,
    parse_setting,
    preset_names,
    read_preset,
    read_toml,
    without_none,
)
from scalor_ppl.errors import UserError
from scalor_ppl.programs.loader import family_of
from scalor_ppl.programs.registry import DEFAULT, PROGRAMS
from scalor_ppl.programs.trust import check_trusted

DEFAULT_PRESET = "moving-dsprites-vld"
NATURAL_PRESET = "natural"


def read_config(path: Path) -> Config:
    """A whole configuration from a TOML file, checked."""
    return checked(_trusted_toml(path), str(path))


def _trusted_toml(path: Path) -> dict[str, Any]:
    """The settings of a file, none of which names code that may not run here.

    Raises:
        UserError: see `programs.trust`.
    """
    settings = read_toml(path)
    check_trusted(settings, path)
    return settings


def checked(settings: Mapping[str, Any], source: str = "the configuration") -> Config:
    """The configuration of these settings, with the tables that their program has.

    Raises:
        UserError: an unknown key (with the nearest real one) or a value that does not fit,
            or the program's file cannot be run.
    """
    file = settings.get("model_file", PROGRAMS[DEFAULT].model)
    # A name that is no text is refused by any schema.
    schema = family_of(file).config if isinstance(file, str) else Config
    try:
        return schema.model_validate(settings)
    except ValidationError as error:
        raise UserError(f"in {source}: {_complaint(error, schema)}") from None


def resolve(
    name_or_path: str | None, settings: Sequence[str], overrides: Mapping[str, Any]
) -> Config:
    """A configuration from a preset or TOML file, ``--set`` texts and further overrides.

    A training that is asked to be shorter than its preset's ends without the phase that the preset
    has for the priors, unless that is asked for, too.

    Args:
        name_or_path: a preset's name, or a path that ends in ``.toml``; none for the defaults.
        settings: ``a.b=value`` texts, later ones win.
        overrides: nested settings that win over all others; values of None are passed over.
    """
    base: dict[str, Any] = {}
    asked = merged({}, *(parse_setting(text) for text in settings), without_none(overrides))
    if name_or_path is not None:
        is_file = name_or_path.endswith(".toml")
        base = _trusted_toml(Path(name_or_path)) if is_file else read_preset(name_or_path)
        if not is_file and _cut_short(base, asked):
            base = merged(base, {"train": {"priors": {"steps": 0}}})
    return checked(merged(base, asked))


def _cut_short(preset: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether fewer steps than a preset's are asked for, and nothing of its phase for priors."""
    own, wanted = preset.get("train", {}), asked.get("train")
    if not isinstance(wanted, Mapping) or "priors" in wanted or "priors" not in own:
        return False
    steps = wanted.get("steps")
    return isinstance(steps, int) and steps < own.get("steps", 0)


def preset_for(data: str | None, model: str | None = None) -> str | None:
    """The preset of a program that fits a registered set (that of its density), or other video.

    Presets of other programs than SCALOR are named after them: ``vrnn-moving-dsprites-vld``.

    Args:
        data: registered set or path; none is the default set.
        model: the model's file or module; none is SCALOR's.

    Returns:
        A preset's name; none where the program has none, and goes by its own defaults.
    """
    family = DEFAULT if model is None else family_of(model).name
    if family != DEFAULT:
        named = f"{family}-{data or DEFAULT_PRESET}"
        fitting = [p for p in preset_names() if named.startswith(p) and p.startswith(family)]
        return max(fitting, key=len) if fitting else None
    if data is None:
        return DEFAULT_PRESET
    fitting = [name for name in preset_names() if data.startswith(name)]
    return max(fitting, key=len) if fitting else NATURAL_PRESET


def _complaint(error: ValidationError, schema: type[Config]) -> str:
    """What is wrong with the first setting that does not fit."""
    first, *others = error.errors()
    if not first["loc"]:  # settings of different tables that do not go together
        return first["msg"].removeprefix("Value error, ")
    if _is_alternative(first["loc"][-1]) and isinstance(first["input"], Mapping):
        first, *others = others  # a number or a schedule would do; this is meant as a schedule
    # A key that is misspelt is also a key that is missing, and that is not what is wrong.
    first = next((e for e in (first, *others) if e["type"] == "extra_forbidden"), first)
    place = [part for part in first["loc"] if not _is_alternative(part)]
    *above, last = place
    name, given = ".".join(map(str, place)), first["input"]
    match first["type"]:
        case "extra_forbidden":
            near = nearest(str(last), _keys(schema, above))
            return f"no such setting: {name}{near}"
        case "missing":
            what = f"value {last + 1}" if isinstance(last, int) else last
            return f"{'.'.join(map(str, above))} = {given!r}: {what} is missing"
        case "model_type":
            return f"{name} = {given!r}: it is a table of {', '.join(_keys(schema, place))}"
        case "value_error":
            return f"{name}: {first['msg'].removeprefix('Value error, ')}"
    return f"{name} = {given!r}: {first['msg']}"


def _is_alternative(part: str | int) -> bool:
    """Whether this is what pydantic adds to the place of a setting of one type or another."""
    return part in ("int", "float") or "Schedule" in str(part)


def _keys(schema: type[Config], place: Sequence[str | int]) -> list[str]:
    """The settings of a table of the configuration."""
    section: type[BaseModel] | None = schema
    for part in map(str, place):
        fields = section.model_fields if section is not None else {}
        if part not in fields:
            return []
        annotation = fields[part].annotation
        options = [annotation, *get_args(annotation)]
        section = next(
            (o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None
        )
    return list(section.model_fields) if section is not None else []
