"""What SCALOR's guide knows of each frame before its objects are looked for, and finds in it."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from scalor_ppl.scalor.correction import Proposals, proposals_of
from scalor_ppl.scalor.posterior_networks import (
    ImageFeatures,
    PropagationPosterior,
    ProposalPosterior,
)
from scalor_ppl.scalor.settings import GuideConfig
from scalor_ppl.scalor.slots import Latents, Trackers


class FrameView(NamedTuple):
    """What the guide knows of a frame before its objects.

    Attributes:
        pixels: the frame itself ``[B, C, H, W]``.
        difference: of it to the template, likewise; none without one.
        image: what glimpses are read from, ``[B, C', H, W]``.
        window: the map that trackers look around in, ``[B, hidden / 2, Gh, Gw]``.
        cells: what the cells know ``[B, N, .]``: features or, where that is all they see, their
            aggregate.
        proposed: the proposals, where cells see nothing else; none otherwise.
        absent: locations and then scales of where, depth and what of an absent proposal,
            ``[B, N, 2 (5 + D)]``.
    """

    pixels: Tensor
    difference: Tensor | None
    image: Tensor
    window: Tensor
    cells: Tensor
    proposed: Proposals | None
    absent: Tensor


class VideoView(NamedTuple):
    """The views of all frames.

    Attributes:
        frames: one view per frame.
        difference: of the video to the template ``[B, T, C, H, W]``; none without one.
        lstm: state of the image features' ConvLSTM after the last frame; none where somebody else
            keeps it.
    """

    frames: list[FrameView]
    difference: Tensor | None
    lstm: tuple[Tensor, Tensor] | None

    def by_frame(self) -> list["VideoView"]:
        """The views of each frame alone."""
        return [
            VideoView([view], None if view.difference is None else view.difference[:, None], None)
            for view in self.frames
        ]


class Step(NamedTuple):
    """What was sampled in a frame.

    Attributes:
        trackers: after the frame.
        state: of the tracker GRU; none in the first frame.
        tracked: values of the propagation sites; none in the first frame.
        proposed: values of the discovery sites.
    """

    trackers: Trackers
    state: Tensor | None
    tracked: Latents | None
    proposed: Latents


def view_video(
    video: Tensor,
    corner: Tensor | None,
    model: Any,
    config: GuideConfig,
    networks: tuple[ImageFeatures, ProposalPosterior, PropagationPosterior],
    lstm: tuple[Tensor, Tensor] | None,
) -> VideoView:
    """Everything that needs the frames alone, for all of them at once.

    Args:
        video: ``[B, T, C, H, W]`` in [0, 1].
        corner: where crops lie in the whole frames, ``[B, 2]``; none for whole frames.
        model: the program.
        config: of the guide.
        networks: the guide's.
        lstm: state of the ConvLSTM after the frames before; none for the first.
    """
    feature_network, proposal, propagation = networks
    difference = difference_to_template(model, video, corner)
    seen = encoder_input(video, difference, model, config)
    features, lstm = feature_network(feature_input(seen, model, config), lstm)
    frames = video.shape[:2]
    windows = propagation.project(features.flatten(0, 1)).unflatten(0, frames).unbind(1)
    rows = features.flatten(3).transpose(2, 3)
    absent = absent_proposals(model, frames[0])
    proposed: list[Proposals | None] = [None] * frames[1]
    if not proposal.everywhere:
        rows = proposal.aggregate(rows)
        hoisted = proposals_of(proposal.propose(rows), absent[:, None], model)
        proposed = [Proposals(*each) for each in zip(*(x.unbind(1) for x in hoisted), strict=True)]
    cells = rows.unbind(1)
    images = seen.unbind(1)
    return VideoView(
        [
            FrameView(
                video[:, t],
                None if difference is None else difference[:, t],
                images[t],
                windows[t],
                cells[t],
                proposed[t],
                absent,
            )
            for t in range(frames[1])
        ],
        difference,
        lstm,
    )


def difference_to_template(model: Any, video: Tensor, corner: Tensor | None) -> Tensor | None:
    """What frames are more than the template ``[B, T, C, H, W]``; none without one.

    Args:
        model: the program.
        video: ``[B, T, C, H, W]`` in [0, 1].
        corner: see :func:`view_video`.
    """
    if model.template is None:
        return None
    # The encoders' task is not to bend the template to their needs.
    image = torch.sigmoid(model.template.logits(corner, model.size)).detach()
    return video - image[:, None]


def encoder_input(
    video: Tensor, difference: Tensor | None, model: Any, config: GuideConfig
) -> Tensor:
    """The frames, and, where asked for, their difference beside them ``[B, T, C', H, W]``."""
    if not config.difference:
        return video
    assert difference is not None
    # In units of the noise: what the likelihood minds is then what the encoders see.
    return torch.cat((video, torch.tanh(difference / (3 * model.config.sigma))), 2)


def feature_input(seen: Tensor, model: Any, config: GuideConfig) -> Tensor:
    """What the image features see of it: all, or how far pixels are from the template."""
    if not config.colour_blind:
        return seen
    return seen[:, :, model.channels :].abs()


def absent_proposals(model: Any, videos: int) -> Tensor:
    """The posterior of an absent proposal, which is the prior, ``[B, N, 2 (5 + D)]``."""
    return torch.cat(model.discovery.absent(model.presence, (videos, model.cells)), -1)
