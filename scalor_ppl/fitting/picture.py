"""A picture of what a survey takes for objects: boxes on frames from all over a video."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scalor_ppl.files import written_whole
from scalor_ppl.fitting.objects import Sighting
from scalor_ppl.fitting.plan import FitPlan
from scalor_ppl.results.pixels import as_rgb

_COLUMNS = 3
_WIDEST = 640  # pixels of a frame on the sheet
_SMALLEST = 320  # likewise, of small ones, which are enlarged
_GAP = 6
_TEXT = 14
_PAPER, _INK = (255, 255, 255), (20, 20, 20)
_SINGLE, _OTHER, _GUESS = (60, 230, 90), (255, 150, 30), (255, 70, 70)


def draw_plan(plan: FitPlan, path: Path) -> None:
    """Write a PNG that shows what a plan takes for objects, atomically.

    Green boxes are single objects, those whose size was measured; orange ones hold what is larger
    or smaller than one, with the number of objects that it is taken for. Where objects are a guess
    the box of one is red, in the middle.

    Args:
        plan: of a training.
        path: the file, NAME.png.

    Raises:
        UserError: the file cannot be written.
    """
    survey = plan.survey
    seen = survey.objects.evidence if survey.objects is not None else None
    if seen is not None:
        panels = [_panel(sighting, survey.options.stride) for sighting in seen.sightings]
        key = "green: single objects, measured; orange: several, or a part of one"
    else:
        panels = [_panel(_guessed(plan, *shown), survey.options.stride) for shown in survey.sample]
        key = "red: the size of an object, which is a guess or given, anywhere in the frame"
    said = [f"{belief.name}: {belief.value} ({belief.sure})" for belief in plan.beliefs]
    sheet = _sheet(panels, [f"{survey.name}  {survey.size[1]} x {survey.size[0]}", *said, key])
    with written_whole(path) as lent:
        sheet.save(lent, format="PNG")


def _guessed(plan: FitPlan, number: int, picture: np.ndarray) -> Sighting:
    """A frame with one box of the guessed size in its middle."""
    height, width = picture.shape[:2]
    scale = width / plan.survey.size[1]
    across, down = (scale * side for side in plan.size)
    box = np.array([[(width - across) / 2, (height - down) / 2, across, down]])
    return Sighting(number, picture, box, np.array([0.0]), np.array([False]))


def _panel(sighting: Sighting, stride: int) -> Image.Image:
    """A frame with its boxes, and its number in the file above it."""
    frame = as_rgb(sighting.picture)
    height, width = frame.shape[:2]
    scale = min(_WIDEST / width, max(1.0, _SMALLEST // width))
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    picture = Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.BOX)
    panel = Image.new("RGB", (size[0], size[1] + _TEXT + _GAP), _PAPER)
    panel.paste(picture, (0, _TEXT + _GAP))
    pen, font = ImageDraw.Draw(panel), ImageFont.load_default(_TEXT)
    total = int(sighting.objects.sum())
    text = f"frame {sighting.number * stride}" + (f": {total}" if total else "")
    pen.text((0, 0), text, fill=_INK, font=font)
    found = zip(sighting.boxes.tolist(), sighting.objects, sighting.single, strict=True)
    for (left, top, across, down), objects, single in found:
        colour = _SINGLE if single else _OTHER if objects else _GUESS
        corner = (scale * left, scale * top + _TEXT + _GAP)
        pen.rectangle(
            (*corner, corner[0] + scale * across, corner[1] + scale * down), outline=colour, width=2
        )
        if objects > 1:
            pen.text((corner[0] + 4, corner[1] + 2), f"{objects:.0f}", fill=colour, font=font)
    return panel


def _sheet(panels: list[Image.Image], lines: list[str]) -> Image.Image:
    """Panels in rows, under lines of text."""
    font = ImageFont.load_default(_TEXT)
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    wide = max(panel.width for panel in panels)
    high = max(panel.height for panel in panels)
    top = _GAP + len(lines) * (_TEXT + _GAP)
    text = max(round(font.getlength(line)) for line in lines)
    width = max(columns * (wide + _GAP) + _GAP, text + 2 * _GAP)
    sheet = Image.new("RGB", (width, top + rows * (high + _GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for n, line in enumerate(lines):
        pen.text((_GAP, _GAP + n * (_TEXT + _GAP)), line, fill=_INK, font=font)
    for n, panel in enumerate(panels):
        row, column = divmod(n, columns)
        sheet.paste(panel, (_GAP + column * (wide + _GAP), top + row * (high + _GAP)))
    return sheet
