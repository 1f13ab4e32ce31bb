"""Single numbers that are learned, or measured, as they are, without a network."""

import torch
from torch import Tensor, nn

# Adam moves every parameter by about the learning rate a step, however steep the slope. Of a
# network, many weights add up to one output; a number on its own would take thousands of steps.
SPEED = 10.0


class Table(nn.Module):
    """Learned numbers, ``start + SPEED * change``, that keep up with the networks.

    Args:
        start: their values before training, any shape.
        learned: by gradient; otherwise they are measured, and :meth:`put`.
    """

    start: Tensor
    change: Tensor

    def __init__(self, start: Tensor, *, learned: bool = True) -> None:
        super().__init__()
        self.register_buffer("start", start, persistent=False)
        change = torch.zeros_like(start)
        if learned:
            self.change = nn.Parameter(change)
        else:
            self.register_buffer("change", change)

    def forward(self) -> Tensor:
        """The numbers, in the shape of ``start``."""
        return self.start + SPEED * self.change

    @torch.no_grad()
    def put(self, values: Tensor) -> None:
        """Make these the numbers."""
        self.change.copy_((values - self.start) / SPEED)
