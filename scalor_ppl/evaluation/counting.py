"""How many objects, and how they came to be: CountMAE, propagation rate, discoveries."""

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
            what is predicted there shows in the precision.
    """

    error: float = 0.0
    frames: int = 0

    def __add__(self, other: "CountSums") -> "CountSums":
        return CountSums(self.error + other.error, self.frames + other.frames)

    @property
    def mae(self) -> float:
        """CountMAE, 0 or more; NaN where no frame has an object."""
        return self.error / self.frames if self.frames else float("nan")


def count_errors(clip: ScoredClip) -> CountSums:
    """The paper's CountMAE: the error in the number of objects, relative to their true number.

    Args:
        clip: frames, slivers already set aside.

    Returns:
        The sums that CountMAE is made of.
    """
    errors = [
        abs(len(frame.predictions) - len(frame.objects)) / len(frame.objects)
        for frame in clip.frames
        if len(frame.objects)
    ]
    return CountSums(float(sum(errors)), len(errors))


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
