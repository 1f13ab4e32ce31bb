"""Clips as mp4 and gif."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

from scalor_ppl.files import written_whole
from scalor_ppl.results.pixels import as_rgb, enlarge
from scalor_ppl.results.rates import frame_rate

_LONGEST = 2**16 - 1  # hundredths of a second that a gif can show a frame for


def write_mp4(
    path: str | Path, frames: np.ndarray, fps: float = 10.0, scale: int = 1, *, crf: int = 16
) -> None:
    """Write a clip as H.264 in an mp4 that browsers and players open, atomically.

    Colours are stored at half resolution (yuv420p, the one format that every player knows), which
    asks for even sizes: an odd edge is repeated once.

    Args:
        path: the file, `NAME.mp4`.
        frames: uint8 [T, H, W, 1 or 3].
        fps: frames a second.
        scale: whole factor by which the frames are enlarged, without blur.
        crf: x264's quality, 0 (lossless) to 51; 16 looks like the original.

    Raises:
        ValueError: frames of another type or shape, or `fps` not positive.
        UserError: when the file cannot be written.
    """
    pictures = _pictures(frames, fps)
    height, width = (scale * size for size in pictures.shape[1:3])
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    with (
        written_whole(path) as lent,
        av.open(str(lent), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=frame_rate(fps), options={"crf": str(crf)})
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        # One thread: a clip is short, and the machine's cores may be busy training.
        stream.codec_context.thread_count = 1
        for picture in pictures:
            padded = np.pad(enlarge(picture, scale), odd, mode="edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_gif(path: str | Path, frames: np.ndarray, fps: float = 10.0, scale: int = 1) -> None:
    """Write a clip as a gif that plays for ever, atomically.

    A gif has 256 colours; all frames share one palette, so that still colours do not flicker. Its
    clock ticks in hundredths of a second, and viewers slow down what is faster than 50 frames a
    second. Equal successive frames are stored as one that is shown for longer.

    Args:
        path: the file, `NAME.gif`.
        frames: uint8 [T, H, W, 1 or 3].
        fps: frames a second.
        scale: whole factor by which the frames are enlarged, without blur.

    Raises:
        ValueError: frames of another type or shape, or `fps` not positive.
        UserError: when the file cannot be written.
    """
    pictures = _pictures(frames, fps)
    palette = _palette(pictures)
    indexed = [
        Image.fromarray(np.ascontiguousarray(enlarge(picture, scale))).quantize(
            palette=palette, dither=Image.Dither.NONE
        )
        for picture in pictures
    ]
    milliseconds = 10 * min(max(2, round(100 / fps)), _LONGEST)
    with written_whole(path) as lent:
        indexed[0].save(
            lent,
            format="GIF",
            save_all=True,
            append_images=indexed[1:],
            duration=milliseconds,
            loop=0,
            optimize=False,
        )


def _pictures(frames: np.ndarray, fps: float) -> np.ndarray:
    """The frames as uint8 [T, H, W, 3], checked."""
    if frames.ndim != 4 or not frames.size:
        raise ValueError(f"frames are uint8 [T, H, W, C] with at least one, not {frames.shape}")
    if not fps > 0:
        raise ValueError(f"fps is above 0, not {fps}")
    return as_rgb(frames)


def _palette(pictures: np.ndarray) -> Image.Image:
    """256 colours for all frames, from all their distinct colours.

    Each colour has the same say however few pixels it has: boxes are thin lines, and their colour
    is what a viewer follows.
    """
    colours = np.unique(pictures.reshape(-1, 3), axis=0)
    # Natural video has hundreds of thousands; an even choice of the sorted ones is as good.
    colours = colours[:: 1 + len(colours) // 65536]
    return Image.fromarray(colours[None]).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)
