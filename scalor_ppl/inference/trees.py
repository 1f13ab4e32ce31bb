"""What a program says about a clip, or without one, as an xarray DataTree in ArviZ's groups."""

from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import xarray as xr
from pyro import poutine

from scalor_ppl.errors import UserError
from scalor_ppl.inference.alignment import aligned
from scalor_ppl.inference.certainty import (
    calibrated_draws,
    count_in_words,
    counts_in_view,
    deviations_in_words,
)
from scalor_ppl.inference.draws import draw_posterior, reference_tracks, to_samples
from scalor_ppl.inference.generation import imagine
from scalor_ppl.programs import FindsObjects, Program
from scalor_ppl.results.datatree import (
    codes,
    deviations_before,
    drawn_video,
    frame_densities,
    latents,
    observed_video,
    statistics,
)
from scalor_ppl.results.samples import Codes, by_object
from scalor_ppl.tracks.table import EMPTY


def posterior_tree(
    program: Program,
    clip: np.ndarray,
    *,
    draws: int = 100,
    seed: int = 0,
    images: int | None = None,
) -> xr.DataTree:
    """Draw from the posterior of a clip.

    ``object`` means the same in all draws: the identities are those of the most likely account,
    and the objects of every draw are matched with it (see :mod:`scalor_ppl.inference.alignment`).
    Where a draw has no such object, presence is 0 and the rest NaN; its objects that match nothing
    are in ``count`` and in ``sample_stats.unmatched`` only.

    With a calibration, centres and sizes of the draws lie about that account, and their central
    90 % are as wide as it says; see :mod:`scalor_ppl.results.rescaled`.

    Args:
        program: trained.
        clip: ``[T, H, W, C]`` uint8.
        draws: how many.
        seed: of the draws.
        images: how many draws keep the video that they render (0: the group is left out); all by
            default.

    Returns:
        Groups ``posterior``, ``posterior_predictive``, ``log_likelihood``, ``observed_data`` and
        ``sample_stats``; variables are described in :mod:`scalor_ppl.results.datatree`.

    Raises:
        UserError: no draws, or a clip that is none or has another size than the program's.
    """
    if draws < 1:
        raise UserError(f"{draws} draws: ask for at least 1")
    if images is not None and not 0 <= images <= draws:
        raise UserError(f"{images} images: give 0 to {draws}, the number of draws")
    if clip.ndim != 4 or clip.dtype != np.uint8 or not len(clip):
        raise UserError(
            f"the clip is {clip.dtype} {list(clip.shape)}: give uint8 [frames, height, width, "
            "channels] with at least one frame"
        )
    program.check_fits("the clip", *clip.shape[1:])
    samples, densities = draw_posterior(program, clip, draws=draws, seed=seed, images=images)
    more = xr.Dataset()
    figures = {
        "log_weight": (densities.weight, "log p(x, z) - log q(z | x)", "nats"),
        "log_prior": (densities.prior, "log p(z)", "nats"),
        "log_guide": (densities.guide, "log q(z | x)", "nats"),
    }
    if isinstance(samples, Codes):
        drawn, said = codes(samples), "draws from the guide"
    else:
        reference = reference_tracks(program, clip)
        names, identities = aligned(reference, samples.tracks)
        objects = by_object(samples, identities)
        honest = calibrated_draws(program, reference, names, objects)
        drawn = latents(samples, objects if honest is None else honest.objects, names)
        for name in ("centre_x", "centre_y", "width", "height"):
            drawn[name].attrs["deviations"] = deviations_in_words(program)
        in_view = counts_in_view(program, reference, samples, seed)
        drawn["count_in_view"] = drawn["count"].copy(data=in_view[None])
        drawn["count_in_view"].attrs["description"] = count_in_words(program)
        said = "draws from the guide, objects aligned with the most likely"
        if honest is not None:
            more = deviations_before(honest, names)
            said += "; centres and sizes moved from their median to have calibrated deviations"
        figures["unmatched"] = (
            objects.others,
            "objects that live and match none of the most likely account",
            "objects",
        )
    groups = {
        "posterior": (drawn, said),
        "log_likelihood": (frame_densities(densities.likelihood), "by frame"),
        "observed_data": (observed_video(clip), "the clip"),
        "sample_stats": (
            statistics(figures).merge(more),
            "densities over all latents of the clip, and objects left over by the alignment",
        ),
    }
    if len(samples.video):
        groups["posterior_predictive"] = (drawn_video(samples.video), "the clip as rendered")
    return _tree(program, groups, seed)


def prior_tree(
    program: Program,
    *,
    videos: int,
    frames: int,
    seed: int = 0,
    first_rate: float | None = None,
    rate: float | None = None,
) -> xr.DataTree:
    """Sample videos from the priors, each of them a draw.

    ``object`` is the identity within a draw; object 2 of one draw has nothing to do with object 2
    of another.

    Args:
        program: trained.
        videos: how many.
        frames: how long.
        seed: of the samples.
        first_rate: as in :func:`scalor_ppl.inference.generation.imagine`.
        rate: likewise.

    Returns:
        Groups ``prior`` and ``prior_predictive``.
    """
    with poutine.trace() as run:
        scene = imagine(
            program, videos=videos, frames=frames, seed=seed, first_rate=first_rate, rate=rate
        )
    samples = to_samples(scene, run.trace, program)
    said = "videos sampled from the priors"
    if isinstance(samples, Codes):
        drawn = codes(samples)
    else:
        most = 1 + max(int(tracks.ids.max(initial=EMPTY)) for tracks in samples.tracks)
        names = np.arange(most)
        drawn = latents(samples, by_object(samples, np.tile(names, (len(samples), 1))), names)
        said = f"{said}; objects of different draws are unrelated"
    groups = {
        "prior": (drawn, said),
        "prior_predictive": (drawn_video(samples.video), "the same videos as rendered"),
    }
    return _tree(program, groups, seed)


def _tree(program: Program, groups: dict[str, tuple[xr.Dataset, str]], seed: int) -> xr.DataTree:
    """Groups with their descriptions, and what all of them say about their origin."""
    config = program.config
    origin = {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "creation_library": "scalor-ppl",
        "creation_library_version": version("scalor-ppl"),
        "inference_library": "pyro",
        "inference_library_version": version("pyro-ppl"),
        "model": config.model_file,
        "guide": config.guide_file,
        "config": config.model_dump_json(exclude_none=True),
        "seed": seed,
    }
    if isinstance(program, FindsObjects):
        origin["presence"] = program.presence_in_words()
    return xr.DataTree.from_dict(
        {
            name: dataset.assign_attrs({"description": said} | origin)
            for name, (dataset, said) in groups.items()
        }
    )
