"""Pictures and clips inside the page, as data URIs, alone or side by side."""

import io
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from av.codec.codec import UnknownCodecError
from markupsafe import Markup
from PIL import Image, ImageDraw, ImageFont

from scalor_ppl.results.pixels import as_rgb
from scalor_ppl.results.video import write_gif, write_mp4

LARGEST = 3_000_000  # bytes of one clip; a page of several stays fit for mail
LARGEST_PNG = 300_000
_QUALITY = 22  # of x264: a quarter of the bytes of what looks like the original


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as a URI of a media type, ``image/png`` for example."""
    return f"data:{kind};base64,{b64encode(content).decode()}"


def image(pixels: np.ndarray, alt: str, *, width: int | None = None) -> Markup:
    """A picture: PNG, or JPEG where that takes more than ``LARGEST_PNG`` bytes.

    Args:
        pixels: uint8 [H, W, 1 or 3].
        alt: what it shows, for those who cannot see it, and for a pointer that rests on it.
        width: on the page, in CSS pixels, where it is enlarged: pixels stay squares.
    """
    picture = Image.fromarray(np.ascontiguousarray(as_rgb(pixels)))
    buffer, kind = io.BytesIO(), "image/png"
    picture.save(buffer, "PNG", optimize=True)
    if buffer.tell() > LARGEST_PNG:
        buffer, kind = io.BytesIO(), "image/jpeg"
        picture.save(buffer, "JPEG", quality=90)
    return Markup('<img src="{}" alt="{}" title="{}" width="{}"{}>').format(
        data_uri(buffer.getvalue(), kind),
        alt,
        alt,
        width or pixels.shape[1],
        Markup(' class="squares"') if width else "",
    )


def clip(frames: np.ndarray, alt: str, *, fps: float = 5.0) -> Markup:
    """A clip with a slider for its frames: H.264, or a gif where that cannot be encoded.

    A clip of more than ``LARGEST`` bytes is made smaller, by halves.

    Args:
        frames: uint8 [T, H, W, 1 or 3].
        alt: what it shows.
        fps: frames a second.
    """
    while True:
        content, kind = _encoded(frames, fps)
        if len(content) <= LARGEST or min(frames.shape[1:3]) < 64:
            break
        frames = halved(frames)
    uri = data_uri(content, kind)
    if kind == "image/gif":
        return Markup('<img src="{}" alt="{}">').format(uri, alt)
    return Markup(
        '<div class="player"><video src="{}" aria-label="{}" controls loop muted playsinline '
        'width="{}"></video><div hidden><button type="button">play</button>'
        '<label>frame <input type="range" min="1" max="{}" value="1"></label>'
        "<span><output>1</output> of {}</span></div></div>"
    ).format(uri, alt, frames.shape[2], len(frames), len(frames))


def _encoded(frames: np.ndarray, fps: float) -> tuple[bytes, str]:
    """The clip as a file's bytes, and their media type."""
    with TemporaryDirectory(prefix="scalor-report-") as folder:
        path = Path(folder) / "clip.mp4"
        try:
            write_mp4(path, frames, fps, crf=_QUALITY)
            return path.read_bytes(), "video/mp4"
        except UnknownCodecError:  # an ffmpeg without x264
            write_gif(path.with_suffix(".gif"), frames, fps)
            return path.with_suffix(".gif").read_bytes(), "image/gif"


def halved(frames: np.ndarray) -> np.ndarray:
    """Frames of half the height and width, uint8 [T, H // 2, W // 2, 3], areas averaged."""
    size = frames.shape[2] // 2, frames.shape[1] // 2
    rgb = as_rgb(frames)
    return np.stack(
        [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BOX)) for f in rgb]
    )


_BAR = 22  # height of the titles
_GAP = 6
_PAPER, _INK = (24, 26, 30), (225, 228, 232)  # dark: clips look alike in light and dark pages


def beside(panels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Clips of one size and length, from left to right, with titles above.

    Args:
        panels: title -> uint8 [T, H, W, 1 or 3].

    Returns:
        uint8 [T, H', W', 3].
    """
    clips = [as_rgb(panel) for panel in panels.values()]
    length, height, width, _ = clips[0].shape
    across = len(clips) * (width + _GAP) - _GAP
    page = np.empty((length, _BAR + height, across, 3), np.uint8)
    page[:] = _PAPER
    bar = Image.new("RGB", (across, _BAR), _PAPER)
    pen = ImageDraw.Draw(bar)
    for n, (title, clip) in enumerate(zip(panels, clips, strict=True)):
        left = n * (width + _GAP)
        page[:, _BAR:, left : left + width] = clip
        pen.text(
            (left + 3, _BAR // 2), title, fill=_INK, font=ImageFont.load_default(14), anchor="lm"
        )
    page[:, :_BAR] = np.asarray(bar)
    return page
