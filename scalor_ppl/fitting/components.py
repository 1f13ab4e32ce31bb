"""Objects as connected patches in which a frame differs from the background."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

_SMOOTHING = 0.8  # pixels: takes single noisy pixels out, hardly widens an object
_FOOT = 0.07  # share of the contrast at which an object's rim ends
_LIMB = 0.3  # square roots of its area, how far limbs go beyond a patch
_FARTHEST = 12  # pixels beyond a patch that its rim is looked for
EIGHT = np.ones((3, 3), dtype=bool)  # neighbours across corners count


@dataclass(frozen=True)
class Components:
    """The connected patches of one frame.

    Attributes:
        sizes: [N, 2] height and width of each patch's box, in pixels.
        areas: [N] pixels of each patch.
        centres: [N, 2] row and column of each patch's centre.
        corners: [N, 2] top and left pixel of its box.
        inside: [N] bool; the patch does not touch the edge of the frame.
        covered: share of the frame's pixels in all patches, 0..1.
        height: of the frame, in pixels.
    """

    sizes: np.ndarray
    areas: np.ndarray
    centres: np.ndarray
    corners: np.ndarray
    inside: np.ndarray
    covered: float
    height: int

    @property
    def rows(self) -> np.ndarray:
        """[N] rows of the centres: -1 at the upper, 1 at the lower edge of the frame."""
        return 2 * (self.centres[:, 0] + 0.5) / self.height - 1

    def nearness(self, perspective: float) -> np.ndarray:
        """[N] sizes of objects there, the middle row's being 1."""
        return 1 + perspective * self.rows

    def levelled(self, perspective: float) -> "Components":
        """Sizes and areas as they would be in the middle row."""
        near = self.nearness(perspective)
        return replace(self, sizes=self.sizes / near[:, None], areas=self.areas / near**2)


def change(frame: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Frame [H, W, C] minus background, in levels; a change of the light as a whole is taken out.

    Returns:
        [H, W, C] float32.
    """
    difference = frame - background
    difference -= np.median(difference[::4, ::4], axis=(0, 1))
    return difference


def residual(frame: np.ndarray, background: np.ndarray) -> np.ndarray:
    """How far a frame [H, W, C] is from the background, in levels: [H, W] float32.

    The largest change over channels, brighter or darker alike, slightly smoothed.
    """
    return ndimage.gaussian_filter(np.abs(change(frame, background)).max(-1), _SMOOTHING)


def find_components(
    difference: np.ndarray, threshold: float, reach: int, limbs: float | None = None
) -> Components:
    """The patches where a residual exceeds a threshold.

    Args:
        difference: [H, W] in levels, see `residual`.
        threshold: in levels.
        reach: pixels, at least 1; parts of an object that are up to twice that far apart are
            joined, and holes of about that size are filled (rings around particles).
        limbs: in levels, below `threshold`; boxes go as far as what exceeds this goes on from
            their patches, legs and wings that are fainter than the body. None: as far as patches.
    """
    mask = _closed(difference > threshold, reach)
    labels, found = ndimage.label(mask, EIGHT)
    if found == 0:
        none = np.zeros((0, 2))
        return Components(none, np.zeros(0), none, none, np.zeros(0, dtype=bool), 0.0, len(mask))
    corners = _corners(labels)
    places = np.nonzero(labels)
    of = labels[places]
    areas = np.bincount(of, minlength=found + 1)[1:].astype(float)
    sums = [np.bincount(of, place, found + 1)[1:] for place in places]
    boxes = corners if limbs is None else _grown(labels, areas, corners, difference > limbs)
    return Components(
        sizes=(boxes[:, :, 1] - boxes[:, :, 0]).astype(float),
        areas=areas,
        centres=np.stack(sums, axis=1) / areas[:, None],
        corners=boxes[:, :, 0],
        inside=np.all((corners[:, :, 0] > 0) & (corners[:, :, 1] < mask.shape), axis=1),
        covered=float(mask.mean()),
        height=len(mask),
    )


def _corners(labels: np.ndarray) -> np.ndarray:
    """[N, 2, 2] first row and the one after the last, columns likewise, of each label."""
    boxes = ndimage.find_objects(labels)
    return np.array([[(rows.start, rows.stop), (cols.start, cols.stop)] for rows, cols in boxes])


def _grown(
    labels: np.ndarray, areas: np.ndarray, corners: np.ndarray, fainter: np.ndarray
) -> np.ndarray:
    """The corners of patches with their limbs, [N, 2, 2]; a limb is of the nearest patch."""
    grown = corners.copy()
    for n, area in enumerate(areas.tolist()):
        far = round(_LIMB * area**0.5)
        if far < 1:
            continue
        lower, upper = corners[n, :, 0] - far, corners[n, :, 1] + far
        part = tuple(slice(max(0, low), high) for low, high in zip(lower, upper, strict=True))
        near, own = labels[part], labels[part] == n + 1
        # Other patches are walls: two that touch by their legs keep to their own sides.
        away = ndimage.distance_transform_edt(~own)
        open_ = fainter[part] & (away <= far) & ((near == 0) | own)
        if ((near > 0) & ~own).any():
            open_ &= away <= ndimage.distance_transform_edt((near == 0) | own)
        reached = ndimage.binary_propagation(own, EIGHT, open_ | own)
        for axis in (0, 1):
            there = np.flatnonzero(reached.any(1 - axis)) + part[axis].start
            grown[n, axis] = there[0], there[-1] + 1
    return grown


def _closed(mask: np.ndarray, reach: int) -> np.ndarray:
    """Gaps of up to twice `reach` bridged, small holes filled."""
    # Padding: without it, closing erodes what touches the edge of the frame.
    grown = ndimage.maximum_filter(np.pad(mask, 2 * reach), 2 * reach + 1)
    closed = ndimage.minimum_filter(grown, 2 * reach + 1)
    mask = closed[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    holes, _ = ndimage.label(~mask)
    small = np.bincount(holes.ravel()) <= (4 * reach + 1) ** 2
    small[0] = False  # the mask itself
    return mask | small[holes]


def soft_margin(differences: list[np.ndarray], threshold: float, contrast: float) -> float:
    """How far the fading rims of objects reach beyond their patches, in pixels.

    The mean residual at each distance from the patches falls to what the background has; the
    margin is where it has lost all but 7 % of the objects' contrast.

    Args:
        differences: residuals [H, W], see `residual`.
        threshold: that makes the patches, in levels.
        contrast: of the objects, in levels.
    """
    masks = [_closed(difference > threshold, 1) for difference in differences]
    outside = [difference[~mask] for difference, mask in zip(differences, masks, strict=True)]
    away = [np.round(ndimage.distance_transform_edt(~mask))[~mask] for mask in masks]
    bins = np.minimum(np.concatenate(away).astype(np.intp), _FARTHEST)
    values = np.concatenate(outside)
    total = np.bincount(bins, values, _FARTHEST + 1)[1:]
    profile = total / np.maximum(1, np.bincount(bins, minlength=_FARTHEST + 1)[1:])
    profile = np.insert((profile - np.median(values)) / contrast, 0, threshold / contrast)
    below = np.flatnonzero(profile < _FOOT)
    if not len(below):
        return float(_FARTHEST)
    end = int(below[0])
    return end - 1 + float((profile[end - 1] - _FOOT) / (profile[end - 1] - profile[end]))
