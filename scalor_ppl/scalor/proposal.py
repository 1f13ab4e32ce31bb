"""Settings of SCALOR that follow from a survey of a video, each with its reason."""

from math import ceil, hypot

from scalor_ppl.data.records import Size
from scalor_ppl.fitting.kinds import Percentiles
from scalor_ppl.fitting.objects import ObjectStatistics
from scalor_ppl.fitting.pace import choose_pace
from scalor_ppl.fitting.proposal import Proposal, objects_to_fit, origin_in_words
from scalor_ppl.fitting.reasons import Draft
from scalor_ppl.fitting.survey import Survey
from scalor_ppl.fitting.view import View, choose_data, choose_view
from scalor_ppl.scalor.settings import TRACKS_WITH

_SIGMA = (0.03, 0.15)  # bounds of the pixels' standard deviation
_FEW = 4  # objects in view
_FEWEST_SLOTS = 8
_LARGEST = 1.2  # median objects, the side of the largest box
_SMALLEST = 0.85  # small objects (the lower percentile), the side of the smallest box
# With the distance taken out, single objects hardly differ, and a patch is larger than its object.
_LARGEST_ON_PLANE = 1.05
_SMALLEST_ON_PLANE = 0.75
_LARGEST_OF_ALL = 1.1  # large objects (the upper percentile), where they really differ
_MOSTLY_ALONE = 0.8  # share of all that moves that whole, single objects are
_NEAR = 0.5  # boxes, within which a proposal is no object of its own
_VANISH = 0.04  # of its box, which a tracked object covers at least; less keeps ghosts in training
_LEAST_SIDE = 3.0  # pixels of a box
_GLIMPSE = (8, 24)  # pixels
_LITTLE = 0.25  # pixels, for which a glimpse is not made two pixels larger
_LARGE_TRAINING = 20_000  # pixels of a frame from which the batch is small


def propose(survey: Survey) -> Proposal:
    """Settings for a video.

    What the user has given with `SourceOptions` (start, stop, stride, resize, crop, channels,
    levels) is taken over. Where the camera moves, sizes and numbers of objects are guesses, and
    the reasons say so.

    Raises:
        UserError: nothing moves in the video, or what moves is too faint or too seldom whole.
    """
    objects = objects_to_fit(survey)
    view = choose_view(survey, objects)
    draft = Draft()
    choose_data(draft, survey, objects, view)
    _choose_objects(draft, survey, objects, view)
    _choose_scene(draft, survey, objects, view)
    _choose_training(draft, survey, view)
    return Proposal(draft.settings, draft.reasons, objects)


def _choose_objects(draft: Draft, survey: Survey, objects: ObjectStatistics, view: View) -> None:
    given = survey.given
    guess, number = (origin_in_words(survey, known) for known in (given.size, given.count))
    grid = _grid(view)
    draft.choose(
        "model.grid",
        list(grid),
        f"cells of {view.cell} pixels, about half of an object's mean side",
    )
    slots = max(_FEWEST_SLOTS, 2 * round(view.objects))
    seen = f"{number}up to {view.objects:.0f} objects in view"
    draft.choose("model.capacity", slots, f"{seen}; twice that, at least {_FEWEST_SLOTS}")
    cells = grid[0] * grid[1]
    draft.choose("model.proposals", min(2 * slots, cells), "twice the capacity, as far as cells go")
    plane = objects.plane if view.crop is None else None  # crops do not know where they lie
    placed = plane or objects
    for name, sides in (("object_width", placed.widths), ("object_height", placed.heights)):
        low, middle, high = (view.scale * side for side in sides)
        scaled: Percentiles = (low, middle, high)
        if objects.kinds or objects.turning:
            bounds, why = _wide_bounds(scaled, "are of two sizes" if objects.kinds else "turn")
        else:
            bounds, why = _bounds(scaled, plane is not None)
        draft.choose(f"model.{name}", bounds, guess + why)
    if plane is not None:
        lower = "larger" if plane.perspective > 0 else "smaller"
        draft.choose(
            "model.perspective",
            round(plane.perspective, 2),
            f"objects are {lower} the lower they are; boxes' sizes are those in the middle row",
        )
    # Of two kinds, the larger has the more to be painted, and of those that turn the long side.
    which = 2 if objects.kinds or objects.turning else 1
    glimpse = [_glimpse(sides[which] * view.scale) for sides in (objects.heights, objects.widths)]
    whose = "a large" if which == 2 else "the median"
    draft.choose(
        "model.glimpse", glimpse, f"{guess}height and width of {whose} object and a fifth more"
    )
    pixels = glimpse[0] * glimpse[1]
    what = 16 if survey.channels == 1 else 24 if pixels <= 16**2 else 32
    looks = "grey" if survey.channels == 1 else "coloured"
    draft.choose("model.what", what, f"glimpses are {looks} and have {pixels} pixels")
    draft.choose("model.decoder", "fc", "glimpses are small")
    draft.choose("guide.encoder", "fc", "glimpses are small")
    _choose_centres(draft, objects)
    near = "limbs and rims of one object must not become objects"
    draft.choose("model.rules.duplicate_radius", _NEAR, near)
    draft.choose("model.rules.near_tracked", _NEAR, near)
    if view.crop is None:
        little = "what is behind a part of the scene, or looks new, shows little of itself"
        draft.choose("model.rules.vanish_share", _VANISH, little)
    draft.choose("model.rules.doubled", True, "two trackers must not stay on one object")
    pace = choose_pace(survey, objects, view)
    draft.choose("data.stride", pace.stride, pace.stride_why)
    if pace.stride > survey.options.stride:
        slow = "frames are left out for the training alone"
        draft.choose("data.track_stride", survey.options.stride, slow)
    draft.choose("model.max_step", pace.largest_step, pace.largest_step_why)
    if survey.motion is not None and survey.motion.directed:
        draft.choose("prior.propagation", TRACKS_WITH, "objects go on as they went")
    else:
        draft.choose("prior.propagation", "recurrent", "where objects went does not tell more")


