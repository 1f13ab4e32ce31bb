"""Settings from presets, TOML files and single texts; :mod:`scalor_ppl.programs` checks them."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from scalor_ppl.errors import UserError


def preset_names() -> list[str]:
    """Names of the presets inside the package."""
    return names_in("scalor_ppl.config.presets")


def names_in(package: str) -> list[str]:
    """Names of the TOML files that ship in a package, without their ending."""
    return sorted(
        p.name.removesuffix(".toml") for p in files(package).iterdir() if p.name.endswith(".toml")
    )


def read_preset(name: str) -> dict[str, Any]:
    """A preset's settings, over those of the preset that it ``extends``.

    Raises:
        UserError: there is none of that name.
    """
    if name not in preset_names():
        raise UserError(f"no preset named {name!r}{nearest(name, preset_names())}")
    settings = tomllib.loads(
        (files("scalor_ppl.config.presets") / f"{name}.toml").read_text(encoding="utf-8")
    )
    base = settings.pop("extends", None)
    return settings if base is None else merged(read_preset(base), settings)


def read_toml(path: Path) -> dict[str, Any]:
    """Settings from a TOML file.

    Raises:
        UserError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"no such configuration: {path}; give a TOML file or a preset "
            f"({', '.join(preset_names())})"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path} is not a TOML file: {error}") from None


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


def without_none(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings without those that are None."""
    return {
        key: without_none(value) if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if value is not None
    }


def nearest(name: str, names: Sequence[str]) -> str:
    """What to say after an unknown name: the nearest one, or else all there are."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}" if names else ""
