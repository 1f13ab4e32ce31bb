"""The files of a comparison: its figures as JSON and its picture, side by side in one folder."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scalor_ppl.files import check_writable, written_whole

FIGURES = "compare.json"
PICTURE = "compare.png"


def check_files(out: Path) -> None:
    """Complain now, and not after hours of measuring, where nothing can be written.

    Args:
        out: the folder.

    Raises:
        UserError: the folder cannot be made, or a file cannot be written in it.
    """
    for name in (FIGURES, PICTURE):
        check_writable(out / name)


def write_files(out: Path, document: Mapping[str, Any], draw: Callable[[Path], None]) -> None:
    """Write both files, each whole or not at all.

    Args:
        out: the folder.
        document: fit for JSON, without numbers that are not finite.
        draw: writes the picture to the path that it is given.

    Raises:
        UserError: a file cannot be written.
    """
    with written_whole(out / FIGURES) as path:
        path.write_text(json.dumps(document, indent=2, allow_nan=False))
    draw(out / PICTURE)
