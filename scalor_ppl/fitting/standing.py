"""Who stands in one place for most of a video, and is taken for a part of the scene."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from scalor_ppl.fitting.components import EIGHT

_LEAST_SHARE = 0.15  # of the frames that a pixel has to show the other thing
_SAME = 12.0  # levels: within, a pixel shows the same thing
_APART = 30.0  # levels: two things, and not one in the light and in a shadow
_FEWEST = 60  # pixels of a region; a few show their surroundings by chance
_LARGEST_STEP = 60.0  # levels between neighbours that count; edges of the scene itself are no more
_CLEARLY = 1.5  # times the other's, an edge that is one


class Doubtful:
    """Pixels that show two things for long: what they show earlier, and later.

    Args:
        size: height and width.
        channels: of the image.
        modes: what values [T, P, C] are most often, of those that are counted [T, P].
    """

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        modes: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> None:
        self._modes = modes
        self.there = np.zeros(size, dtype=bool)
        self.early = np.zeros((*size, channels), np.float32)
        self.late = np.zeros((*size, channels), np.float32)

    def add(self, rows: slice, values: np.ndarray, first: np.ndarray) -> None:
        """Look at some rows.

        Args:
            rows: which.
            values: [T, h, W, C] uint8, in the order of time.
            first: [h, W, C] what each pixel shows most often.
        """
        other = (np.abs(values - first) > _SAME).any(-1)
        doubted = other.mean(0) >= _LEAST_SHARE
        if not doubted.any():
            return
        shown, others, usual = values[:, doubted], other[:, doubted], first[doubted]
        second = self._modes(shown, others)
        near = (np.abs(shown - second) <= _SAME).all(-1) & others
        apart = np.abs(second - usual).max(-1) >= _APART
        kept = apart & (near.mean(0) >= _LEAST_SHARE)
        time = np.arange(len(shown))[:, None]
        usual_time = (time * ~others).sum(0) / np.maximum(1, (~others).sum(0))
        second_time = (time * near).sum(0) / np.maximum(1, near.sum(0))
        before = (second_time < usual_time)[:, None]
        mean = (shown * near[..., None]).sum(0) / np.maximum(1, near.sum(0))[:, None]
        doubted[doubted] = kept
        self.there[rows] = doubted
        self.early[rows][doubted] = np.where(before, mean, usual)[kept]
        self.late[rows][doubted] = np.where(before, usual, mean)[kept]

    def settled(self, image: np.ndarray) -> np.ndarray:
        """The image, with what fits its surroundings better in regions of doubtful pixels.

        An object that stands in the scene has an edge all around; where it does not stand, the
        scene goes on. A region shows one thing earlier and the other later, as a whole: so a man is
        taken out, whether he came to stand or went away.

        Args:
            image: [H, W, C] what each pixel shows most often.
        """
        labels, found = ndimage.label(self.there, EIGHT)
        if not found:
            return image
        size = np.bincount(labels.ravel(), minlength=found + 1)
        early, late = (self._edge(labels, found, each, image) for each in (self.early, self.late))
        clear = size >= _FEWEST
        clear[0] = False
        earlier = (clear & (_CLEARLY * early < late))[labels]
        later = (clear & (_CLEARLY * late < early))[labels]
        settled = np.where(earlier[..., None], self.early, image)
        settled = np.where(later[..., None], self.late, settled)
        # Single pixels saw somebody else pass: they keep what is more like the pixels about them.
        about = ndimage.median_filter(settled, (5, 5, 1))
        worse = np.abs(settled - about).max(-1) > np.abs(image - about).max(-1)
        return np.where(worse[..., None], image, settled)

    def _edge(
        self, labels: np.ndarray, found: int, inside: np.ndarray, outside: np.ndarray
    ) -> np.ndarray:
        """[regions + 1] mean step from pixels of a region to their neighbours beyond it."""
        total, pairs = np.zeros(found + 1), np.zeros(found + 1)
        ahead, behind = slice(1, None), slice(None, -1)
        whole = slice(None)
        for here, there in (
            ((ahead, whole), (behind, whole)),
            ((behind, whole), (ahead, whole)),
            ((whole, ahead), (whole, behind)),
            ((whole, behind), (whole, ahead)),
        ):
            rim = (labels[here] > 0) & (labels[there] == 0)
            step = np.abs(inside[here][rim] - outside[there][rim]).max(-1)
            region = labels[here][rim]
            total += np.bincount(region, np.minimum(step, _LARGEST_STEP), minlength=found + 1)
            pairs += np.bincount(region, minlength=found + 1)
        return total / np.maximum(1, pairs)
