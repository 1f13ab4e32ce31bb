"""How the video is read for the training."""

from scalor_ppl.fitting.draft import Draft
from scalor_ppl.fitting.moving import Objects
from scalor_ppl.fitting.survey import Survey
from scalor_ppl.fitting.view import View


def choose_data(draft: Draft, survey: Survey, objects: Objects, view: View) -> None:
    """Size, crops, channels, levels and range of the frames; what the user has given stays.

    Whole frames before a camera that stands still are mirrored and reversed in time, the template
    with them: programs then track frames better that they were not trained on (RESULTS.md). Crops
    are no better for it (RESULTS.md).
    """
    options = survey.options
    size = f"{objects.widths[1]:.3g} x {objects.heights[1]:.3g} pixels (width x height)"
    if options.resize is not None:
        draft.choose("data.resize", list(view.frame), "as asked for")
    elif view.frame != survey.size:
        why = f"the median object is {size}, {objects.size * view.scale:.3g} on average then"
        if survey.objects is None:
            why = f"a guess, for the camera moves and objects could not be measured; {why}"
        elif view.scale == 1:
            why = f"whole cells of {view.cell} pixels"
        draft.choose("data.resize", list(view.frame), why)
    if view.crop is not None:
        why = (
            f"{objects.count[1]:.0f} objects in {view.frame[0]} x {view.frame[1]} pixels are too "
            "many at once, and any part of the frame is like the others"
        )
        draft.choose("data.crop", list(view.crop), "as asked for" if options.crop else why)
    if options.channels is not None:
        draft.choose("data.channels", options.channels, "as asked for")
    elif survey.channels == 1:
        draft.choose("data.channels", 1, "the video has no colour")
    if options.levels is not None:
        draft.choose("data.levels", list(options.levels), "as asked for")
    elif survey.levels is not None:
        used = survey.levels[1] - survey.levels[0]
        why = f"all brightness lies within {used} of 255 levels: low contrast"
        draft.choose("data.levels", list(survey.levels), why)
    for name, value in (("start", options.start or None), ("stop", options.stop)):
        if value is not None:
            draft.choose(f"data.{name}", value, "as asked for")
    if not survey.static:
        draft.choose("data.augment", False, "whether objects have an upright is not known")
    elif view.crop is not None:
        draft.choose("data.augment", False, "patches from anywhere in the frame vary enough")
    else:
        why = "mirrored and reversed, the scene with them, few objects look and move like more"
        draft.choose("data.augment", True, why)
