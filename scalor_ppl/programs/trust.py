"""Whose code may run: what a file of settings names is not executed for the asking.

The rule: code that a run's folder or a TOML file names is executed only where it ships with this
package or Pyro, where you named it yourself in a training on this machine, or after ``--trust``,
once. What you name on the command line or in Python is yours, and is never asked about.

What was trusted is remembered outside all runs: in ``$XDG_STATE_HOME/scalor-ppl/trusted.json``
(``~/.local/state`` by default), by the absolute path of the file or the name of the module.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scalor_ppl.code import shipped_name
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned

STORE = "trusted.json"
TURN = 10.0  # seconds to wait for another process that remembers something
# Packages that are installed with this one, and are looked at by more people than its users.
_KNOWN = ("scalor_ppl", "pyro")
_MODULES = ("model_file", "guide_file")  # settings that name a module without a colon
_CODE = re.compile(r".*\.py(:\w+)?|[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.DOTALL)
_everything = False


@contextmanager
def trusting() -> Iterator[None]:
    """Trust what is read meanwhile, and remember it."""
    global _everything
    before, _everything = _everything, True
    try:
        yield
    finally:
        _everything = before


def trusts_everything() -> bool:
    """Whether what is read now is trusted: another process that reads it too has to be told."""
    return _everything


def check_trusted(settings: Mapping[str, Any], source: Path) -> None:
    """Complain about code that settings from a file name, and that nobody here vouched for.

    Args:
        settings: as the file has them; nothing of what they name has been executed yet.
        source: the file.

    Raises:
        UserError: names the first such code, and the remedy.
    """
    named = foreign_code(settings)
    if _everything:
        remember(named)
        return
    known = _remembered() if named else set()
    for place in named:
        if place not in known:
            raise UserError(
                f"{source} names {place}, code that is not of scalor-ppl and that you never named "
                "in a training on this machine: look at it, then give --trust once"
            )


def trust_own(settings: Mapping[str, Any]) -> None:
    """Remember the code that a training of this user names, so that its run can be used."""
    remember(foreign_code(settings))


def foreign_code(settings: Mapping[str, Any]) -> list[str]:
    """Files (absolute paths) and modules that settings name, but for those that ship."""
    found = []
    for key, value in _texts(settings):
        if not (_CODE.fullmatch(value) or (key in _MODULES and value)):
            continue
        place = value.rpartition(":")[0] if re.search(r":\w+\Z", value) else value
        if place.endswith(".py"):
            if shipped_name(Path(place)) is None:
                found.append(str(Path(place).resolve()))
        elif place.partition(".")[0] not in _KNOWN:
            found.append(place)
    return list(dict.fromkeys(found))


def remember(places: Iterable[str]) -> None:
    """Add files and modules to those that may run here; where nothing can be kept, to no avail."""
    places = set(places)
    if not places or places <= _remembered():
        return
    path = _store()
    # Without a home to write to, trust has to be given each time.
    with suppress(UserError, OSError), owned(path, wait=TURN):
        document = json.dumps(sorted(_remembered() | places), indent=2)
        with written_whole(path) as lent:
            lent.write_text(document, encoding="utf-8")


def _remembered() -> set[str]:
    try:
        found = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {each for each in found if isinstance(each, str)} if isinstance(found, list) else set()


def _store() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "scalor-ppl" / STORE


def _texts(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """All texts below settings, with the last key on the way to each."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, str):
            yield key, value
        elif isinstance(value, list | tuple):
            for each in value:
                yield from _texts({key: each})
