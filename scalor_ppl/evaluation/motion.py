"""All that tracks tell of motion: displacements, the fit to them, steps, single tracks, doubts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.diffusion import Displacement, displacement
from scalor_ppl.evaluation.diffusion_fit import (
    LEAST_LAGS,
    DiffusionFit,
    IntervalEstimate,
    fit_diffusion,
)
from scalor_ppl.evaluation.step_statistics import (
    StepStatistics,
    TrackDiffusion,
    step_statistics,
    track_diffusion,
)
from scalor_ppl.evaluation.walks import Walks
from scalor_ppl.tracks.box_table import BoxTable

if TYPE_CHECKING:
    import pandas as pd

_REACH = 5  # tracks that the longest fitted lag should be of
_SURE = 1.8  # half a 90 % interval, that make three standard errors


class MotionTables(NamedTuple):
    """Motion as tables; lengths in pixels, times in frames.

    Attributes:
        curve: a row for each lag: ``lag`` (frames), ``msd``, ``pairs``, and where it was fitted
            ``fitted``.
        fit: a row for each of ``diffusion``, ``alpha``, ``static_variance`` (of the power law),
            ``free_diffusion`` and ``free_static_variance`` (alpha held at 1), and
            ``excess_variance`` (over what positions state): ``value``, and its 90 % interval
            ``low`` to ``high``.
        tracks: a row for each track: ``id``, ``first``, ``last``, ``rows``, ``steps``, ``msd`` of a
            step, ``diffusion``, ``diffusion_std``, ``static_variance``.
        steps: a row for each bin of step lengths: ``low``, ``high``, ``density``, ``gaussian``.
        velocity: a row for each lag: ``lag``, ``autocorrelation``, ``error``.
    """

    curve: "pd.DataFrame"
    fit: "pd.DataFrame"
    tracks: "pd.DataFrame"
    steps: "pd.DataFrame"
    velocity: "pd.DataFrame"


@dataclass(frozen=True)
class MotionAnalysis:
    """What the tracks of a video tell.

    Attributes:
        plain: displacements as they are in the positions, and counts.
        fit: motion and errors of the positions apart.
        steps: lengths and memory.
        tracks: of each.
        doubts: why figures are not to be trusted, a line each.
    """

    plain: Displacement
    fit: DiffusionFit
    steps: StepStatistics
    tracks: TrackDiffusion
    doubts: tuple[str, ...]

    @property
    def estimates(self) -> dict[str, IntervalEstimate]:
        """The fit's by name, as in `MotionTables.fit`."""
        return {
            "diffusion": self.fit.diffusion,
            "alpha": self.fit.alpha,
            "static_variance": self.fit.variance,
            "free_diffusion": self.fit.free,
            "free_static_variance": self.fit.free_variance,
            "excess_variance": self.fit.excess,
        }

    def tables(self) -> MotionTables:
        """The same as pandas DataFrames."""
        import pandas as pd

        lags = self.plain.lags * self.plain.unit
        fitted = np.full(len(lags), np.nan)
        fitted[np.isin(lags, self.fit.lags)] = self.fit.fitted
        curve = {"lag": lags, "msd": self.plain.squared, "pairs": self.plain.pairs}
        steps, each = self.steps, self.tracks
        return MotionTables(
            curve=pd.DataFrame(curve | {"fitted": fitted}),
            fit=pd.DataFrame.from_dict(
                self.estimates, orient="index", columns=list(IntervalEstimate._fields)
            ),
            tracks=pd.DataFrame(
                {
                    "id": each.labels,
                    "first": each.first,
                    "last": each.last,
                    "rows": each.rows,
                    "steps": each.steps,
                    "msd": each.squared,
                    "diffusion": each.diffusion,
                    "diffusion_std": each.deviation,
                    "static_variance": each.variance,
                }
            ),
            steps=pd.DataFrame(
                {
                    "low": steps.edges[:-1],
                    "high": steps.edges[1:],
                    "density": steps.density,
                    "gaussian": steps.gaussian,
                }
            ),
            velocity=pd.DataFrame(
                {
                    "lag": steps.lags,
                    "autocorrelation": steps.correlation,
                    "error": steps.error,
                }
            ),
        )


