"""Short names for files that are given together, each its own."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scalor_ppl.errors import UserError


def told_apart(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by short names: without its ending, where no other file is called so.

    Else with the ending and as many folders as it takes: ``a/tracks.txt`` and ``b/tracks.txt``.

    Raises:
        UserError: a file is given twice.
    """
    check_once(paths)
    parts = [path.absolute().parts for path in paths]
    names = [path.stem for path in paths]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        count = Counter(names)
        names = [
            name if count[name] == 1 else "/".join(whole[-depth:])
            for name, whole in zip(names, parts, strict=True)
        ]
    return dict(zip(names, paths, strict=True))


def check_once(paths: Sequence[Path]) -> None:
    """Refuse a file or folder that is given twice, whatever it is called the second time.

    Raises:
        UserError: names it.
    """
    seen: set[Path] = set()
    for path in paths:
        place = path.resolve()
        if place in seen:
            raise UserError(f"{path} is given twice: leave one out")
        seen.add(place)
