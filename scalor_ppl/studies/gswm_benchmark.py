"""G-SWM's benchmark: what a program foresees without sampling, beside what can be had without it.

*stands still* leaves every ball where it is in the last frame seen. *constant velocity and walls*
knows its velocity, but no other ball. *perfect simulator* is the set's own physics from a start
that is not known exactly: positions are off by so many pixels (standard deviation of each
coordinate), velocities by a fifth of it a frame. The fifth is our choice: with it OCCLUSION gives
the 0.150 that was measured on the published simulator; errors of positions alone give 0.098.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scalor_ppl.data.balls import go_on
from scalor_ppl.data.discs import DiscSource
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.summed_error import SummedError, assigned_distances, summed_error
from scalor_ppl.programs import Program
from scalor_ppl.studies.foreseeing import ForesightQuestion, imagined_clips
from scalor_ppl.tracks.table import Tracks

NOISES = (0.5, 0.1)
"""Standard deviations of the starting positions of the perfect simulator, in pixels."""
VELOCITY_NOISE = 0.2
"""That of starting velocities over that of positions, a frame."""
ARRIVED = 0.5
"""How far from its corner the single ball may end, in radii, to have gone fully left or right."""


@dataclass(frozen=True)
class Turns:
    """Where draws send the single ball.

    Attributes:
        draws: how many there are in all.
        left: share that ends on the left.
        fully: share that ends in the left or the right corner.
    """

    draws: int
    left: float
    fully: float


def floors(source: DiscSource, question: ForesightQuestion) -> dict[str, SummedError]:
    """The errors of predictions from true states, by what is known, in words.

    Raises:
        UserError: the set's clips are shorter than what is asked.
    """
    spec, last = source.spec, question.observe - 1
    names = ["stands still"]
    if spec.motion == "bounce":
        names.append("constant velocity and walls")
        names += [f"perfect simulator, {noise:g} px off" for noise in NOISES]
    distances: dict[str, list[np.ndarray]] = {name: [] for name in names}
    objects = 0
    rng = np.random.default_rng(question.seed)
    for index in range(question.clips):
        shown = source.discs(index, question.frames)
        place, velocity = shown.centres[last], shown.velocities[last]
        true, steps = shown.centres[question.observe :], question.ahead + 1
        objects += len(place)
        guesses = [np.broadcast_to(place, true.shape)]
        if spec.motion == "bounce":
            guesses.append(go_on(replace(spec, layers=0), place, velocity, steps)[0][1:])
            for noise in NOISES:
                off = rng.normal(0, noise, (2, *place.shape))
                start, pace = place + off[0], velocity + VELOCITY_NOISE * off[1]
                guesses.append(go_on(spec, start, pace, steps)[0][1:])
        for name, guess in zip(names, guesses, strict=True):
            # From true states: every prediction is known to be of its own ball.
            distances[name].append(np.linalg.norm(guess - true, axis=-1))
    return {
        name: summed_error(each, objects=objects, side=spec.view)
        for name, each in distances.items()
    }


def foreseen(
    program: Program,
    source: DiscSource,
    question: ForesightQuestion,
    tell: Callable[[str], None] = lambda text: None,
) -> SummedError:
    """The error of what a program takes for most likely: nothing is sampled.

    Raises:
        UserError: as `foreseeing.foresee_clips`.
    """
    distances, objects = [], 0
    once = replace(question, draws=1)
    for clip, (tracks,) in imagined_clips(program, source, once, tell, likeliest=True):
        assert clip.truth is not None
        true = clip.truth.middles()[question.observe :]
        objects += true.shape[1]
        distances.append(assigned_distances(_after(tracks, question.observe), true))
    return summed_error(distances, objects=objects, side=source.spec.view)


def turns(program: Program, source: DiscSource, question: ForesightQuestion) -> Turns:
    """Where a program's draws send the single ball; those that lose it are not fully anywhere.

    Raises:
        UserError: the set is another one, or the draws end before the ball has arrived.
    """
    spec = source.spec
    if spec.motion != "falls" or question.frames != spec.frames:
        raise UserError(
            f"the way of the single ball is asked of all {spec.frames} frames of its set: "
            f"give --ahead {spec.frames - question.observe}"
        )
    ends = []
    for _, draws in imagined_clips(program, source, question):
        for tracks in draws:
            last = _after(tracks, question.observe)[-1]
            there = last[np.isfinite(last[:, 0])]
            ends.append(there[0] if len(there) else np.full(2, np.nan))
    found = np.array(ends)
    corners = np.array(
        [(x, spec.view - spec.radius) for x in (spec.radius, spec.view - spec.radius)]
    )
    apart = np.linalg.norm(found[:, None] - corners, axis=-1).min(1)
    known = np.isfinite(found[:, 0])
    left = float((found[known, 0] < spec.view / 2).mean()) if known.any() else float("nan")
    return Turns(len(found), left, float((apart < ARRIVED * spec.radius).mean()))


def _after(tracks: Tracks, observe: int) -> np.ndarray:
    """[H, M, 2] positions, from the first predicted frame, of the trackers that are there in it."""
    first_ids = tracks.ids[observe][tracks.present()[observe]]
    places = np.full((tracks.frames - observe, len(first_ids), 2), np.nan)
    middles = tracks.middles()
    for step, frame in enumerate(range(observe, tracks.frames)):
        same = (tracks.ids[frame][None] == first_ids[:, None]) & tracks.present()[frame]
        there = same.any(1)
        places[step, there] = middles[frame][same.argmax(1)[there]]
    return places
