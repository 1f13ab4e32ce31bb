"""How many objects, and how they came to be: their number, propagation rate, discoveries."""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.evaluation.frames import ScoredClip
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.table import Tracks


@dataclass(frozen=True)
class CountSums:
    """Sums over frames of one clip, or of many.

    Attributes:
        error: sum of ``|predicted - true| / true`` over the frames that have objects.
        frames: how many these are. A frame without objects has no relative error and is left out;
            what is predicted there shows in the precision and in the accuracy.
        right: frames whose number of objects is right, those without any included.
        all_frames: number of frames.
    """

    error: float = 0.0
    frames: int = 0
    right: int = 0
    all_frames: int = 0

    def __add__(self, other: "CountSums") -> "CountSums":
        return CountSums(
            self.error + other.error,
            self.frames + other.frames,
            self.right + other.right,
            self.all_frames + other.all_frames,
        )

    @property
    def mae(self) -> float:
        """CountMAE, 0 or more; NaN where no frame has an object."""
        return self.error / self.frames if self.frames else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of the frames whose number is right, 0..1 (AIR's and SQAIR's); NaN without any."""
        return self.right / self.all_frames if self.all_frames else float("nan")


def count_errors(clip: ScoredClip, total: int) -> CountSums:
    """The error in the number of objects, relative to their true number, and how often it is right.

    Args:
        clip: frames, slivers already set aside.
        total: how many frames there are, with those in which there is nothing.

    Returns:
        The sums that CountMAE and accuracy are made of.
    """
    counts = [(len(frame.predictions), len(frame.objects)) for frame in clip.frames]
    errors = [abs(found - true) / true for found, true in counts if true]
    wrong = sum(found != true for found, true in counts)
    return CountSums(float(sum(errors)), len(errors), total - wrong, total)


@dataclass(frozen=True)
class PropagationSums:
    """Where the objects of one clip, or of many, came from (figure 8 of the paper).

    Attributes:
        propagated: present objects, from the second frame on, that were propagated.
        later: present objects from the second frame on (in the first nothing can be propagated).
        discoveries: present objects in the frame of their discovery, the first frame included.
        clips: number of clips.
    """

    propagated: int = 0
    later: int = 0
    discoveries: int = 0
    clips: int = 0

    def __add__(self, other: "PropagationSums") -> "PropagationSums":
        return PropagationSums(
            self.propagated + other.propagated,
            self.later + other.later,
            self.discoveries + other.discoveries,
            self.clips + other.clips,
        )

    @property
    def rate(self) -> float:
        """Share of the later frames' objects that were propagated; NaN where there are none."""
        return self.propagated / self.later if self.later else float("nan")

    @property
    def discoveries_per_video(self) -> float:
        """Discoveries a clip; NaN where there is no clip."""
        return self.discoveries / self.clips if self.clips else float("nan")


def propagation(tracks: Tracks, *, presence_threshold: float = 0.5) -> PropagationSums:
    """Count propagated and discovered objects of one clip.

    Args:
        tracks: predictions of one clip.
        presence_threshold: least presence of an object that counts.

    Returns:
        The sums.
    """
    present = tracks.present(presence_threshold)
    discovered = present & tracks.discovered
    return PropagationSums(
        propagated=int(np.sum(present[1:] & ~discovered[1:])),
        later=int(np.sum(present[1:])),
        discoveries=int(np.sum(discovered)),
        clips=1,
    )


def propagation_of_rows(table: BoxTable, discovered: np.ndarray, first: int) -> PropagationSums:
    """Count propagated and discovered objects of a file of tracks.

    Args:
        table: predictions.
        discovered: bool [R], rows in the frame of their object's discovery.
        first: the first frame, in which nothing can be propagated.

    Returns:
        The sums.
    """
    later = table.frames > first
    return PropagationSums(
        propagated=int(np.sum(later & ~discovered)),
        later=int(np.sum(later)),
        discoveries=int(np.sum(discovered)),
        clips=1,
    )
