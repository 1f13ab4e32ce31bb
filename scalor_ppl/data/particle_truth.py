"""What is known of the particles of a made video beyond where they are: a JSON file beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import TypeAdapter, ValidationError

from scalor_ppl.config.schema import Section
from scalor_ppl.data.particle_specs import Kind, ParticleSpec
from scalor_ppl.data.particles import Particles
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole


class _Particle(Section):
    kind: Kind
    width: float
    peak: float


class _File(Section):
    set: ParticleSpec
    particles: dict[int, _Particle]


_FILE = TypeAdapter(_File)


@dataclass(frozen=True)
class KnownParticles:
    """The N particles of a video.

    Attributes:
        spec: their set: light, noise, motions.
        labels: int64 [N] ids in the file of boxes, ascending.
        kinds: [N] names of their motions.
        widths: float64 [N] standard deviations of the spots, in pixels.
        peaks: float64 [N] their heights before they are integrated over pixels, in grey levels.
    """

    spec: ParticleSpec
    labels: np.ndarray
    kinds: np.ndarray
    widths: np.ndarray
    peaks: np.ndarray

    @classmethod
    def of(cls, spec: ParticleSpec, particles: Particles) -> Self:
        """Those of a clip; labels are ids plus 1, as in files."""
        names = np.array([motion.kind for motion in spec.motions])
        labels = np.arange(1, len(particles.kinds) + 1)
        return cls(spec, labels, names[particles.kinds], particles.widths, particles.peaks)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            UserError: there is no such file, or it is another one.
        """
        try:
            file = _FILE.validate_json(path.read_bytes())
        except FileNotFoundError:
            raise UserError(
                f"no such file: {path}; `data make particles-ld --out {path.stem}.mkv` writes it "
                "beside the video and its boxes"
            ) from None
        except (OSError, ValidationError) as error:
            raise UserError(
                f"{path} is not what `data make` writes beside a set of particles: "
                f"{str(error).splitlines()[0]}"
            ) from error
        labels = sorted(file.particles)
        each = [file.particles[label] for label in labels]
        return cls(
            spec=file.set,
            labels=np.array(labels, dtype=np.int64),
            kinds=np.array([one.kind for one in each]),
            widths=np.array([one.width for one in each]),
            peaks=np.array([one.peak for one in each]),
        )

    def write(self, path: Path) -> None:
        """Write them as JSON, whole or not at all."""
        rows = zip(self.labels, self.kinds, self.widths, self.peaks, strict=True)
        particles = {
            int(label): _Particle(kind=kind, width=width, peak=peak)
            for label, kind, width, peak in rows
        }
        with written_whole(path) as lent:
            lent.write_bytes(_FILE.dump_json(_File(set=self.spec, particles=particles)))