def _choose_centres(draft: Draft, objects: ObjectStatistics) -> None:
    # Of who is half hidden the mask's centre of mass is that of the visible half: it leaps.
    alone = 0.0 if objects.evidence is None else objects.evidence.alone
    if alone >= _MOSTLY_ALONE:
        centred, why = True, "objects are mostly seen alone: they are where their mass is"
    else:
        centred, why = False, "objects often hide each other: of half a one the mass lies elsewhere"
    draft.choose("model.centred", centred, why)
    draft.choose("guide.correct", centred, why)


def _grid(view: View) -> Size:
    """Rows and columns of discovery cells in the view of the training."""
    return ceil(view.training[0] / view.cell), ceil(view.training[1] / view.cell)


def _bounds(sides: Percentiles, on_plane: bool) -> tuple[list[float], str]:
    """Range of a side of the box in resized pixels, and why."""
    low, middle, high = sides
    # The upper percentile can hold merged objects, and a box that is wide enough for two side by
    # side finds one where there are two.
    upper = min(1.3 * high, (_LARGEST_ON_PLANE if on_plane else _LARGEST) * middle)
    # And one that is low enough for half of an object finds two where there is one.
    lower = max(_LEAST_SIDE, _SMALLEST * low)
    if on_plane:
        lower = max(lower, _SMALLEST_ON_PLANE * middle)
    bounds = [round(lower, 1), round(max(upper, (1.2 if on_plane else 1.5) * lower), 1)]
    return bounds, (
        f"9 of 10 patches have {low:.3g} to {high:.3g} pixels, half of them up to "
        f"{middle:.3g}; a box for two finds one, a box for half of one finds two"
    )


def _wide_bounds(sides: Percentiles, they: str) -> tuple[list[float], str]:
    """The same where objects really differ: from the small or short to the large or long."""
    low, _, high = sides
    bounds = [round(max(_LEAST_SIDE, _SMALLEST * low), 1), round(_LARGEST_OF_ALL * high, 1)]
    return bounds, f"objects {they}, and have {low:.3g} to {high:.3g} pixels in all"


def _glimpse(side: float) -> int:
    """Pixels of a glimpse for a side of the box."""
    low, high = _GLIMPSE
    return min(max(2 * ceil(1.2 * side / 2 - _LITTLE), low), high)


def _choose_scene(draft: Draft, survey: Survey, objects: ObjectStatistics, view: View) -> None:
    # What the decoder cannot paint adds to the camera's noise.
    unpainted = objects.unpainted
    if unpainted is None:
        unpainted = objects.contrast / 4
        why = f"objects stand out by {objects.contrast:.2g}, of which a quarter is a guess"
    elif objects.count[0] < _FEW and unpainted < objects.contrast / 6:
        # Looks of the same two tell little of what they look like otherwise.
        unpainted = objects.contrast / 6
        why = f"few objects stand out by {objects.contrast:.2g}, of which a sixth is a guess"
    else:
        why = f"{unpainted:.2g} of the objects is beyond what eight learned shapes paint"
    sigma = min(max(hypot(survey.noise, unpainted), _SIGMA[0]), _SIGMA[1])
    why = f"noise is {survey.noise:.2g} of the brightness range, {why}"
    draft.choose("model.sigma", round(sigma, 3), why)
    if survey.static:
        still = "the camera stands still"
        draft.choose("model.background", "template", f"{still}, so the scene is one image")
        draft.choose("guide.difference", True, f"{still}, so what differs from it is an object")
        if survey.channels == 1:
            blind, why = False, "objects are grey: bright and dark is all they are told by"
        else:
            blind, why = True, "objects are found whatever their colours: others may come"
        draft.choose("guide.colour_blind", blind, why)
    else:
        moves = "the camera moves"
        draft.choose("model.background", "vae", f"{moves}, so the background changes")
        draft.choose("model.background_dim", 24, f"{moves}, so the background has many looks")
        draft.choose("guide.difference", False, f"{moves}, so there is no fixed background")
    if view.crop is not None:
        crops = "trained on crops, run on whole frames"
        draft.choose("model.frame", list(view.frame), f"{crops}: their size")
        draft.choose("model.anywhere", True, f"{crops}, so it is not told where it looks")
        window = [min(8, side) for side in _grid(view)]
        draft.choose("guide.window", window, f"{crops}: as many cells in both")


def _choose_training(draft: Draft, survey: Survey, view: View) -> None:
    large = view.training[0] * view.training[1] > _LARGE_TRAINING
    looks = f"{view.training[0]} x {view.training[1]} pixels a frame"
    draft.choose("train.batch", 2 if large else 4, looks)
    taken = survey.frames * survey.options.stride // draft.settings["data"]["stride"]
    if draft.settings["data"]["augment"]:
        # Not without: more identities were exchanged then than with adam (RESULTS.md).
        draft.choose("train.optimizer", "muon", "with mirrored clips it finds more than adam")
    if view.crop is not None:
        draft.choose("train.frames", 8, "crops are small, so clips can be longer")
        draft.choose("train.chunks", 1, "each step has new crops")
        return
    draft.choose("train.frames", 6, "whole frames; states are carried from clip to clip")
    chunks = max(1, min(10, taken // 6))
    draft.choose("train.chunks", chunks, f"10 clips in a row, as far as {taken} frames go")
