"""A decoded frame of a video as pixels: upright, in 8 or in 16 bits."""

from typing import Any

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from scalor_ppl.data.levels import narrowed

Turn = tuple[bool, bool, bool]


def is_grey(form: VideoFormat) -> bool:
    """Whether frames have no colours (they may have transparency)."""
    return form.name.startswith(("gray", "ya", "mono"))


def bits_of(form: VideoFormat) -> int:
    """Bits of a value: 8; 9 to 14 where all are in use; 16 where they need not be."""
    most = max(part.bits for part in form.components)
    if most == 16 and not (is_grey(form) or form.is_rgb):
        return 14  # luma and colour differences of 16 bits have a black and a white of their own
    return max(8, most)


def to_pixels(frame: VideoFrame, turn: Turn, channels: int | None, *, exact: bool) -> np.ndarray:
    """[H, W, C], upright: uint8, or uint16 of frames of 16 bits.

    Args:
        frame: as decoded.
        turn: what puts it upright, of `orientation`.
        channels: C, 1 or 3; None keeps what the frame has.
        exact: give uint16 of frames of 9 to 14 bits, too: in 10, 12 or 14 bits, the next that
            hold all of theirs.
    """
    form = frame.format
    channels = channels or (1 if is_grey(form) else 3)
    bits = bits_of(form)
    if bits == 16 or (bits > 8 and exact) or (bits > 8 and is_grey(form)):
        # Not to 8 bits by ffmpeg, which adds a pattern of noise where it drops bits.
        pixels: np.ndarray = frame.to_ndarray(format="gray16le" if channels == 1 else "rgb48le")
        if bits < 16 and exact:
            pixels = pixels >> (16 - (bits + bits % 2))
        elif bits < 16:
            pixels = narrowed(pixels, (0.0, 2.0**16 - 1))
    else:
        pixels = frame.to_ndarray(format="gray" if channels == 1 else "rgb24")
    pixels = pixels.reshape(frame.height, frame.width, channels)
    transposed, upside_down, mirrored = turn
    if transposed:
        pixels = pixels.transpose(1, 0, 2)
    # In one piece, as PyTorch takes nothing that is stored backwards.
    return np.ascontiguousarray(pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1])


def orientation(frame: VideoFrame) -> Turn:
    """What puts a frame upright: transpose; then flip upside down; then mirror.

    Ask it of the first frame of a recording: PyAV's side data refer to their frame and it to them,
    so that every frame asked stays in memory until Python looks for cycles.
    """
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV stumbles over kinds of side data that it does not know; the angle it still tells.
        turns = round(frame.rotation / 90) % 4
        return turns % 2 == 1, turns in (1, 2), turns in (2, 3)
    if matrix is None:
        return False, False, False
    # x and y (down) of a pixel go to a x + c y and b x + d y.
    (a, b, _), (c, d, _) = np.frombuffer(matrix, np.int32).reshape(3, 3)[:2]
    if abs(int(b)) > abs(int(a)):
        return True, bool(b < 0), bool(c < 0)
    return False, bool(d < 0), bool(a < 0)
