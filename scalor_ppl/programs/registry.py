"""The programs that ship with the package, by name."""

from typing import NamedTuple


class Files(NamedTuple):
    """Where a program is built."""

    model: str
    guide: str


PROGRAMS = {
    "scalor": Files("models/scalor.py", "guides/scalor.py"),
    "sqair": Files("models/sqair.py", "guides/sqair.py"),
    "vrnn": Files("models/vrnn.py", "guides/vrnn.py"),
    "sequential-vae": Files("models/sequential_vae.py", "guides/sequential_vae.py"),
}
DEFAULT = "scalor"


def files_of(model: str | None, guide: str | None) -> tuple[str | None, str | None]:
    """Files of what is given by name; the guide of a shipped model follows from it.

    Args:
        model: a program's name, or a file or module; none leaves it to the configuration.
        guide: likewise.
    """
    if model in PROGRAMS:
        model = PROGRAMS[model].model
    if guide in PROGRAMS:
        guide = PROGRAMS[guide].guide
    if guide is None:
        guide = next((files.guide for files in PROGRAMS.values() if files.model == model), None)
    return model, guide
