"""What objects look like in frames: colours of their upper, middle, lower part."""

from torch import Tensor
from torch.nn import functional as F

from scalor_ppl.render.glimpses import read_glimpses

PARTS = 3
"""Parts of an object, one below the other, each with a third of its mask."""


def part_colours(video: Tensor, where: Tensor, mask: Tensor) -> Tensor:
    """Mean colours of the parts of each object, ``[B, T, K, 3 * C]`` in 0..1.

    What is read is the frame behind the mask, not the decoder's painting of it: two objects that
    the decoder paints alike may differ.

    Args:
        video: frames ``[B, T, C, H, W]``.
        where: boxes of the objects ``[B, T, K, 4]``.
        mask: within them ``[B, T, K, 1, h, w]`` in [0, 1].
    """
    mask = mask.flatten(0, 1)
    rows, columns = mask.shape[-2:]
    looks = read_glimpses(video.flatten(0, 1), where.flatten(0, 1), (rows, columns))
    # Each row of the mask belongs to the part in which the middle of its mass lies.
    mass = mask.sum(-1, keepdim=True)
    above = mass.cumsum(-2) - mass / 2
    share = above / mass.sum(-2, keepdim=True).clamp(min=1e-6)
    part = (share * PARTS).long().clamp(0, PARTS - 1)
    weights = F.one_hot(part, PARTS) * mask[..., None]  # [T, K, 1, h, w, parts]
    total = weights.sum((-3, -2)).clamp(min=1e-6)
    colours = (looks[..., None] * weights).sum((-3, -2)) / total
    return colours.flatten(2).unflatten(0, where.shape[:2])
