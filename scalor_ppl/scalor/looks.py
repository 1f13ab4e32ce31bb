"""What objects look like in the frames themselves: colours of their upper, middle, lower part."""

from collections.abc import Sequence

import torch
from torch import Tensor

from scalor_ppl.render.looks import part_colours
from scalor_ppl.scalor.slots import Trackers


def looks_of(video: Tensor, trackers: Sequence[Trackers]) -> Tensor:
    """Mean colours of the parts of each tracker's object, ``[B, T, K, 3 * C]`` in 0..1.

    Args:
        video: frames ``[B, T, C, H, W]``.
        trackers: after each of the T frames.
    """
    where = torch.stack([each.objects.box for each in trackers], 1)
    mask = torch.stack([each.objects.mask for each in trackers], 1)
    return part_colours(video, where, mask)
