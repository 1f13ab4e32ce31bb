"""The opening of a model's ``forward``: what it observes, and for how long it runs."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Stretch(NamedTuple):
    """What one call of a model is about.

    Attributes:
        videos: B.
        frames: T.
        observed: the first frames, each ``[B, 1, C, H, W]``, at most T of them.
        rates: of discovery, one a frame at least; none leaves a frame's to the prior.
    """

    videos: int
    frames: int
    observed: tuple[Tensor, ...]
    rates: Sequence[float | None]


def stretch_of(
    video: Tensor | None,
    videos: int,
    frames: int | None,
    discovery: Sequence[float | None] | None,
) -> Stretch:
    """What the arguments of a model that discovers objects ask for.

    Args:
        video: observed frames ``[B, T', C, H, W]``; none observes nothing.
        videos: B, where no video is given.
        frames: T; T' by default.
        discovery: rates by frame; none leaves all to the prior.

    Raises:
        ValueError: there is neither a video nor a number of frames, or there are too few rates.
    """
    observed = () if video is None else video[:, None].unbind(2)
    length = frames or len(observed)
    if not length:
        raise ValueError("give a video to observe, or the number of frames to sample")
    rates = discovery or [None] * length
    if len(rates) < length:
        raise ValueError(f"discovery has {len(rates)} rates, for {length} frames")
    return Stretch(videos if video is None else len(video), length, observed, rates)
