"""What is to be made of a video: which files, of which frames, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scalor_ppl.programs import Program
from scalor_ppl.tracking.formats import format_of
from scalor_ppl.tracking.outputs import Targets
from scalor_ppl.tracking.state import describe_program, describe_video
from scalor_ppl.tracking.stream import CHUNK

SAVE_EVERY = 10.0
"""Seconds of work that a killed process loses at most, about."""


@dataclass(frozen=True)
class TrackingRequest:
    """A video, and what is to be made of it.

    Attributes:
        video: a video file, a folder of images, or a MOTChallenge sequence folder.
        out: the file of tracks.
        form: its format, a name of `formats.FORMATS`; by default what its name ends in.
        overlay: NAME.mp4, the video with what was found drawn on it.
        masks: NAME.nc, which object is seen at each pixel.
        events: NAME.csv, who met whom and which gaps were joined, see `tracking.events`.
        positions: NAME.csv, the tracks with all their columns, where the format of ``out`` has
            fewer.
        chunk: frames that are worked on at a time, at least 1.
        threshold: least presence of an object in a frame to be written, 0..1.
        recognise: keep identities where objects covered each other, see `identity`.
        join: join tracks that break where an object is hidden, see `identity.gaps`; without both,
            ids are those of the program's trackers.
        measure: take centres and their deviations from the frames, see `registration`.
        separation: of two objects that are closer, in pixels of the video, the surer is written,
            see `tracks.separation`; 0 writes both.
        start: first frame, from 0; see `recording.open_recording` for what holds by default.
        stop: the frame after the last one.
        resume: go on with an interrupted tracking into ``out``.
        overwrite: replace files that are there.
        save_every: seconds between two notes of how far it is; 0 for every chunk.
    """

    video: Path
    out: Path
    form: str | None = None
    overlay: Path | None = None
    masks: Path | None = None
    events: Path | None = None
    positions: Path | None = None
    chunk: int = CHUNK
    threshold: float = 0.5
    recognise: bool = True
    join: bool = True
    measure: bool = False
    separation: float = 0.0
    start: int | None = None
    stop: int | None = None
    resume: bool = False
    overwrite: bool = False
    save_every: float = SAVE_EVERY

    def targets(self) -> Targets:
        """The files.

        Raises:
            UserError: there is no such format.
        """
        form = format_of(self.out, self.form)
        others = (self.overlay, self.masks, self.events, self.positions)
        return Targets(self.out, form, *others)

    def fingerprint(self, program: Program) -> dict[str, str]:
        """What is tracked, with what and how, in words: an interrupted tracking must be the same.

        Raises:
            UserError: the video cannot be found.
        """
        paths: Mapping[str, Path | None] = {
            "--overlay": self.overlay,
            "--masks": self.masks,
            "--events": self.events,
            "--positions": self.positions,
        }
        found = describe_program(program) | describe_video(self.video)
        found["--format"] = self.form or self.out.suffix
        found |= {name: str(path and path.resolve()) for name, path in paths.items()}
        how = ("chunk", "threshold", "recognise", "join", "measure", "separation")
        names = (*how, "start", "stop")
        return found | {f"--{name}": str(getattr(self, name)) for name in names}
