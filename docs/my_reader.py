"""A reader of one's own: raw frames of 16 bits, with their size in a JSON file beside them."""

import json
from pathlib import Path

import numpy as np

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data.readers.base import StackReader


class RawReader(StackReader):
    """``movie.raw`` and ``movie.json``: ``{"height": 480, "width": 640, "fps": 25}``."""

    def __init__(self, path: Path, options: SourceOptions) -> None:
        super().__init__(path, options)
        header = json.loads(path.with_suffix(".json").read_text())
        size = (header["height"], header["width"])
        # Mapped, not read: a recording may be larger than memory.
        self.pixels = np.memmap(path, dtype="<u2", mode="r").reshape(-1, *size)
        self.fps = header.get("fps")

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self.pixels)

    def frame(self, number: int) -> np.ndarray:
        """The frame of a number from 0, uint16 [H, W]."""
        return self.pixels[number]