def measure_motion(
    table: BoxTable,
    lags: int = 30,
    *,
    drift: bool = False,
    stride: int | None = None,
    exposure: float = 0.0,
    spread: np.ndarray | None = None,
    seed: int = 0,
) -> MotionAnalysis:
    """Measure how tracked objects move.

    Args:
        table: tracks of one video.
        lags: the longest lag, in frames; in tracked frames with a stride.
        drift: keep the motion that all objects have in common; by default it is taken out.
        stride: see `displacement`.
        exposure: time in which the light of a frame is gathered, in frames, 0..1.
        spread: [R, 2] standard deviations of x and y that are known, in pixels; NaN of a position
            that could not be measured. By default errors are fitted.
        seed: of the errors of the velocity autocorrelation.

    Raises:
        UserError: as `displacement`; an exposure out of range.
    """
    if not 0 <= exposure <= 1:
        raise UserError(f"exposure {exposure:g}: give the part of a frame's time, 0 to 1")
    plain = displacement(table, lags, drift=drift, stride=stride)
    walks = Walks(table, drift=drift)
    measured = None if spread is None else np.isfinite(spread).all(1)
    known = walks if measured is None else Walks(table, drift=drift, measured=measured)
    unit = stride or max(walks.stride, 1)
    longest = max(lags * plain.unit // unit, 1)
    fit = fit_diffusion(known, unit=unit, longest=longest, exposure=exposure, spread=spread)
    steps = step_statistics(walks, unit=unit, exposure=exposure, seed=seed)
    tracks = track_diffusion(
        walks, table.labels, unit=unit, exposure=exposure, counted_from=table.counted_from
    )
    return MotionAnalysis(plain, fit, steps, tracks, tuple(_doubts(fit, steps, tracks)))


def _doubts(fit: DiffusionFit, steps: StepStatistics, tracks: TrackDiffusion) -> list[str]:
    """What speaks against the figures."""
    if not len(tracks.labels):
        return []
    doubts = []
    longest = int((tracks.last - tracks.first).max())
    if len(fit.lags) < LEAST_LAGS:
        doubts.append(
            f"tracks are too short to tell D, alpha and static error apart: the longest spans "
            f"{longest} frames, {len(fit.lags)} lags have pairs, and it takes {LEAST_LAGS}"
        )
    else:
        reaching = int((tracks.last - tracks.first >= fit.lags[-1]).sum())
        if reaching < _REACH:
            doubts.append(
                f"only {reaching} of {len(tracks.labels)} tracks are as long as the longest lag "
                f"that is fitted, {fit.lags[-1]} frames: so few tell little"
            )
        if np.isnan(fit.alpha.value):
            doubts.append(
                "displacements grow as no power of the lag: D and alpha are not given (objects "
                "that are bound, say, get no farther)"
            )
    if steps.lagging:
        doubts.append(
            f"each step goes on in the next one ({steps.correlation[1]:+.2f} of its square, "
            f"{steps.lag_excess:+.2f} more than later): positions lag behind the objects or were "
            "smoothed, or motion has inertia; then D, alpha and static error are wrong"
        )
    elif fit.variance.high < 0:
        doubts.append(
            f"the static error comes out below zero ({fit.variance.value:.3g} px^2): positions "
            "lag, exposure is longer than stated, or motion is no power of the lag"
        )
    elif abs(fit.excess.value) > _SURE * (fit.excess.high - fit.excess.value):
        doubts.append(
            f"positions err by {'more' if fit.excess.value > 0 else 'less'} than they state "
            f"({fit.excess.value:+.3g} px^2 beside {fit.variance.value:.3g}), or motion is no "
            "power of the lag: then D and alpha are wrong (a static error can be given, or fitted)"
        )
    return doubts
