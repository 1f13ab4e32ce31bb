"""The public face: train, load, infer, track, evaluate, generate, msd.

Nothing heavy is imported before a function is called.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scalor_ppl.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd
    import xarray as xr

    from scalor_ppl.evaluation.motion import MotionTables
    from scalor_ppl.programs import Program


def train(
    data: str | Path = "moving-dsprites-vld",
    *,
    out: str | Path,
    model: str = "scalor",
    guide: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    resume: bool = False,
) -> Program:
    """Train a program, and give it back trained.

    A training that ends with a phase for its priors (``train.priors.steps``; presets of registered
    sets have one) does so here, too. Where that cannot be, a warning says why.

    Args:
        data: registered set, or path of a video.
        out: folder of the run, to be made.
        model: a program's name, or its model's file or module.
        guide: its guide's file or module; that of a named program by default.
        preset: a preset's name, or a TOML file; the one that fits program and data by default.
        settings: over the preset, nested: ``{"train": {"steps": 500, "seed": 1}}``.
        device: auto, cpu, cuda or cuda:N.
        resume: go on with the run in ``out``, with its own configuration; of all others only
            ``device`` is looked at.

    Raises:
        UserError: something is wrong with what was given, or the folder is in use.
        TrainingError: too many steps in a row were not finite.
    """
    from scalor_ppl.config.settings import merged
    from scalor_ppl.programs.configuration import preset_for, resolve
    from scalor_ppl.programs.registry import files_of
    from scalor_ppl.training.parts import check_goes_on, phase_of, train_part
    from scalor_ppl.training.runs import run_config
    from scalor_ppl.training.start import start_training

    if resume:
        check_goes_on(Path(out))
        config = run_config(Path(out))
    else:
        model_file, guide_file = files_of(model, guide)
        name = preset or preset_for(str(data), model_file)
        own: dict[str, Any] = {"data": {"source": str(data)}, "model_file": model_file}
        if guide_file is not None:
            own["guide_file"] = guide_file
        config = resolve(name, [], merged(settings or {}, own))
    outcome = start_training(config, Path(out), device=device, resume=resume)
    if phase_of(config) and not outcome.interrupted:
        try:
            train_part("priors", Path(out), run_config(Path(out)), Path(out), device=device)
        except UserError as error:
            warnings.warn(f"its priors stay as the training left them: {error}", stacklevel=2)
    return load(out, device)


def load(
    run: str | Path,
    device: str = "auto",
    *,
    trust: bool = False,
    refine: int | None = None,
    compiled: bool = False,
) -> Program:
    """The trained program of a run: model, guide and configuration.

    Args:
        run: its folder, or ``pretrained:NAME``.
        device: auto, cpu, cuda or cuda:N.
        trust: run code that its folder names, from now on; see :mod:`scalor_ppl.programs.trust`.
        refine: steps of gradient that better a frame's where and what; its own by default.
        compiled: compile the refinement at first use, for many frames.

    Raises:
        UserError: there is no such run or device, or it names code that nobody vouched for.
    """
    from scalor_ppl.programs.trust import trusting
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run

    with trusting() if trust else nullcontext():
        return load_run(Path(run), pick_device(device), refine=refine, compiled=compiled)


def infer(
    program: Program,
    video: np.ndarray | str | Path,
    draws: int = 100,
    seed: int = 0,
    *,
    clip: int = 0,
    frames: int = 10,
) -> xr.DataTree:
    """Draw from the posterior of a clip; see :func:`scalor_ppl.inference.trees.posterior_tree`.

    Args:
        program: trained.
        video: uint8 ``[T, H, W, C]``, all of which is used; or a registered set, a video file or a
            folder, as ``scalor-ppl infer`` takes them.
        draws: how many.
        seed: of the draws.
        clip: which clip of a set, file or folder.
        frames: length of that clip.

    Returns:
        Groups ``posterior``, ``posterior_predictive``, ``log_likelihood``, ``observed_data`` and
        ``sample_stats``.

    Raises:
        UserError: there is no such video, it has another size than the program's, or no draws.
    """
    from scalor_ppl.inference.trees import posterior_tree
    from scalor_ppl.training.sources import open_clip

    if isinstance(video, str | Path):
        video = open_clip(program.config.data, str(video), clip, frames)
    return posterior_tree(program, video, draws=draws, seed=seed)


def track(
    program: Program,
    video: str | Path,
    *,
    threshold: float = 0.5,
    recognise: bool = True,
    join: bool = True,
    measure: bool = False,
    separation: float = 0.0,
    start: int | None = None,
    stop: int | None = None,
) -> pd.DataFrame:
    """Track the objects of a video file, a folder of images or a MOTChallenge sequence.

    Args:
        program: trained, of a kind that finds objects.
        video: its path.
        threshold: least confidence of a row, 0..1.
        recognise: give an object that comes back its former identity, by its looks.
        join: join tracks that break where an object is hidden, by motion and looks.
        measure: measure centres in the frames, and their deviations, see
            :mod:`scalor_ppl.tracking.registration`; for small objects, brighter or darker than what
            is around them.
        separation: of two objects that are closer, in pixels of the video, the surer is kept, see
            :mod:`scalor_ppl.tracks.separation`; 0 keeps both.
        start, stop: range of frames, from 0, ``stop`` excluded; the run's own by default.

    Returns:
        A row for each object and frame: ``frame`` (from 0), ``id``, ``left``, ``top``, ``width``,
        ``height``, ``x``, ``y`` (the centre of mass; all in pixels of the video), ``x_std``,
        ``y_std`` (of the centre, NaN where nobody knows), ``confidence`` (0..1), ``discovered``,
        ``depth`` (smaller is nearer), ``presence`` (the confidence under its former name) and
        ``link`` (0..1, below 1 where a gap was joined).

    Raises:
        UserError: the program finds no objects, or the video cannot be read or has a size that the
            program cannot track.
    """
    import numpy as np
    import pandas as pd

    from scalor_ppl.programs import FindsObjects, require
    from scalor_ppl.tracking import joined_stream, recognised_stream, track_video
    from scalor_ppl.tracking.table import ROW, rows_of

    require(program, FindsObjects, "track")
    stream = track_video(program, video, start=start, stop=stop, measure=measure)
    found = recognised_stream(stream) if recognise else stream
    found = joined_stream(found) if join else found
    written = (each.separated(separation, threshold=threshold) for each in found)
    rows = [rows_of(tracked, threshold) for tracked in written]
    return pd.DataFrame.from_records(np.concatenate(rows) if rows else np.empty(0, ROW))


def evaluate(
    program: Program,
    data: str | Path | None = None,
    *,
    clips: int = 100,
    frames: int = 10,
    data_seed: int | None = None,
    bound: str | None = None,
    particles: int = 100,
) -> dict[str, Any]:
    """Score a program on clips that it was not trained on, where the data are a registered set.

    Args:
        program: trained.
        data: registered set or path; the run's own by default.
        clips: how many.
        frames: length of each.
        data_seed: of generated clips; the run's own by default.
        bound: bound log p(x) too: ``elbo`` or ``iwae``.
        particles: draws per clip for the bound.

    Returns:
        ``mse``, the mean squared error of a pixel; for a program that finds objects, on data with
        ground truth, the tracking scores by rule (``standard``, ``plain``, ...); ``bound`` where it
        is asked for.

    Raises:
        UserError: there are no such data, or they are of another size than the program's.
    """
    from scalor_ppl.inference.bounds import bound_of
    from scalor_ppl.inference.scoring import reconstruction_error, tracked
    from scalor_ppl.programs import FindsObjects
    from scalor_ppl.training.sources import chosen, open_data

    named = None if data is None else str(data)
    source = open_data(chosen(program.config.data, named, seed=data_seed), "test")
    figures: dict[str, Any] = {}
    if isinstance(program, FindsObjects) and source.clip(0, frames).truth is not None:
        scores = tracked(program, source, clips=clips, frames=frames).scores
        figures |= {rule: each.to_dict() for rule, each in scores.items()}
    figures["mse"] = reconstruction_error(program, source, clips=clips, frames=frames)
    if bound is not None:
        figures["bound"] = bound_of(
            program, source, estimator=bound, particles=particles, clips=clips, frames=frames
        ).to_dict()
    return figures


def generate(
    program: Program,
    *,
    videos: int = 1,
    frames: int = 20,
    seed: int = 0,
    observed: np.ndarray | None = None,
) -> np.ndarray:
    """Sample videos from scratch, or imagine how an observed clip goes on.

    Args:
        program: trained.
        videos: how many; with an observed clip, one.
        frames: length, observed frames included.
        seed: of the samples.
        observed: uint8 ``[T, H, W, C]``, T less than ``frames``.

    Returns:
        The rendered mean of the pixels, uint8 ``[videos, frames, H, W, C]``; the first T frames of
        an observed clip as the program explains them.

    Raises:
        UserError: the clip has another size than the program's, or nothing is left to imagine.
    """
    from scalor_ppl.inference.generation import continue_clip, imagine
    from scalor_ppl.nn.pixels import to_frames

    if observed is None:
        scene = imagine(program, videos=videos, frames=frames, seed=seed)
    else:
        scene = continue_clip(program, observed, observe=len(observed), frames=frames, seed=seed)
    return to_frames(scene.image)


def msd(
    tracks: str | Path | pd.DataFrame,
    *,
    lags: int = 30,
    drift: bool = False,
    stride: int | None = None,
    confidence: float | None = None,
    exposure: float = 0.0,
    static_error: float | Literal["fit"] | None = None,
    seed: int = 0,
) -> MotionTables:
    """Mean squared displacement, diffusion coefficient, exponent and static error of tracks.

    Args:
        tracks: a file of tracks, or a table with columns ``frame``, ``x``, ``y`` and ``id`` (or
            ``particle``), as :func:`track` and trackpy give them.
        lags: the longest lag, in frames.
        drift: keep the motion that all objects have in common; by default it is taken out.
        stride: every so many frames one was tracked, and those without rows have no objects; lags
            count tracked frames then.
        confidence: least confidence of a row that counts; every row does by default.
        exposure: time in which the light of a frame is gathered, in frames, 0..1: positions are
            means over it.
        static_error: standard deviation of a coordinate, in pixels, or "fit"; by default what the
            tracks state as ``x_std`` and ``y_std``, and where they do not, it is fitted.
        seed: of the errors of the velocity autocorrelation.

    Returns:
        Tables ``curve``, ``fit``, ``tracks``, ``steps`` and ``velocity``, in pixels and frames; see
        :class:`scalor_ppl.evaluation.motion.MotionTables`. Doubts about them are warned of.

    Raises:
        UserError: the file or table cannot be read, or lags, stride, exposure or static error do
            not fit it.
    """
    import warnings

    from scalor_ppl.evaluation.motion import measure_motion
    from scalor_ppl.evaluation.positions import positions_of, read_positions

    named = isinstance(tracks, str | Path)
    found = read_positions(tracks) if named else positions_of(tracks)
    kept = found.kept(confidence)
    motion = measure_motion(
        kept.table,
        lags,
        drift=drift,
        stride=stride,
        exposure=exposure,
        spread=kept.errors(static_error),
        seed=seed,
    )
    for doubt in motion.doubts:
        warnings.warn(doubt, stacklevel=2)
    return motion.tables()
