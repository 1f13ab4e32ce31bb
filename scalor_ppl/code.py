"""Code from files and modules that settings name."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from scalor_ppl.config.settings import nearest
from scalor_ppl.errors import UserError

Kind = TypeVar("Kind")

# Files that ship with the package are imported by their canonical name, or classes exist twice.
SHIPPED = ("models", "guides")
# Files of somebody's own that were run, by path, time of change and size.
_loaded: dict[tuple[str, int, int], ModuleType] = {}


def load_class(reference: str) -> type:
    """The class behind ``file.py:Class`` or ``package.module:Class``.

    Raises:
        UserError: no such file or module, the file fails to run, or it has no such class.
    """
    place, _, name = reference.rpartition(":")
    module = load_code(place)
    found = getattr(module, name, None)
    if not isinstance(found, type):
        own = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        ]
        raise UserError(f"{place} has no class {name!r}{nearest(name, own)}")
    return found


def chosen_class(
    setting: str, name: str, known: Mapping[str, type[Kind]], kind: type[Kind], called: str
) -> type[Kind]:
    """The class behind a registered name, ``file.py:Class`` or ``package.module:Class``.

    Args:
        setting: that names it, for messages.
        name: its value.
        known: the registered ones.
        kind: what it must be a subclass of.
        called: what people call that class.

    Raises:
        UserError: there is none, or it is of another kind.
    """
    if name in known:
        return known[name]
    if name.endswith(".py"):
        raise UserError(f"{setting}: say which class of the file, as {name}:Class")
    if ":" not in name:
        raise UserError(
            f"{setting}: there is no {name!r}{nearest(name, list(known))}; "
            "one of your own is file.py:Class"
        )
    found = load_class(name)
    if not issubclass(found, kind):
        raise UserError(f"{setting}: {name} is not a subclass of {called}")
    return found


def own_file(reference: str) -> str:
    """A reference with the path of a user's own file made absolute; others stay as they are."""
    place, colon, attribute = reference.partition(":")
    path = Path(place)
    if not place.endswith(".py") or shipped_name(path) is not None or not path.is_file():
        return reference
    return f"{path.resolve()}{colon}{attribute}"


def load_code(place: str) -> ModuleType:
    """The module behind a file's path or a module's name.

    Raises:
        UserError: there is none, or it fails when it is run.
    """
    return _load_file(place) if place.endswith(".py") else _load_module(place)


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a module does when it is run
        raise UserError(f"cannot import {name}: {error}; give a .py file or a module") from error


def _load_file(place: str) -> ModuleType:
    path = Path(place)
    shipped = shipped_name(path)
    if shipped is not None:
        return importlib.import_module(shipped)
    if not path.is_file():
        raise UserError(f"no such file: {place}; give a .py file that exists, or a module's name")
    # Run once as long as it stays the same: settings, model and guide share its classes.
    stat = path.stat()
    state = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    if state in _loaded:
        return _loaded[state]
    name = f"scalor_ppl_user_{path.stem}_{abs(hash(str(path.resolve())))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{place} fails when it is run: {type(error).__name__}: {error}") from error
    _loaded[state] = module
    return module


def shipped_name(path: Path) -> str | None:
    """The canonical module of a shipped file, also from directories where it does not lie.

    ``models/scalor.py`` names the shipped program from anywhere, unless the working directory has
    a file of that name of its own.
    """
    if path.parent.name not in SHIPPED:
        return None
    package = importlib.import_module(f"scalor_ppl.{path.parent.name}")
    folder = Path(next(iter(package.__path__)))
    mine = folder / path.name
    same = path.is_file() and path.resolve() == mine.resolve()
    implied = not path.exists() and not path.is_absolute() and path.parent.parent == Path()
    if mine.is_file() and (same or implied):
        return f"scalor_ppl.{path.parent.name}.{path.stem}"
    return None
