"""Whether a recording fits into memory, asked before it is decoded."""

from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.readers.base import VideoInfo
from scalor_ppl.errors import UserError

_MEMINFO = Path("/proc/meminfo")
_CONTAINER = (  # what a container (Docker, Slurm) may use, in the two versions of its interface
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def available_memory() -> int | None:
    """Bytes of memory that a program can still have; None where the system does not tell."""
    known = [_free(), *(_number(path) for path in _CONTAINER)]
    return min((number for number in known if number is not None), default=None)


def _free() -> int | None:
    """Bytes that no program uses."""
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((int(kilobytes) * 1024 for kilobytes in found), None)


def _number(path: Path) -> int | None:
    """The number in a file; None where there is no such file, or a word in it."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def check_budget(
    path: Path, infos: Sequence[VideoInfo], options: SourceOptions, limit: int
) -> None:
    """Refuse a recording whose frames, as the options choose and resize them, are too many bytes.

    Args:
        path: names it in the message.
        infos: of its sequences; those that do not know their number of frames count nothing.
        options: how it is to be read; `crop` saves nothing, as crops are taken from whole frames.
        limit: bytes that decoded frames may take.

    Raises:
        UserError: it would take more, with the settings that would make it fit.
    """
    sizes = [_bytes_a_frame(info, options) for info in infos]
    counts = [_frames(info, options) for info in infos]
    needed = sum(size * count for size, count in zip(sizes, counts, strict=True))
    if needed > limit:
        raise too_large(path, infos, options, needed, limit)


def too_large(
    path: Path, infos: Sequence[VideoInfo], options: SourceOptions, needed: int, limit: int
) -> UserError:
    """The error of a recording that takes `needed` bytes of `limit`, and settings that would do."""
    over = needed / limit
    height, width = options.resize or _tile(infos[0], options)
    part = max(2, ceil(sqrt(over)))
    resize = f"[{max(1, height // part)},{max(1, width // part)}]"
    stride = options.stride * ceil(over)
    together = sum(_bytes_a_frame(info, options) for info in infos)
    stop = options.start + max(1, limit // together) * options.stride
    return UserError(
        f"{path} takes {needed / 2**30:.3g} GiB or more when decoded, and there is room for "
        f"{limit / 2**30:.3g} GiB: give --set data.resize={resize} (height, width), or "
        f"--set data.stride={stride}, or --set data.stop={stop}"
    )


def _tile(info: VideoInfo, options: SourceOptions) -> tuple[int, int]:
    """Height and width of a tile before it is resized."""
    rows, columns = options.tiles or (1, 1)
    return info.height // rows, info.width // columns


def _bytes_a_frame(info: VideoInfo, options: SourceOptions) -> int:
    rows, columns = options.tiles or (1, 1)
    height, width = options.resize or _tile(info, options)
    return rows * columns * height * width * (options.channels or info.channels)


def _frames(info: VideoInfo, options: SourceOptions) -> int:
    """How many frames start, stop and stride choose, as far as that is known."""
    count = info.expected_frames or 0
    stop = count if options.stop is None else min(count, options.stop)
    return len(range(options.start, stop, options.stride))
