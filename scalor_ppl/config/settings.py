"""Configurations from presets, TOML files and single settings, with errors that name the key."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError

DEFAULT_PRESET = "moving-dsprites-vld"
NATURAL_PRESET = "natural"


def preset_names() -> list[str]:
    """Names of the presets inside the package."""
    folder = files("scalor_ppl.config.presets")
    return sorted(
        p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")
    )


def read_preset(name: str) -> dict[str, Any]:
    """A preset's settings, over those of the preset that it ``extends``.

    Raises:
        UserError: there is none of that name.
    """
    if name not in preset_names():
        raise UserError(f"no preset named {name!r}{nearest(name, preset_names())}")
    settings = tomllib.loads((files("scalor_ppl.config.presets") / f"{name}.toml").read_text())
    base = settings.pop("extends", None)
    return settings if base is None else merged(read_preset(base), settings)


def preset_for(data: str | None) -> str:
    """The preset that fits a registered set (that of its density), or natural video."""
    if data is None:
        return DEFAULT_PRESET
    fitting = [name for name in preset_names() if data.startswith(name)]
    return max(fitting, key=len) if fitting else NATURAL_PRESET


def read_toml(path: Path) -> dict[str, Any]:
    """Settings from a TOML file.

    Raises:
        UserError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(
            f"no such configuration: {path}; give a TOML file or a preset "
            f"({', '.join(preset_names())})"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} is not a TOML file: {error}") from None


def read_config(path: Path) -> Config:
    """A whole configuration from a TOML file, checked."""
    return checked(_trusted_toml(path), str(path))


def _trusted_toml(path: Path) -> dict[str, Any]:
    """The settings of a file, none of which names code that may not run here.

    Raises:
        UserError: see `programs.trust`.
    """
    from scalor_ppl.programs.trust import check_trusted

    settings = read_toml(path)
    check_trusted(settings, path)
    return settings


def parse_setting(text: str) -> dict[str, Any]:
    """``a.b=value`` as nested settings; the value is TOML, or else a plain string.

    Raises:
        UserError: no equals sign or no key.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")):
        raise UserError(f"--set {text}: write it as table.key=value, e.g. --set train.batch=8")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    for part in reversed(key.split(".")):
        parsed = {part: parsed}
    return parsed


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings, later layers over earlier ones."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
                # A schedule is one value: a new one replaces the old one whole.
                whole = "end" in value and "start" in value
                result[key] = dict(value) if whole else merged(result[key], value)
            else:
                result[key] = value
    return result


def checked(settings: Mapping[str, Any], source: str = "the configuration") -> Config:
    """The configuration of these settings.

    Raises:
        UserError: an unknown key (with the nearest real one) or a value that does not fit.
    """
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise UserError(f"in {source}: {_complaint(error)}") from None


def resolve(
    name_or_path: str | None, settings: Sequence[str], overrides: Mapping[str, Any]
) -> Config:
    """A configuration from a preset or TOML file, ``--set`` texts and further overrides.

    Args:
        name_or_path: a preset's name, or a path that ends in ``.toml``; none for the defaults.
        settings: ``a.b=value`` texts, later ones win.
        overrides: nested settings that win over all others; values of None are passed over.
    """
    base: dict[str, Any] = {}
    if name_or_path is not None:
        is_file = name_or_path.endswith(".toml")
        base = _trusted_toml(Path(name_or_path)) if is_file else read_preset(name_or_path)
    layers = [parse_setting(text) for text in settings]
    return checked(merged(base, *layers, _without_none(overrides)))


def _without_none(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if value is not None
    }


def _complaint(error: ValidationError) -> str:
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
            near = nearest(str(last), _keys(above))
            return f"no such setting: {name}{near}"
        case "missing":
            what = f"value {last + 1}" if isinstance(last, int) else last
            return f"{'.'.join(map(str, above))} = {given!r}: {what} is missing"
        case "model_type":
            return f"{name} = {given!r}: it is a table of {', '.join(_keys(place))}"
        case "value_error":
            return f"{name}: {first['msg'].removeprefix('Value error, ')}"
    return f"{name} = {given!r}: {first['msg']}"


def _is_alternative(part: str | int) -> bool:
    """Whether this is what pydantic adds to the place of a setting of one type or another."""
    return part in ("int", "float") or "Schedule" in str(part)


def _keys(place: Sequence[str | int]) -> list[str]:
    """The settings of a table of the configuration."""
    section: type[BaseModel] | None = Config
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


def nearest(name: str, names: Sequence[str]) -> str:
    """What to say after an unknown name: the nearest one, or else all there are."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}" if names else ""
