"""Contact sheets: a clip and what was made of it on one page."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scalor_ppl.files import written_whole
from scalor_ppl.results.glimpses import object_row
from scalor_ppl.results.pixels import as_rgb, enlarge

__all__ = ["contact_sheet", "object_row"]

_PAPER = (255, 255, 255)
_INK = (20, 20, 20)
_TEXT = 15  # height of the letters in pixels
_GAP = 4  # pixels between pictures
_FAINT = (110, 110, 110)


def contact_sheet(
    rows: Mapping[str, np.ndarray], path: str | Path, *, scale: int = 1, first_frame: int = 1
) -> None:
    """Write a PNG with one row of pictures a label and one column a frame, atomically.

    Rows may differ in size, channels and length: each row is as high as its pictures, each column
    as wide as its widest picture, and a short row ends early.

    Args:
        rows: label -> uint8 [T, H, W, 1 or 3], from top to bottom in the mapping's order.
        path: the PNG file.
        scale: whole factor by which the pictures are enlarged; the text is not.
        first_frame: the number written above the first column.

    Raises:
        ValueError: no rows, or a row of another type or shape.
        UserError: when the file cannot be written.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one row")
    pictures = {}
    for label, row in rows.items():
        if row.ndim != 4 or not row.size:
            raise ValueError(f"row {label!r} is uint8 [T, H, W, C], not {row.shape}")
        pictures[label] = enlarge(as_rgb(row), scale)

    font = ImageFont.load_default(_TEXT)
    left = 2 * _GAP + max(_size(font, label)[0] for label in rows)
    top = _GAP + _TEXT + _GAP
    columns = max(len(row) for row in pictures.values())
    width = max(
        *(row.shape[2] for row in pictures.values()),
        _size(font, str(first_frame + columns - 1))[0],
    )
    heights = [max(row.shape[1], _size(font, label)[1] + _GAP) for label, row in pictures.items()]
    sheet = Image.new(
        "RGB",
        (left + columns * (width + _GAP), top + sum(heights) + _GAP * len(heights)),
        _PAPER,
    )
    pen = ImageDraw.Draw(sheet)
    for column in range(columns):
        middle = left + column * (width + _GAP) + width // 2
        pen.text(
            (middle, top - _GAP), str(first_frame + column), fill=_FAINT, font=font, anchor="mb"
        )
    y = top
    for (label, row), height in zip(pictures.items(), heights, strict=True):
        pen.multiline_text((_GAP, y + height // 2), label, fill=_INK, font=font, anchor="lm")
        for column, picture in enumerate(row):
            x = left + column * (width + _GAP) + (width - picture.shape[1]) // 2
            sheet.paste(Image.fromarray(np.ascontiguousarray(picture)), (x, y))
        y += height + _GAP
    with written_whole(path) as lent:
        sheet.save(lent, format="PNG")


def _size(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> tuple[int, int]:
    """Width and height in pixels of a label, which may have several lines."""
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left, top, right, bottom = pen.multiline_textbbox((0, 0), text, font=font)
    return round(right - left), round(bottom - top)
