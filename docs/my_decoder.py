"""A decoder of one's own: spatial broadcast (Watters et al. 2019), for glimpses.

The code is put beside the coordinates of every pixel of the glimpse, and small convolutions make
colours and mask of it. Places need not be learned, so shapes come sooner than edges.
"""

import torch
from torch import Tensor, nn


class SpatialBroadcast(nn.Module):
    """Codes ``[N, D]`` to logits ``[N, planes, h, w]``.

    Args:
        code: D.
        planes: colours of the video and one for the mask.
        glimpse: h and w, of any size.
    """

    places: Tensor

    def __init__(self, code: int, planes: int, glimpse: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = (torch.linspace(-1, 1, side) for side in glimpse)
        self.register_buffer("places", torch.stack(torch.meshgrid(rows, columns, indexing="ij")))
        self.layers = nn.Sequential(
            nn.Conv2d(code + 2, 32, 3, padding=1),
            nn.CELU(),
            nn.Conv2d(32, planes, 3, padding=1),
        )

    def forward(self, what: Tensor) -> Tensor:
        """Logits of a glimpse for each code."""
        size = self.places.shape[1:]
        spread = what[:, :, None, None].expand(-1, -1, *size)
        places = self.places.expand(len(what), -1, -1, -1)
        return self.layers(torch.cat((spread, places), 1))
