"""A real small disk: a tmpfs of so many bytes, where the system lets us mount one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOMY = 256 << 20


def refusal(folder: Path) -> str | None:
    """Why no disk can be mounted here; none where one can."""
    if shutil.which("mount") is None:
        return "there is no mount"
    probe = folder / "probe"
    probe.mkdir()
    done = _mount(probe, f"size={1 << 20}")
    if done.returncode:
        return f"a file system may not be mounted here ({done.stderr.strip()})"
    subprocess.run(("umount", probe), check=True)
    return None


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """An empty disk of so many bytes at a new folder; it goes with all that is on it."""
    place.mkdir()
    done = _mount(place, f"size={size}")
    assert done.returncode == 0, done.stderr
    try:
        yield place
    finally:
        subprocess.run(("umount", "--lazy", place), check=True)


def enlarge(place: Path) -> None:
    """There is room again."""
    done = _mount(place, f"remount,size={ROOMY}")
    assert done.returncode == 0, done.stderr


def _mount(place: Path, options: str) -> subprocess.CompletedProcess[str]:
    words = ("mount", "-t", "tmpfs", "-o", options, "small", str(place))
    return subprocess.run(words, capture_output=True, text=True, check=False)
