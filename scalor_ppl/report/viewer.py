"""Frames and tracks as a recording for the Rerun viewer (https://rerun.io), an optional package."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.drawing import id_colour
from scalor_ppl.results.pixels import as_rgb
from scalor_ppl.tracks.table import Tracks

SUFFIX = ".rrd"


def require_rerun() -> Any:
    """The package ``rerun``.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module("rerun")
    except ImportError:
        raise UserError(
            "--rerun needs the package rerun-sdk: pip install 'scalor-ppl[rerun]'"
        ) from None


def write_rerun(path: Path, video: np.ndarray, tracks: Tracks) -> None:
    """Write a recording with each frame and the boxes in it, atomically.

    Args:
        path: the file, ``NAME.rrd``.
        video: uint8 [T, H, W, 1 or 3].
        tracks: of its frames.

    Raises:
        UserError: the package is not installed, or the file cannot be written.
    """
    rerun = require_rerun()
    with written_whole(path) as lent, rerun.RecordingStream("scalor-ppl") as stream:
        stream.save(lent)
        for t, (frame, present) in enumerate(zip(as_rgb(video), tracks.present(), strict=True)):
            ids = tracks.ids[t, present]
            stream.set_time("frame", sequence=t)
            stream.log("video", rerun.Image(frame).compress(95))
            stream.log(
                "video/objects",
                rerun.Boxes2D(
                    array=tracks.boxes[t, present],
                    array_format=rerun.Box2DFormat.XYWH,
                    labels=[str(identity) for identity in ids],
                    class_ids=ids,
                    colors=[id_colour(int(identity)) for identity in ids],
                ),
            )
        stream.disconnect()  # the file is complete only then
