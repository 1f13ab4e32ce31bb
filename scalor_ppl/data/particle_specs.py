"""The sets of diffusing particles as data: one `ParticleSpec` per set.

Microscopy of colloids, made up so that everything is known: round Gaussian spots of one width in
noise that is stated, in Brownian motion of known diffusion coefficient. What can be known of a
position is then known too (:mod:`scalor_ppl.evaluation.cramer_rao`).

=====================  ============  ===================  ==========================
set                    in view       peak, grey levels    noise of a pixel of level v
=====================  ============  ===================  ==========================
particles-ld           57 to 71      80 over 25           variance 2^2 + 0.1 v
particles-ld-noisy     57 to 71      80 over 25           variance 8^2 + 0.5 v
particles-md           141 to 168    80 over 25           variance 2^2 + 0.1 v
particles-md-noisy     141 to 168    80 over 25           variance 8^2 + 0.5 v
=====================  ============  ===================  ==========================

In view is what is expected of the fewest and the most. Frames have 256 x 256 grey pixels of 8 bits;
widths and motions are those of `ParticleSpec`.

Three kinds of particles move alike at heart, with the same diffusion coefficient: *free* ones,
those that *drift* straight on meanwhile, each its own way, and those that are *bound* to a place by
a harmonic trap. *Out of focus* are wide, dim spots that move too. They are no objects: the truth
marks them as ignored, neither to be found nor wrong to be found.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Kind = Literal["free", "drifting", "bound", "out of focus"]


@dataclass(frozen=True)
class ParticleMotion:
    """How particles of a kind move.

    Attributes:
        kind: its name.
        share: of the particles that are in focus, 0..1; of what is out of focus, over these.
        diffusion: D, in pixels squared a frame: without drift and trap the mean squared
            displacement over t frames is 4 D t.
        speed: of the drift, in pixels a frame.
        stiffness: rate at which a trap pulls back, a frame; 0 for none.
    """

    kind: Kind
    share: float
    diffusion: float
    speed: float = 0.0
    stiffness: float = 0.0

    @property
    def alpha(self) -> float | None:
        """Exponent of the growth of the mean squared displacement; None where it is no power."""
        return 1.0 if self.speed == self.stiffness == 0 else None

    def squared(self, lags: np.ndarray) -> np.ndarray:
        """[L] expected squared displacement over lags [L] in frames, in pixels squared."""
        lags = np.asarray(lags, dtype=np.float64)
        spread = 4 * self.diffusion * lags
        if self.stiffness:
            relaxed = -np.expm1(-self.stiffness * lags)
            spread = 4 * self.diffusion / self.stiffness * relaxed
        return spread + np.square(self.speed * lags)


_MOTIONS = (
    ParticleMotion("free", 0.7, diffusion=0.25),
    ParticleMotion("drifting", 0.15, diffusion=0.25, speed=0.5),
    ParticleMotion("bound", 0.15, diffusion=0.25, stiffness=0.25),
    ParticleMotion("out of focus", 0.25, diffusion=0.25),
)


@dataclass(frozen=True)
class ParticleSpec:
    """One set of particles.

    The expected level of a pixel is ``background`` and the integral over it of every spot. Of that,
    ``gain`` times a Poisson number of photons (of mean level / gain) is seen, plus Gaussian
    ``read_noise``, rounded to 8 bits.

    Attributes:
        name: what `open_source` knows it by.
        count: fewest and most in focus in the world, which is larger than the view.
        width: standard deviation of a spot in focus, in pixels.
        peak: height of a spot in focus over the background, were it not integrated over pixels, in
            grey levels of 0 to 255; the mean over spots.
        peak_spread: peaks lie within peak * (1 -+ this), uniformly.
        blur_widths: least and greatest standard deviation out of focus, in pixels.
        blur_peaks: least and greatest height out of focus, in grey levels.
        background: grey level without spots.
        read_noise: standard deviation of the Gaussian noise, in grey levels.
        gain: grey levels a photon; 0 for no Poisson noise.
        motions: of the kinds.
        view: height and width, in pixels.
    """

    name: str
    count: tuple[int, int]
    width: float = 2.0
    peak: float = 80.0
    peak_spread: float = 0.2
    blur_widths: tuple[float, float] = (5.0, 7.0)
    blur_peaks: tuple[float, float] = (8.0, 18.0)
    background: float = 25.0
    read_noise: float = 2.0
    gain: float = 0.1
    motions: tuple[ParticleMotion, ...] = _MOTIONS
    view: int = 256

    @property
    def size(self) -> float:
        """Side of the box of a spot in focus, in pixels: where it has fallen to 13.5 %."""
        return BOX_WIDTHS * self.width

    @property
    def margin(self) -> float:
        """How far the world goes on beyond the view, in pixels: the widest spot is dark there."""
        return 4 * self.blur_widths[1]

    @property
    def world(self) -> float:
        """Side of the world, in pixels, with the view at its centre."""
        return self.view + 2 * self.margin

    @property
    def shapes(self) -> str:
        """What objects look like, in a word."""
        return "spots"

    @property
    def behind(self) -> str:
        """What the background is, in words."""
        return f"noise of {np.sqrt(self.variance(self.background)):.1f} levels"

    def variance(self, level: np.ndarray | float) -> np.ndarray:
        """Variance of the noise of a pixel of an expected level; of rounding to 8 bits, too.

        Args:
            level: of 0 to 255.
        """
        return self.read_noise**2 + self.gain * np.asarray(level) + ROUNDING

    def motion(self, kind: Kind) -> ParticleMotion:
        """The motion of a kind."""
        return next(each for each in self.motions if each.kind == kind)


BOX_WIDTHS = 4.0
"""Side of a spot's box in its standard deviations."""


ROUNDING = 1 / 12
"""Variance that rounding to whole grey levels adds."""


def _table() -> dict[str, ParticleSpec]:
    sets = []
    for density, count in (("ld", (85, 105)), ("md", (210, 250))):
        clear = ParticleSpec(f"particles-{density}", count)
        sets += [clear, replace(clear, name=f"{clear.name}-noisy", read_noise=8.0, gain=0.5)]
    return {spec.name: spec for spec in sets}


PARTICLE_SETS: dict[str, ParticleSpec] = _table()
"""Every set of particles, by name."""
